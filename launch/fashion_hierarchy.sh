#!/usr/bin/env bash
# What do hierarchical losses do to collapse?  Ten losses, five seeds each, on 10,000
# images of Fashion-MNIST; about 20 minutes on 2 cores.  Run in a clone, with the data
# prepared (ncjax prepare fashion_mnist); extra arguments go to each run.
#
#     launch/fashion_hierarchy.sh [--config=... overrides]
set -euo pipefail
cd "$(dirname "$0")/.."

extra=("$@")
run() {  # run NAME SEED CONFIG [overrides]
    python -m ncjax.main --config="configs/fashion_mlp_$3.py" --config.seed="$2" \
        --workdir="runs/fashion/$1_$2" "${@:4}" "${extra[@]}"
}

for seed in 0 1 2 3 4; do
    run ce "$seed" ce
    for beta in 4 10 30; do
        run "soft_$beta" "$seed" soft --config.loss.beta="$beta"
    done
    for weighting in height depth; do
        for alpha in 0.1 0.5 1; do
            run "hxe_${weighting}_$alpha" "$seed" hxe --config.loss.alpha="$alpha" \
                --config.loss.weighting="$weighting"
        done
    done
done
python -m ncjax compare runs/fashion --baseline=cross_entropy --theory --out=runs/fashion_compared
