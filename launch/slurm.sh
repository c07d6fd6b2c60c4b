#!/usr/bin/env bash
# A study as a Slurm job. Options before the script override these lines; what follows the script goes to sycojax:
#   sbatch launch/slurm.sh study --config=configs/llama2_7b.py --workdir=runs/llama2_7b
#   sbatch --nodes=2 --ntasks-per-node=8 --gpus-per-node=8 launch/slurm.sh study --config=... --workdir=...
# One task drives all GPUs of one node. Several nodes need a task per GPU: JAX gives each Slurm task one device.
#SBATCH --job-name=sycojax
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=sycojax-%j.log
set -euo pipefail
sycojax=${SYCOJAX:-.venv/bin/sycojax} # on all nodes; may be "apptainer run --nv sycojax.sif"

fail() {
  echo "slurm.sh: $*" >&2
  exit 2
}
[ -n "${SLURM_JOB_ID:-}" ] || fail "this is a batch script: sbatch launch/slurm.sh study --config=FILE --workdir=DIR"
[ $# -gt 0 ] || fail "what should run? For example: study --config=configs/toy.py --workdir=runs/toy"
workdir=''
for argument in "$@"; do
  case $argument in --workdir=*) workdir=${argument#*=} ;; esac
done
case $workdir in
'') fail "--workdir=DIR is missing: a directory that all nodes see" ;;
*://*) fail "--workdir must be a directory that all nodes see" ;;
esac
command -v "${sycojax%% *}" >/dev/null ||
  fail "${sycojax%% *} is not here ($PWD): install sycojax there, submit from there, or set SYCOJAX to its command"
nodes=${SLURM_JOB_NUM_NODES:-1} tasks=${SLURM_NTASKS:-1} gpus=${SLURM_GPUS_ON_NODE:-0}
if [ "$tasks" -gt 1 ] && [ "$gpus" -gt 0 ] && [ "$tasks" -ne $((nodes * gpus)) ]; then
  fail "$tasks tasks on $nodes x $gpus GPUs: several tasks need one per GPU, --ntasks-per-node=$gpus"
fi
if [ "$nodes" -gt 1 ] && [ "$tasks" -lt "$nodes" ]; then
  fail "$nodes nodes but $tasks tasks: give --ntasks-per-node"
fi

# Five minutes before the time limit Slurm signals this script with USR1. The study then finishes its step, saves and
# ends, and the job goes back into the queue, where the same command continues it. (A job that Slurm preempts gets
# SIGTERM, and Slurm itself puts it back; one that is cancelled must not come back.)
told='' again='' job=$SLURM_JOB_ID
# The last task of an array has the id of the whole array, which Slurm would take it for.
[ -z "${SLURM_ARRAY_JOB_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
trap 'told=1 again=1; scancel --signal=TERM "$job.0" || true' USR1
trap 'told=1; scancel --signal=TERM "$job.0" || true' TERM

export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # which srun no longer takes over by itself
# A task that has saved and ended must not take along those that still write.
# shellcheck disable=SC2086 # may be several words
srun --kill-on-bad-exit=0 $sycojax "$@" &
step=$!
while :; do # a signal ends `wait`, not the step
  code=0
  wait "$step" || code=$?
  [ -n "$told" ] || break
  told=''
done
if [ -n "$again" ] && [ "$code" -ne 0 ]; then
  scontrol requeue "$job" || fail "cannot requeue this job: submit the same command again to continue"
  echo "slurm.sh: stopped before the time limit and requeued, to continue"
  exit 0
fi
exit "$code"
