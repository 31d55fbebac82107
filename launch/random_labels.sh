#!/usr/bin/env bash
# Collapse with random labels: digits, five shares of random labels, an MLP that is wide
# enough to fit them all and one that is not, 5 seeds: 50 networks in two programs, 8
# minutes on two cores.  Run in a clone; extra arguments go to the run.  A run that is
# finished is not trained again.
#
#     launch/random_labels.sh
#     python -m tests.benchmarks.studies.random_labels   # the table and the verdicts
set -euo pipefail
cd "$(dirname "$0")/.."

python -m ncjax train --config=configs/digits.py --workdir=runs/random_labels \
    --config.num_seeds=5 --config.num_epochs=1200 --config.eval.num_points=25 \
    --config.optimizer.weight_decay=5e-3 \
    --sweep.data.random_labels=0,0.25,0.5,0.75,1 \
    --sweep.model.widths="(128,128,128),(12,12,12)" "$@"
