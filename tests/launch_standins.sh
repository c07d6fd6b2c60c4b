#!/usr/bin/env bash
# Stand-ins for the programs that launching calls: launch_standins.sh TOOL ARGUMENT...
# The directory $STANDINS holds `calls`, every command line in order; vms/NAME/worker-I/, the home directories of a slice's
# hosts, in which `gcloud ... ssh` really runs its command; and buckets/. A command line that holds $FAIL fails. Of a tool
# that has no function here only the call matters.
set -euo pipefail

call() {
  local words
  words=$(printf '%s\037' "$@")
  printf '%s\036' "$words" >>"$STANDINS/calls"
  [[ -z ${FAIL:-} || "$*" != *"$FAIL"* ]] || leave 1 "stand-in: $FAIL fails"
  if declare -F "$1" >/dev/null; then "$@"; fi
}

leave() { # STATUS TEXT
  echo "$2" >&2
  exit "$1"
}

flag() { # NAME ARGUMENT...
  local name=$1 word
  shift
  for word in "$@"; do
    case $word in "--$name="*) echo "${word#*=}" ;; esac
  done
}

located() { # where a bucket's path or one below the share lies here
  local path=${1/\/mnt\/sycojax/$STANDINS\/share}
  echo "${path/gs:\/\//$STANDINS\/buckets\/}"
}

# ---------------------------------------------------------------- gcloud: TPU VMs and buckets

gcloud() { # what it does once per project, only the call matters
  case "$*" in
  "compute tpus tpu-vm "*) "vm-$4" "${@:5}" ;;
  "storage buckets create "*) mkdir -p "$(located "$4")" ;;
  "storage ls "*) list "${3#gs://}" ;;
  "storage cat "*) cat "$(located "$3")" ;;
  "storage rsync "*) mkdir -p "$5" && cp -r "$(located "$4")/." "$5" ;;
  esac
}

list() {
  local path
  [ -d "$STANDINS/buckets/${1%%/*}" ] || leave 1 "ERROR: (gcloud.storage.ls) gs://$1 not found: 404."
  for path in "$STANDINS/buckets"/$1; do echo "gs://${path#"$STANDINS/buckets/"}"; done
}

