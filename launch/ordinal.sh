#!/usr/bin/env bash
# Do networks on ordinal levels collapse as theory says, and must thresholds learn?
# Six settings, five seeds each, on 2,000 images of MNIST, and the certified optimum
# beside them; about 10 minutes on 2 cores.  Run in a clone, with the data prepared
# (ncjax prepare mnist); extra arguments go to the study.
#
#     launch/ordinal.sh [--smoke]
set -euo pipefail
cd "$(dirname "$0")/.."

python -m ncjax ufm --config=configs/ufm_mnist_ordinal.py --workdir=runs/ufm_mnist_ordinal
python -m tests.benchmarks.studies.ordinal "$@"
