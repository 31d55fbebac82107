#!/usr/bin/env bash
# Learning rate, batch size and weight decay against geometric complexity and CDNV:
# digits, an MLP with and without BatchNorm, 27 settings and 5 seeds of each, and four
# weights of the penalty on the complexity: 310 networks in eight programs, 10 minutes
# on two cores.  Run in a clone; extra arguments go to each run.  A run that is finished
# is not trained again.
#
#     launch/complexity.sh
#     python -m tests.benchmarks.studies.complexity   # the table and the verdicts
set -euo pipefail
cd "$(dirname "$0")/.."

sweep() {
    python -m ncjax train --config=configs/digits.py --config.num_seeds=5 \
        --config.num_epochs=150 --config.eval.num_points=2 \
        --config.model.widths="(64,64,64)" --config.eval.probes="('geometric_complexity',)" \
        --config.eval.gc_method=exact --config.eval.gc_examples=0 "$@"
}

sweep --workdir=runs/complexity/settings --sweep.model.batch_norm=True,False \
    --sweep.batch_size=32,128,512 --sweep.optimizer.learning_rate=0.01,0.03,0.1 \
    --sweep.optimizer.weight_decay=5e-4,2e-3,8e-3 "$@"
sweep --workdir=runs/complexity/penalty --sweep.model.batch_norm=True,False \
    --config.optimizer.weight_decay=2e-3 --sweep.loss.gc_penalty=0,1e-4,1e-3,1e-2 "$@"
