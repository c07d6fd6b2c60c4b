#!/usr/bin/env bash
# Minutes on a bare machine with an accelerator, which may have no network and no more than Python with jax.
#   benchmarks/accelerator.sh pack                  here: fetch what such a machine may lack into build/wheels
#   benchmarks/accelerator.sh --out=FILE ...        there: measure (python -m benchmarks.accelerator --help)
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
wheels=build/wheels

if [[ ${1:-} == pack ]]; then
  # Pure Python. lm_eval and dill are for the peer of scoring; what else they ask for is not used here.
  mkdir -p "$wheels"
  "$python" -m pip download --quiet --no-deps --only-binary=:all: --platform=any --python-version=3.12 \
    --dest="$wheels" 'ml-collections>=1.0,<2' 'lm_eval>=0.4.13,<0.5' dill
  du -ch "$wheels"/*.whl
  exit
fi

site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if compgen -G "$wheels/*.whl" > /dev/null; then
  "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --no-index --no-deps --no-compile --target="$site" "$wheels"/*.whl
fi
export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
# Programs of one run are there for the next.
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-build/compiled}
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
"$python" -m benchmarks.accelerator "$@"
