#!/usr/bin/env bash
# One or two digits in an image: is a set the sum of its labels?  Three networks, five
# seeds each in one program; 15 minutes on 2 busy cores.  Run in a clone, with MNIST
# prepared (ncjax prepare mnist).  A run that is finished is not trained again.
#
#     launch/sets.sh [--config.FIELD=VALUE for each run]
#     python -m tests.benchmarks.studies.sets
set -euo pipefail
cd "$(dirname "$0")/.."

out=${SETS_OUT:-runs/sets}
extra=("$@")
run() {  # run NAME [overrides]
    python -m ncjax.main --config=configs/mnist_pairs_sets.py --config.num_seeds=5 \
        --config.eval.num_points=12 --workdir="$out/$1" "${@:2}" "${extra[@]}"
}

run pick_all_label
run plain --config.model.batch_norm=False --config.optimizer.learning_rate=0.02
run bce --config.loss.name=bce
