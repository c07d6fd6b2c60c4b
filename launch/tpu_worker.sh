#!/usr/bin/env bash
# On a worker of a TPU VM: the study as a service of systemd, so that it outlives the SSH session and is told by
# SIGTERM when the machine is taken away.
# usage: tpu_worker.sh start WORKDIR ARGUMENT...  |  status  |  stop
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
ended=$HOME/.sycojax-ended # how the last study ended

case ${1:-} in
start)
  shift
  [ -f "$here/.venv/ready" ] || { echo "sycojax is not set up here: run setup first" >&2; exit 3; }
  if systemctl is-active --quiet sycojax; then
    echo "a study runs here already: follow it with logs, end it with stop" >&2
    exit 3
  fi
  case $1 in
  /mnt/sycojax/*)
    mountpoint -q /mnt/sycojax || { echo "the share is not mounted: run setup with --share" >&2; exit 3; }
    ;;
  esac
  rm -f "$ended"
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
  if [ -n "$stopped" ] && [ "$code" != 0 ]; then echo stopped; else echo "exit $code"; fi >"$ended"
  exit "$code"
  ;;
status)
  if systemctl is-active --quiet sycojax; then
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
  sudo systemctl stop sycojax
  ;;
*)
  sed -n '4s/^# //p' "$0" >&2
  exit 2
  ;;
esac
