#!/usr/bin/env bash
# A sweep of eight cells on a real Slurm, through everything that a cluster does to jobs, and then the same cells in one
# process: they must be equal bit for bit. For developers with root on a Slurm of one node of four CPUs that preempts
# (partition urgent, PreemptMode=REQUEUE, a GraceTime):
#
#     scripts/cluster_test.sh [COMMAND THAT RUNS ITS ARGUMENTS WHERE SLURM IS]
#
# PYTHON: the interpreter with the extra slurm; ITERATIONS: of a cell, which should train for about two minutes. Takes
# about ten minutes, most of which requeued jobs wait, and ends with status 0 where all is as it must be.
set -uo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
within=("$@")
python=${PYTHON:-$repository/.venv/bin/python}
place=$(mktemp -d)
export PYTHONPATH=$repository OMP_NUM_THREADS=1
cd "$place" || exit 1

cells=(data=ring8 arch.width=16 device=cpu "train.iterations=${ITERATIONS:-30000}" train.checkpoint_every=null
  train.sample_every=null train.log_every=1000 fid.every=null "loss=sgan,rsgan,rasgan,lsgan,ralsgan,hinge,rahinge,rsgan_gp")
slurm=(hydra/launcher=slurm hydra.launcher.gpus_per_node=null hydra.launcher.cpus_per_task=1
  hydra.launcher.signal_delay_s=20)
in_slurm() { timeout 30 "${within[@]}" "$@"; } # scancel waits for a job that it signals, also while that is requeued
started=()
trap 'kill "${started[@]}" 2>/dev/null; [ -z "${array:-}" ] || in_slurm scancel "$array" 2>/dev/null' EXIT

launch() { # LOG: the sweep, in the background; its number is in $launcher
  # Started by Python, since what bash puts into the background is deaf to Ctrl-C.
  "$python" -c 'import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "w"), stderr=subprocess.STDOUT).wait())' "$1" \
    "${within[@]}" "$python" -m rgan_bench -m "${cells[@]}" "${slurm[@]}" &
  started+=("$!")
  launcher=$!
}
state() { in_slurm squeue --me --noheader --array --format='%i %T' | awk -v job="$1" '$1 == job {print $2}'; }
wait_until() { # SECONDS COMMAND…
  local until=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt $until ] || { echo "waited in vain: $*"; exit 1; }; sleep 1; done
}
is() { [ "$(state "$1")" = "$2" ]; }
is_not() { [ "$(state "$1")" != "$2" ]; }
trains() { # a job that runs, and whose cell has begun to train
  is "$1" RUNNING && grep -q 'training  ' "$sweep/.submitit/$1/"*.out 2>/dev/null
}
happens() { echo "$(date +%T) $*"; }

launch one.log
wait_until 120 grep -qs 'on Slurm: job' one.log
array=$(grep -oE 'jobs [0-9]+' one.log | grep -oE '[0-9]+')
sweep=$(grep -oE 'logs: .*/\.submitit' one.log | sed 's/logs: //; s#/\.submitit##')
for job in 0 1 2 3; do wait_until 120 trains "${array}_$job"; done
happens "SIGUSR2 to ${array}_0";               in_slurm scancel --signal=USR2 "${array}_0" &
happens "requeue of ${array}_1";               in_slurm scontrol requeue "${array}_1"
wait_until 60 is_not "${array}_0" RUNNING
wait_until 60 is_not "${array}_1" RUNNING
for job in 4 5; do wait_until 120 trains "${array}_$job"; done
happens "the time of ${array}_4 is up";        in_slurm scontrol update "JobId=${array}_4" TimeLimit=1
victim=$(for id in $(pgrep -f submitit.core._submit); do
  grep -zq "^SLURM_ARRAY_JOB_ID=$array$" "/proc/$id/environ" && grep -zq '^SLURM_ARRAY_TASK_ID=5$' "/proc/$id/environ" &&
    grep -q python "/proc/$id/comm" && echo "$id"
done)
happens "SIGKILL to the process of ${array}_5 ($victim)"; kill -9 "$victim"
happens "Ctrl-C on the launcher, and the same command again"
kill -INT "$(pgrep -P "$launcher" | head -1)"; wait "$launcher"; echo "  status $?"; tail -1 one.log
wait_until 60 test -z "$(state "${array}_5")"
launch two.log
wait_until 120 grep -qs 'sent off before' two.log
grep 'sent off before\|on Slurm' two.log | sed 's/^/  /'
happens "a job that is more urgent takes all CPUs"
in_slurm sbatch --partition=urgent --ntasks=4 --output=/dev/null --wrap 'sleep 5'
wait_until 60 grep -q COMPLETING two.log
for job in 1 4; do # what was requeued gets its time back
  in_slurm scontrol update "JobId=${array}_$job" TimeLimit=240 2>/dev/null
done
wait "$launcher"; status=$?
happens "the second call ended with status $status"; cat two.log
launch three.log; wait "$launcher"; status=$?
happens "the third call ended with status $status"; tail -9 three.log

echo "the same cells in one process"
"$python" -m rgan_bench -m "${cells[@]}" output_root=alone >alone.log 2>&1 || { tail -20 alone.log; exit 1; }
"$python" - <<'END'
import sys
from pathlib import Path

from scripts.crash_test import differences

found = {path.name: differences(path, Path("alone") / path.name) for path in Path("outputs").glob("ring8_*")}
for name, parts in sorted(found.items()):
    print(f"{name}: {', '.join(parts) or 'equal bit for bit'}")
sys.exit(len(found) != 8 or any(found.values()))
END
different=$?
trap - EXIT
if [ $status -ne 0 ] || [ $different -ne 0 ]; then
  echo "NOT as it must be: $place"
  exit 1
fi
rm -r "$place" && echo "all as it must be"
