#!/usr/bin/env bash
# On every worker of a TPU VM: mount the share, check out the commit that came along, install it. Can be run again.
# usage: tpu_setup.sh [HOST:/PATH]
set -euo pipefail
cd "$HOME"
share=${1:-}

if [ -n "$share" ]; then
  if ! mountpoint -q /mnt/sycojax; then
    command -v mount.nfs >/dev/null || { sudo apt-get update -q && sudo apt-get install -qy nfs-common; }
    sudo mkdir -p /mnt/sycojax
    grep -qs ' /mnt/sycojax ' /etc/fstab ||
      echo "$share /mnt/sycojax nfs defaults,hard,_netdev 0 0" | sudo tee -a /etc/fstab >/dev/null
    sudo mount /mnt/sycojax
  fi
  [ -w /mnt/sycojax ] || sudo chown "$(id -u):$(id -g)" /mnt/sycojax
fi

if [ -f hub-token ]; then  # where huggingface-hub looks for it
  mkdir -p .cache/huggingface
  chmod 600 hub-token
  mv hub-token .cache/huggingface/token
fi

rm -f sycojax/.venv/ready
if [ ! -d sycojax/.git ]; then
  git clone --quiet sycojax.bundle sycojax
else
  git -C sycojax fetch --quiet ../sycojax.bundle HEAD
  git -C sycojax reset --quiet --hard FETCH_HEAD
fi

# The image's own Python may be older than 3.11, so uv brings one; a single program, installed for this user.
command -v .local/bin/uv >/dev/null || PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user uv
uv=$HOME/.local/bin/uv
cd sycojax
[ -x .venv/bin/python ] || "$uv" venv --quiet --python 3.12 .venv
"$uv" pip install --quiet --python .venv/bin/python --editable '.[tpu]'
touch .venv/ready
.venv/bin/sycojax --version
