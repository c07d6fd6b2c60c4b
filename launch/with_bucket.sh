#!/usr/bin/env bash
# Run COMMAND, which writes to WORKDIR, with WORKDIR kept in a bucket: brought back before the start where there is none
# here, copied there every 10 minutes and at the end. For one machine.
# usage: with_bucket.sh gs://BUCKET/PATH WORKDIR COMMAND...
#
# Two copies take turns, PATH/a and PATH/b, and PATH/LATEST names the one that is whole: whenever the machine dies, the
# copy that will be read is not the one being written.
set -euo pipefail
set -m # every job is a process group of its own, so that an unfinished copy can be ended as a whole
[ $# -ge 3 ] || { sed -n '4s/^# //p' "$0" >&2; exit 2; }
bucket=${1%/} workdir=${2%/}
shift 2
every=${SYCOJAX_COPY_SECONDS:-600}
still=$workdir.still # links to the files as they were at one moment

fail() {
  echo "with_bucket: $*" >&2
  exit 74
}

# Which copy is whole; empty in a bucket without one. Not to be able to look must never read as "nothing there".
latest() {
  local said
  if said=$(gcloud storage cat "$bucket/LATEST" 2>&1); then
    case $said in
    a | b) echo "$said" ;;
    *) fail "$bucket/LATEST holds neither a nor b" ;;
    esac
  else
    case $said in
    *'matched no objects'*) ;;
    *) fail "cannot read $bucket: ${said%%$'\n'*}" ;;
    esac
  fi
}

checkpoints() { find "$workdir" -path '*/checkpoints/*' -prune -print | sort; }

copy() {
  local whole next before file
  [ -d "$workdir" ] || return 0 # the command has written nothing yet
  whole=$(latest) || return 1
  if [ "$whole" = a ]; then next=b; else next=a; fi
  rm -rf "$still"
  before=$(checkpoints)
  cp -al "$workdir" "$still" || return 1
  [ "$before" = "$(checkpoints)" ] || return 1 # one came or went in between
  find "$still" -name '*.orbax-checkpoint-tmp*' -prune -exec rm -rf {} +
  # Logs are written on in place, so they need copies of their own; everything else is replaced as a whole.
  find "$still" \( -name metrics.jsonl -o -name 'events.out.*' \) -print0 |
    while IFS= read -r -d '' file; do cp -p "$file" "$file.now" && mv -f "$file.now" "$file"; done
  gcloud storage rsync --quiet --recursive --delete-unmatched-destination-objects "$still" "$bucket/$next" &&
    printf %s "$next" | gcloud storage cp --quiet - "$bucket/LATEST"
}

whole=$(latest)
date -u +%FT%TZ | gcloud storage cp --quiet - "$bucket/STARTED" || fail "cannot write to $bucket"
if [ -n "$whole" ] && [ ! -e "$workdir" ]; then
  rm -rf "$workdir.coming"
  mkdir -p "$workdir.coming"
  gcloud storage rsync --quiet --recursive "$bucket/$whole" "$workdir.coming" ||
    fail "cannot bring the workdir back from $bucket/$whole"
  mv "$workdir.coming" "$workdir"
  echo "with_bucket: $workdir brought back from $bucket/$whole" >&2
fi

child='' told='' # before the command starts: whoever is told to stop this early is still copied
trap 'told=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' TERM INT
"$@" &
child=$!
[ -z "$told" ] || kill -TERM "$child" 2>/dev/null || true
while sleep "$every"; do
  copy || echo "with_bucket: a copy failed; the next one is in $every s" >&2
done &
copier=$!
while :; do # a signal ends `wait`, not the command
  code=0
  wait "$child" || code=$?
  [ -n "$told" ] || break
  told=''
done
kill -TERM -- "-$copier" 2>/dev/null || true
# A signal to the whole service ends the sleep as well, which must not end the script before the last copy.
while kill -0 -- "-$copier" 2>/dev/null; do sleep 0.1 || true; done
copy || copy || fail "cannot copy $workdir to $bucket; it is still on this machine (the command ended with $code)"
rm -rf "$still"
exit "$code"
