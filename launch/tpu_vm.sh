#!/usr/bin/env bash
# A run on all hosts of a Cloud TPU slice; needs gcloud, here, and on every host a
# clone of this repository in FOLDER (default: ncjax) with `pip install '.[tfds]'
# 'jax[tpu]'` done in it, for example by the same means:
#
#     launch/tpu_vm.sh NAME ZONE [arguments of ncjax.main]
#     launch/tpu_vm.sh my-slice us-central2-b --config=configs/cifar10_ce.py \
#         --workdir=/mnt/shared/cifar10
#
# PYTHON is the interpreter on the hosts.  The same command again continues from the
# last checkpoint.
set -euo pipefail

if (($# < 2)); then
    echo "error: usage: launch/tpu_vm.sh NAME ZONE [arguments of ncjax.main]" >&2
    exit 2
fi
name=$1 zone=$2
shift 2
printf -v command '%q ' "${PYTHON:-python3}" -m ncjax.main "$@"
exec gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
    --command="cd ${FOLDER:-ncjax} && JAX_NUM_PROCESSES=auto $command"