vm-create() {
  local kind worker
  kind=$(flag accelerator-type "$@")
  for ((worker = 0; worker == 0 || worker < (${kind##*-} > 8 ? ${kind##*-} / 4 : 0); worker++)); do
    mkdir -p "$STANDINS/vms/$1/worker-$worker"
  done
  echo "$kind" >"$STANDINS/vms/$1/type"
}
vm-describe() { cat "$STANDINS/vms/$1/type"; }
vm-delete() { rm -r "$STANDINS/vms/$1"; }

hosts() { # NAME FLAG...: their home directories
  local worker
  worker=$(flag worker "$@")
  compgen -G "$STANDINS/vms/$1/worker-${worker/all/*}"
}

vm-ssh() {
  local host status=0
  for host in $(hosts "$@"); do
    (cd "$host" && HOME=$host bash -c "$(flag command "$@")") || status=$?
  done
  exit "$status"
}

vm-scp() {
  local words=() word host target
  for word in "$@"; do
    case $word in --*) ;; *) words+=("$word") ;; esac
  done
  target=${words[-1]}
  case $target in
  *:*)
    for host in $(hosts "${target%%:*}" "$@"); do cp "${words[@]::${#words[@]}-1}" "$host/${target#*:}"; done
    ;;
  *)
    host=$(hosts "${words[0]%%:*}" "$@")
    word=$(located "${words[0]#*:}")
    case $word in /*) ;; *) word=$host/$word ;; esac
    cp -r "$word" "$target"
    ;;
  esac
}

# ---------------------------------------------------------------- what a host has

sudo() { call "$@"; }
mount() { echo "${*: -2:1}" >"$HOME/.mounted"; }
mountpoint() { [ -f "$HOME/.mounted" ]; }
findmnt() { cat "$HOME/.mounted"; }

python() { # what installs, there are stand-ins for
  case $2 in
  pip) mkdir -p "$HOME/.local/bin" && cp "$STANDINS/bin/uv" "$HOME/.local/bin" ;;
  venv) mkdir -p "$3/bin" && touch "$3/bin/activate" && cp "$STANDINS/bin/sycojax" "$3/bin" ;;
  esac
}
uv() {
  case $1 in
  venv) mkdir -p .venv/bin && cp "$STANDINS/bin/python" .venv/bin ;;
  pip) cp "$STANDINS/bin/sycojax" .venv/bin ;;
  esac
}

systemd-run() { # a service is a process, and the file with its status once it has ended
  local log directory
  log=$(flag property "$@" | sed -n 's/StandardOutput=append://p')
  directory=$(flag working-directory "$@")
  while [[ $1 == --* ]]; do shift; done
  rm -f "$HOME/.status"
  # shellcheck disable=SC2016 # for that shell
  (cd "$directory" && exec setsid bash -c '"$@"; echo $? >"$HOME/.status"' bash "$@") </dev/null >>"$log" 2>&1 &
  echo "$!" >"$HOME/.process"
}
systemctl() {
  case "$*" in
  "show "*MainPID*) if [ -f "$HOME/.status" ]; then echo 0; else cat "$HOME/.process"; fi ;;
  "show "*ExecMainStatus*) cat "$HOME/.status" ;;
  esac
}

sycojax() { # writes its words into the workdir; ends with $STUDY_STATUS, or where $STUDY_WAITS is set by SIGTERM
  local workdir
  [ "$*" != --version ] || { echo "sycojax 0" && return; }
  echo "the study begins"
  if [ -n "${STUDY_WAITS:-}" ]; then
    trap 'leave 2 "the study stops"' TERM
    touch "$STANDINS/under-way-$SLURM_PROCID"
    for _ in {1..600}; do sleep 0.1; done
  fi
  [ -z "${STUDY_STATUS:-}" ] || leave "$STUDY_STATUS" "sycojax: a wrong setting"
  workdir=$(located "$(flag workdir "$@")")
  mkdir -p "$workdir"
  case $workdir in "$STANDINS/buckets/"*) printf a >"$workdir/LATEST" && workdir+=/a && mkdir -p "$workdir" ;; esac
  printf '%s\n' "$@" >"$workdir/study.json"
}

# ---------------------------------------------------------------- clusters

sbatch() { # runs the script at once, as Slurm would; a study that waits meets its time limit
  local given=() log status=0 nodes tasks
  while [[ $1 == --* ]]; do given+=("$1") && shift; done
  mapfile -t options < <(sed -n 's/^#SBATCH //p' "$1")
  setting() { flag "$1" "${options[@]}" "${given[@]}" | tail -n 1; }
  nodes=$(setting nodes) tasks=$(setting ntasks-per-node)
  export SLURM_JOB_ID=77 SLURM_JOB_NUM_NODES=$nodes SLURM_NTASKS=$((nodes * tasks))
  SLURM_GPUS_ON_NODE=$(setting gpus-per-node) SLURM_CPUS_PER_TASK=$(setting cpus-per-task)
  export SLURM_GPUS_ON_NODE SLURM_CPUS_PER_TASK
  log=$(setting output)
  bash "$@" >>"${log/\%j/77}" 2>&1 &
  if [ -n "${STUDY_WAITS:-}" ]; then
    [ "$(setting signal)" = B:USR1@300 ]
    until [ -f "$STANDINS/step" ] && [ "$(compgen -G "$STANDINS/under-way-*" | wc -l)" = "$SLURM_NTASKS" ]; do sleep 0.1; done
    kill -USR1 $!
  fi
  wait $! || status=$?
  exit "$status"
}

srun() {
  local task steps=() status=0
  while [[ $1 == --* ]]; do shift; done
  for ((task = 0; task < SLURM_NTASKS; task++)); do
    SLURM_PROCID=$task env "$@" & # the program, not the function of that name
    steps+=($!)
  done
  echo "${steps[*]}" >"$STANDINS/step"
  for task in "${steps[@]}"; do wait "$task" || status=$?; done
  exit "$status"
}
scancel() { xargs kill -TERM <"$STANDINS/step"; }

kubectl() {
  case "$*" in *--filename=-*) cat >/dev/null ;; esac
}

call "$@"
