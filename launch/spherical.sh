#!/usr/bin/env bash
# More classes than dimensions: 100 classes in 10 dimensions, an MLP that ends on the
# sphere, cross-entropy at several temperatures, 5 seeds, all in one program.  Run in a
# clone; extra arguments go to each run.  A run that is finished is not trained again.
#
#     launch/spherical.sh gaussian   # Gaussian classes: 8 minutes of one core
#     launch/spherical.sh cifar100   # features of a network, CIFAR-100 prepared: 11 minutes
#     python -m tests.benchmarks.studies.spherical   # the rest, the table, the verdicts
set -euo pipefail
cd "$(dirname "$0")/.."

data=${1:?"which data: gaussian or cifar100?"}
extra=("${@:2}")
out=runs/spherical
recipe=(
    --config=configs/own_arrays.py --config.hierarchy.name=none
    --config.model.widths="(128,128)" --config.batch_size=200
    --config.loss.name=normface --config.classifier.project=10
    --config.classifier.temperature=1.0 --config.optimizer.learning_rate=0.5
    --config.optimizer.weight_decay=5e-4 --config.eval.num_points=6
)
sweep() {
    python -m ncjax train "${recipe[@]}" "$@" "${extra[@]}"
}

case $data in
    gaussian)
        recipe+=(
            --config.data.name=synthetic --config.data.num_classes=100
            --config.data.branching=100 --config.data.noise=1.0
            --config.data.train_size_per_class=40 --config.data.test_size_per_class=20
        )
        # 1, 1/5, 1/6 and 1/7 are the published temperatures.
        sweep --config.num_seeds=5 --config.num_epochs=100 --workdir="$out/heads" \
            --sweep.loss.temperature=1,0.2,0.16667,0.14286,0.1,0.05,0.025
        # Low temperatures for four times as long; and, of another seed, other rates.
        sweep --config.num_seeds=5 --config.num_epochs=400 --workdir="$out/longer" \
            --sweep.loss.temperature=0.1,0.05
        sweep --config.seed=1000 --config.num_epochs=100 --workdir="$out/rates" \
            --sweep.loss.temperature=0.1,0.05,0.025 \
            --sweep.optimizer.learning_rate=0.5,2,8
        ;;
    cifar100)
        # Its own network, once, on 100 images of each class; then 40 others of each.
        python -m ncjax.main --config=configs/cifar10_narrow_ce.py \
            --config.data.name=cifar100 --config.data.examples_per_class=100 \
            --config.model.width=0.125 --config.num_epochs=12 \
            --config.eval.num_points=2 --workdir="$out/network"
        python -m tests.benchmarks.studies.features "$out/network" \
            --per-class=40 --out="$out/features.npz"
        recipe+=(--config.data.name=arrays --config.data.path="$out/features.npz")
        sweep --config.num_seeds=5 --config.num_epochs=100 --workdir="$out/cifar100" \
            --sweep.loss.temperature=0.2,0.16667,0.14286,0.1,0.05
        ;;
    *)
        echo "Unknown data $data. Available: gaussian, cifar100." >&2
        exit 2
        ;;
esac
