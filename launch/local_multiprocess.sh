#!/usr/bin/env bash
# Several processes on one machine, as on several hosts: to try a multi-host run.
#
#     launch/local_multiprocess.sh N [arguments of ncjax.main]
#     launch/local_multiprocess.sh 2 --config=configs/digits.py
#
# On CPUs (the default) each process has DEVICES virtual devices, 1 if not set.  With
# JAX_PLATFORMS=cuda process i has GPU i.  PYTHON is the interpreter.  When one process
# fails the others are ended; the same command continues from the last checkpoint.
# Needs bash 4.3 or newer.
set -euo pipefail

count=${1:-}
if ! [[ $count =~ ^[1-9][0-9]*$ ]]; then
    echo "error: usage: launch/local_multiprocess.sh N [arguments of ncjax.main]" >&2
    exit 2
fi
shift
python=${PYTHON:-python}
export JAX_PLATFORMS=${JAX_PLATFORMS:-cpu}
export JAX_NUM_CPU_DEVICES=${DEVICES:-1}
free='import socket; s = socket.create_server(("", 0)); print(s.getsockname()[1])'
JAX_COORDINATOR_ADDRESS=localhost:$("$python" -c "$free")
export JAX_COORDINATOR_ADDRESS
export JAX_NUM_PROCESSES=$count

pids=()
trap 'kill -KILL "${pids[@]}" 2>/dev/null || true' EXIT
trap 'stop TERM' INT TERM # processes in the background ignore INT
trap 'stop HUP' HUP

# The processes save the epoch under way; a second signal ends them at once.
stop() {
    trap 'exit 143' INT TERM
    kill -"$1" "${pids[@]}" 2>/dev/null || true
    status=0
    for pid in "${pids[@]}"; do
        wait "$pid" || status=$?
    done
    exit "$status"
}

for ((i = 0; i < count; i++)); do
    if [[ $JAX_PLATFORMS != cpu ]]; then
        export JAX_LOCAL_DEVICE_IDS=$i
    fi
    JAX_PROCESS_ID=$i "$python" -m ncjax.main "$@" &
    pids+=($!)
done

status=0
for ((i = 0; i < count; i++)); do
    wait -n || { status=$?; break; }
done
# One has failed: the others know why, and say it, or wait for it in vain.
for ((i = 0; i < 100 && status; i++)); do
    kill -0 "${pids[@]}" 2>/dev/null || break
    sleep 0.1
done
exit "$status"
