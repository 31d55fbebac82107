#!/usr/bin/env bash
# More classes than dimensions: 100 Gaussian classes in 10 dimensions, an MLP that ends
# on the sphere, cross-entropy at several temperatures, 5 seeds, all in one program; and
# two low temperatures once more, for four times as long.  Run in a clone; extra
# arguments go to each run.  A run that is finished is not trained again.  10 minutes
# of 2 cores.
#
#     launch/spherical.sh
#     python -m tests.benchmarks.studies.spherical   # the rest, the table, the verdicts
set -euo pipefail
cd "$(dirname "$0")/.."

out=runs/spherical
recipe=(
    --config=configs/own_arrays.py --config.num_seeds=5 --config.hierarchy.name=none
    --config.data.name=synthetic --config.data.num_classes=100
    --config.data.branching=100 --config.data.noise=1.0
    --config.data.train_size_per_class=40 --config.data.test_size_per_class=20
    --config.model.widths="(128,128)" --config.batch_size=200
    --config.loss.name=normface --config.classifier.project=10
    --config.classifier.temperature=1.0 --config.optimizer.learning_rate=0.5
    --config.optimizer.weight_decay=5e-4 --config.eval.num_points=6
)
# 1, 1/5, 1/6 and 1/7 are the published temperatures.
python -m ncjax train "${recipe[@]}" --config.num_epochs=100 --workdir="$out/heads" \
    --sweep.loss.temperature=1,0.2,0.16667,0.14286,0.1,0.05,0.025 "$@"
python -m ncjax train "${recipe[@]}" --config.num_epochs=400 --workdir="$out/longer" \
    --sweep.loss.temperature=0.1,0.05 "$@"
# Is it the learning rate that holds back the low temperatures?  Another seed.
python -m ncjax train "${recipe[@]}" --config.num_epochs=100 --workdir="$out/rates" \
    --config.seed=1000 --config.num_seeds=1 --sweep.loss.temperature=0.1,0.05,0.025 \
    --sweep.optimizer.learning_rate=0.5,2,8 "$@"
