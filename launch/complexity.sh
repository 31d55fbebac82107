#!/usr/bin/env bash
# Learning rate, batch size and weight decay against geometric complexity and CDNV:
# digits, an MLP with and without BatchNorm, 27 settings and 5 seeds of each: 270 networks
# in six programs, 9 minutes on two busy cores.  Run in a clone; extra arguments go to the
# run.  A run that is finished is not trained again.
#
#     launch/complexity.sh
#     python -m tests.benchmarks.studies.complexity   # the rest, the table, the verdicts
set -euo pipefail
cd "$(dirname "$0")/.."

python -m ncjax train --config=configs/digits.py --workdir=runs/complexity/settings \
    --config.num_seeds=5 --config.num_epochs=150 --config.eval.num_points=2 \
    --config.model.widths="(64,64,64)" --config.hierarchy.name=none \
    --config.eval.probes="('geometric_complexity',)" \
    --config.eval.gc_method=exact --config.eval.gc_examples=0 \
    --sweep.model.batch_norm=True,False --sweep.batch_size=32,128,512 \
    --sweep.optimizer.learning_rate=0.01,0.03,0.1 \
    --sweep.optimizer.weight_decay=5e-4,2e-3,8e-3 "$@"
