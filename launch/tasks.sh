#!/usr/bin/env bash
# Do the frames of two tasks come to stand at right angles, and where labels are
# correlated as theory says?  Two digits of MNIST side by side, five settings, five
# seeds each; about 10 minutes on 2 cores.  Run in a clone, with the data prepared (ncjax
# prepare mnist); an argument is the folder of the runs.
#
#     launch/tasks.sh [WORKDIR]
set -euo pipefail
cd "$(dirname "$0")/.."

python -m ncjax ufm --config=configs/ufm_mnist_pairs_tasks.py --workdir=runs/ufm_tasks
python -m tests.benchmarks.studies.tasks --workdir="${1:-runs/tasks}"
