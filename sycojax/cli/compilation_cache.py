"""Compiled programs are stored between runs, so that the second start of a study costs no compilation.

JAX's own persistent cache, below ``$XDG_CACHE_HOME/sycojax/jax`` (``~/.cache`` by default); deleting it is safe. The
environment variable ``JAX_COMPILATION_CACHE_DIR`` names another directory, and
``JAX_ENABLE_COMPILATION_CACHE=false`` turns it off.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

import jax


def store_compiled() -> Path | None:
    """Point JAX at the user's cache unless JAX was told another one; returns the directory, None if unchanged.

    Call it before anything is compiled. A directory that cannot be made means no cache, not an error.
    """
    settings: Any = jax.config  # its type names no setting
    place = directory()
    if place is None or settings.jax_compilation_cache_dir:
        return None
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(place))
    return place


def directory() -> Path | None:
    """Where compiled programs are stored, whether it exists yet or not; None where JAX was told to store none."""
    settings: Any = jax.config
    if not settings.jax_enable_compilation_cache:
        return None
    if settings.jax_compilation_cache_dir:
        return Path(settings.jax_compilation_cache_dir)
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "sycojax" / "jax" / host()


def host() -> str:
    """A name for this kind of processor.

    Programs for the CPU use its instructions: where machines share a home directory, one that lacks some of them
    would die on a program of another.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    # "flags" on x86, "Features" on Arm; the order is the kernel's.
    flags = sorted({line for line in lines if line.startswith(("flags", "Features"))})
    described = [platform.machine(), platform.processor(), *flags]
    return f"{platform.machine()}-{hashlib.sha256(repr(described).encode()).hexdigest()[:12]}"
