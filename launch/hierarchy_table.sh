#!/usr/bin/env bash
# Methods that know a class tree, or do not, on one recipe, several seeds each in one
# program.  Run in a clone, with the data prepared (ncjax prepare fashion_mnist cifar10
# cifar100); extra arguments go to each run.  A run that is finished is not trained
# again.  Times are those of 2 cores.
#
#     launch/hierarchy_table.sh fashion     # MLP, 10,000 images, 5 seeds: 15 minutes
#     launch/hierarchy_table.sh cifar10     # narrow ResNet-18, 1,000 images, 3 seeds
#     launch/hierarchy_table.sh cifar100    # fixed features of a network, MLP, 5 seeds
#     python -m tests.benchmarks.studies.hierarchy   # the table of all, with verdicts
set -euo pipefail
cd "$(dirname "$0")/.."

data=${1:?"which data: fashion, cifar10 or cifar100?"}
extra=("${@:2}")
out=runs/hierarchy_table/$data
methods=(cross_entropy soft_labels hxe_depth hxe_height haframe hier_cos)
more=(hace cpcc multi_level haf cascade label_embedding)

case $data in
    fashion)
        methods+=("${more[@]}")
        recipe=(--config=configs/fashion_mlp_ce.py --config.num_seeds=5)
        ;;
    cifar10)
        recipe=(
            --config=configs/cifar10_narrow_ce.py --config.num_seeds=3
            --config.model.width=0.125 --config.data.examples_per_class=100
            --config.data.test_examples_per_class=300 --config.batch_size=50
            --config.num_epochs=40 --config.eval.crm=True
        )
        ;;
    cifar100)
        methods+=("${more[@]}")
        # Its own network, once, on 100 images of each class; then 100 others of each.
        python -m ncjax.main --config=configs/cifar10_narrow_ce.py \
            --config.data.name=cifar100 --config.data.examples_per_class=100 \
            --config.num_epochs=12 --config.eval.num_points=2 --workdir="$out/network"
        python -m tests.benchmarks.studies.features "$out/network" \
            --per-class=100 --out="$out/features.npz"
        recipe=(
            --config=configs/own_arrays.py --config.num_seeds=5
            --config.data.path="$out/features.npz" --config.hierarchy.name=cifar100_5
            --config.model.widths="(512,256)" --config.batch_size=200
            --config.num_epochs=150 --config.optimizer.schedule=cosine
            --config.optimizer.learning_rate=0.1 --config.optimizer.weight_decay=2e-3
            --config.eval.crm=True
        )
        ;;
    *)
        echo "Unknown data $data. Available: fashion, cifar10, cifar100." >&2
        exit 2
        ;;
esac

for method in "${methods[@]}"; do
    case $method in
        soft_labels) loss=(--config.loss.name=soft_labels --config.loss.beta=4.0) ;;
        hxe_*) loss=(--config.loss.name=hxe --config.loss.weighting="${method#hxe_}") ;;
        cpcc) loss=(--config.loss.name=cross_entropy --config.loss.cpcc=1.0) ;;
        *) loss=(--config.loss.name="$method") ;;
    esac
    python -m ncjax.main "${recipe[@]}" "${loss[@]}" --config.eval.order=True \
        --config.eval.num_points=12 --workdir="$out/$method" "${extra[@]}"
done
