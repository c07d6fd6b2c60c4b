#!/usr/bin/env bash
# Pack the commit that is checked out, as machines elsewhere get it, and print the path of the file.
set -euo pipefail
cd "$(dirname "$0")/.."
changed=$(git status --porcelain)
if [ -n "$changed" ]; then
  first=${changed%%$'\n'*}
  echo "the checkout has changes (${first:3}, ...): commit them first, machines get the commit, which study.json names" >&2
  exit 2
fi
file=build/$(git rev-parse --short HEAD)/sycojax.bundle
mkdir -p "${file%/*}"
git bundle create --quiet "$file" HEAD
echo "$file"
