#!/usr/bin/env bash
# Does collapse help to tell outliers?  Networks of 5 seeds with weak and strong weight
# decay, and the AUROC of every score at every measured epoch.  Run in a clone, with the
# data prepared (ncjax prepare mnist fashion_mnist cifar10 cifar100); extra arguments go
# to each run.  A run that is finished is not trained again.  Times are those of 2 cores.
#
#     launch/outliers.sh mnist      # MLP on MNIST; outliers: Fashion-MNIST, noise
#     launch/outliers.sh fashion    # MLP on Fashion-MNIST; outliers: MNIST, noise
#     launch/outliers.sh cifar10    # narrow ResNet-18; outliers: CIFAR-100, noise
#     python -m tests.benchmarks.studies.outliers     # table, figure and verdicts
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:?"what: mnist, fashion or cifar10?"}
out=${OUTLIERS_OUT:-runs/outliers}
common=(
    --config.num_seeds=5 --config.eval.probes="('ood',)" --config.eval.ood_examples=2000
    --config.eval.ood_bank=2500 --config.eval.order=False --config.eval.crm=False
    --config.data.test_examples_per_class=200 --workdir="$out/$what" "${@:2}"
)
mlp=(
    --config=configs/fashion_mlp_ce.py --config.data.examples_per_class=500
    --config.model.widths="(256,128,64)" --config.batch_size=250
    --config.eval.epochs="(1,2,3,5,8,12,18,27,40,60,90,120,150)"
    --sweep.optimizer.weight_decay=1e-4,5e-3
)
case $what in
    mnist)
        python -m ncjax.main "${mlp[@]}" --config.data.name=mnist \
            --config.eval.ood="('fashion_mnist','noise')" "${common[@]}"
        ;;
    fashion)
        python -m ncjax.main "${mlp[@]}" --config.eval.ood="('mnist','noise')" "${common[@]}"
        ;;
    cifar10)
        python -m ncjax.main --config=configs/cifar10_narrow_ce.py \
            --config.data.examples_per_class=250 --config.model.width=0.125 \
            --config.batch_size=50 --config.num_epochs=60 \
            --config.eval.epochs="(1,2,3,5,8,12,18,27,40,50,60)" \
            --sweep.optimizer.weight_decay=2e-4,5e-3 \
            --config.eval.ood="('cifar100','noise')" "${common[@]}"
        ;;
    *)
        echo "Unknown $what. Available: mnist, fashion, cifar10." >&2
        exit 2
        ;;
esac
