#!/usr/bin/env bash
# On a worker of a TPU VM: the study as a service of systemd, so that it outlives the SSH session and is told by
# SIGTERM when the machine is taken away.
# usage: tpu_worker.sh start WORKDIR ARGUMENT...  |  status  |  stop
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
ended=$HOME/.sycojax-ended # how the last study ended
asked=$HOME/.sycojax-stop  # that it was told to stop by `stop`

# Whether a study is there; one that has been told to end may take minutes for its last copy.
there() {
  case $(systemctl is-active sycojax || true) in
  active | activating | reloading | deactivating) return 0 ;;
  *) return 1 ;;
  esac
}

case ${1:-} in
start)
  shift
  [ -f "$here/.venv/ready" ] || { echo "sycojax is not set up here: run setup first" >&2; exit 3; }
  if there; then
    echo "a study runs here already: follow it with logs, end it with stop" >&2
    exit 3
  fi
  case $1 in
  /mnt/sycojax/*)
    mountpoint -q /mnt/sycojax || { echo "the share is not mounted: run setup with --share" >&2; exit 3; }
    ;;
  esac
  rm -f "$ended" "$asked"
  # The chips' driver locks memory, for which services have a small limit; the last copy to a bucket takes minutes.
  sudo systemd-run --quiet --collect --unit=sycojax --uid="$(id -u)" --gid="$(id -g)" \
    --property=LimitMEMLOCK=infinity --property=LimitNOFILE=1048576 --property=TimeoutStopSec=600 \
    --setenv=HOME="$HOME" --setenv=PATH="$PATH" --working-directory="$here" \
    bash "$here/launch/tpu_worker.sh" body "$@"
  ;;
body) # what systemd runs
  workdir=$2
  shift 2
  stopped='' told=''
  trap 'stopped=1 told=1' TERM # systemd tells every process of the service, the study too
  .venv/bin/sycojax "$@" --workdir="$workdir" >>"$HOME/sycojax.log" 2>&1 &
  while :; do # a signal ends `wait`, not the study
    code=0
    wait $! || code=$?
    [ -n "$told" ] || break
    told=''
  done
  # Told to end by anyone but `stop`, it is the machine that goes down: the study has not ended, only this attempt,
  # and where the machine comes back it can be started again. (Out of memory, 137, systemd ends the rest by SIGTERM, too.)
  if [ -z "$stopped" ] || [ "$code" = 0 ] || [ "$code" = 137 ]; then
    echo "exit $code" >"$ended"
  elif [ -f "$asked" ]; then
    echo stopped >"$ended"
  fi
  exit "$code"
  ;;
status)
  if there; then
    echo running
  elif [ ! -f "$here/.venv/ready" ]; then
    echo fresh
  elif [ -f "$ended" ]; then
    cat "$ended"
  else
    echo none
  fi
  ;;
stop)
  # One that has ended is no unit any more, which systemctl would call an error.
  there || { echo "no study runs here"; exit 0; }
  touch "$asked"
  sudo systemctl stop sycojax
  ;;
*)
  sed -n '4s/^# //p' "$0" >&2
  exit 2
  ;;
esac
