#!/usr/bin/env bash
# On a machine made for a study: mount the share, check out the commit that came along, install it. Can be run again.
# usage: setup.sh EXTRA [HOST:/PATH], beside sycojax.bundle
set -euo pipefail
cd "$HOME"
extra=$1 share=${2:-}

if [ -n "$share" ]; then
  if mountpoint -q /mnt/sycojax; then
    mounted=$(findmnt --noheadings --output=SOURCE /mnt/sycojax)
    [ "${mounted%/}" = "${share%/}" ] || {
      echo "/mnt/sycojax is $mounted on this machine, not $share: delete the machine, or give --share=$mounted" >&2
      exit 3
    }
  else
    # A new machine may still be upgrading itself, and holds apt's lock.
    apt='apt-get -qy -o DPkg::Lock::Timeout=600'
    # shellcheck disable=SC2086 # several words
    command -v mount.nfs >/dev/null || { sudo $apt update && sudo $apt install nfs-common; }
    sudo mkdir -p /mnt/sycojax
    # Each host must see at once what the first one wrote; NFS would remember for a minute what was not there.
    sudo mount -t nfs -o hard,actimeo=0 "$share" /mnt/sycojax
  fi
  [ -w /mnt/sycojax ] || sudo chown "$(id -u):$(id -g)" /mnt/sycojax
fi

if [ -f hub-token ]; then  # where huggingface-hub looks for it
  mkdir -p .cache/huggingface
  chmod 600 hub-token
  mv hub-token .cache/huggingface/token
fi

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
"$uv" pip install --quiet --python .venv/bin/python --editable ".[$extra]"
.venv/bin/sycojax --version
