#!/usr/bin/env bash
# A study on one TPU slice with nothing but gcloud:
#   launch/tpu_vm.sh all NAME --zone=ZONE --type=TYPE [--spot] -- study --config=FILE --workdir=gs://BUCKET/PATH
# `all` does these in turn, and each can be given by itself with the same flags:
#   create   check everything, then make the slice
#   setup    send this checkout's commit to every host and install it
#   run      start what stands after -- on every host, as a service that outlives the connection
#   logs     follow the log of the first host until the study ends, and end with its status
#   fetch    copy the workdir to --to=DIR (default: runs/NAME)
#   delete   give the slice back
# `stop` ends a study by SIGTERM: it saves, and `run` continues it.
# --share=HOST:/PATH is an NFS server for slices of several hosts, --hub-token=FILE a Hugging Face token to send.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)

fail() {
  echo "tpu_vm.sh: $*" >&2
  exit 2
}
[ $# -ge 2 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
verb=$1 name=$2
shift 2
zone='' type='' spot='' share='' token='' workdir='' to=runs/$name
while [ $# -gt 0 ]; do
  flag=$1 value=${1#*=}
  shift
  case $flag in
  --zone=*) zone=$value ;;
  --type=*) type=$value ;;
  --spot) spot=--spot ;;
  --share=*) share=$value ;;
  --hub-token=*) token=$value ;;
  --workdir=*) workdir=$value ;;
  --to=*) to=$value ;;
  --) break ;;
  *) fail "unknown flag $flag" ;;
  esac
done
study=("$@") # the sycojax command, its --workdir apart
for word in "$@"; do
  case $word in --workdir=*) workdir=${word#*=} ;; esac
done
[ -n "$zone" ] || fail "--zone=ZONE is missing, for example --zone=us-west4-a"
[ -z "$token" ] || [ -f "$token" ] || fail "--hub-token=$token is no file"
place=${share:+/mnt/sycojax/}$workdir # on the hosts
case $verb:$place in
fetch: | fetch:/mnt/sycojax/) fail "--workdir=DIR is missing: what shall be fetched?" ;;
fetch:gs://* | all:gs://*) ;;
fetch:* | all:*) [ ! -e "$to" ] || fail "$to exists already: choose another directory with --to=DIR" ;;
esac

tpu() { gcloud compute tpus tpu-vm "$@" --zone="$zone" --quiet; }
on() { tpu ssh "$name" --worker="$1" --command="$2"; }
# Prints the system image of --type, or says what is wrong with the study.
check() { (cd "$here" && python3 -m launch.tpu_vm --type="$type" --share="$share" -- "${study[@]}"); }

create() { # whatever can be wrong is said before it costs money
  local image bucket said
  bash "$here/launch/bundle.sh" >/dev/null
  image=$(check)
  case $workdir in
  gs://*)
    bucket=${workdir#gs://}
    said=$(gcloud storage ls "gs://${bucket%%/*}" 2>&1) || case $said in
    *"matched no objects"*) ;; # an empty one
    *) fail "cannot use gs://${bucket%%/*}: $said" ;;
    esac
    ;;
  esac
  tpu create "$name" --accelerator-type="$type" --version="$image" ${spot:+"$spot"}
}

setup() {
  local bundle
  bundle=$(bash "$here/launch/bundle.sh")
  tpu scp "$here/$bundle" "$here/launch/setup.sh" "$name:" --worker=all
  [ -z "$token" ] || tpu scp "$token" "$name:hub-token" --worker=all
  on all "bash setup.sh tpu $(printf '%q' "$share")"
}

# The single-quoted commands are for the hosts' shells.
# shellcheck disable=SC2016
run() {
  local words=() word ready='test -x sycojax/.venv/bin/sycojax' start
  type=$(tpu describe "$name" --format='value(acceleratorType.basename())')
  check >/dev/null
  for word in "${study[@]}"; do
    case $word in --workdir=*) words+=("--workdir=$place") ;; *) words+=("$word") ;; esac
  done
  [ -z "$share" ] || ready="mountpoint -q /mnt/sycojax && $ready"
  # The chips' driver locks memory, for which services have a small limit; the last copy to a bucket takes minutes.
  # A study that has failed stays known to systemd until it is forgotten.
  start='sudo systemctl reset-failed sycojax 2>/dev/null || true
    sudo systemd-run --quiet --unit=sycojax --uid="$(id -u)" --gid="$(id -g)" \
      --property=LimitMEMLOCK=infinity --property=LimitNOFILE=1048576 --property=TimeoutStopSec=600 \
      --property=StandardOutput="append:$HOME/sycojax.log" --property=StandardError="append:$HOME/sycojax.log" \
      --setenv=HOME="$HOME" --setenv=PATH="$PATH" --working-directory="$HOME/sycojax" "$HOME/sycojax/.venv/bin/sycojax"'
  on all "$ready || { echo 'not set up here, or without the share: run setup first' >&2; exit 3; }
    $start $(printf '%q ' "${words[@]}")"
}

# shellcheck disable=SC2016
logs() {
  on 0 'study=$(systemctl show sycojax --property=MainPID --value)
    if [ "$study" = 0 ]; then tail -n 100 sycojax.log; else tail -n 100 -F --pid="$study" sycojax.log; fi
    exit "$(systemctl show sycojax --property=ExecMainStatus --value)"'
}

stop() { on all 'sudo systemctl stop sycojax'; }

fetch() {
  local half
  case $place in
  gs://*)
    half=$(gcloud storage cat "$place/LATEST") # of two copies, the whole one
    mkdir -p "$to"
    gcloud storage rsync --recursive "$place/$half" "$to"
    ;;
  *)
    case $place in /*) ;; *) place=sycojax/$place ;; esac
    mkdir -p "$(dirname "$to")"
    rm -rf "$to.part"
    tpu scp --recurse "$name:$place" "$to.part" --worker=0
    mv "$to.part" "$to" # half a workdir must not look like one
    ;;
  esac
}

delete() { tpu delete "$name"; }

remind() {
  echo "tpu_vm.sh: this did not end well. $name, if it was made, costs money until it is given back:" >&2
  echo "  launch/tpu_vm.sh delete $name --zone=$zone" >&2
}

case $verb in
create | setup | run | logs | stop | fetch | delete) "$verb" ;;
all)
  trap remind EXIT
  create
  setup
  run
  logs
  fetch
  delete
  trap - EXIT
  ;;
*) fail "unknown verb $verb (create, setup, run, logs, stop, fetch, delete, all)" ;;
esac
