"""The safetensors files of a directory, and the tensors in them, each read when it is indexed."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import safetensors

from sycojax.errors import SycojaxError
from sycojax.files import POINTER, is_pointer, read_json
from sycojax.weights.hub import finish

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = {"F32", "F16", "BF16"}
# Old checkpoints store the rotary frequencies, which the config determines.
IGNORED = re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")


def open_files(directory: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    """Every stored tensor as a lazily read slice, by name."""
    tensors: dict[str, Any] = {}
    for file, promised in _weight_files(directory).items():
        try:
            handle = stack.enter_context(safetensors.safe_open(file, framework="numpy"))
        except (safetensors.SafetensorError, OSError) as error:
            raise damaged(file, error) from error
        stored = set(handle.keys())
        for problem, names in (
            ("lacks tensors that the index places there", promised - stored),
            ("repeats tensors of another file", stored & set(tensors)),
        ):
            if names:
                raise SycojaxError(f"{file} {problem}: {some(sorted(names))}")
        tensors.update({name: handle.get_slice(name) for name in stored})
    return {name: t for name, t in tensors.items() if not IGNORED.fullmatch(name)}


def damaged(file: Path, error: Exception) -> SycojaxError:
    """That ``file`` did not open, and what to do."""
    again = f"it is {POINTER}" if is_pointer(file) else "fetch it again"
    return SycojaxError(f"{file} is truncated or not a safetensors file ({error}); {again}")


def difference(expected: Set[str], stored: Set[str], limit: int = 5) -> str:
    """Which tensors are missing, or else which ones nobody expects; empty where they are the same."""
    for problem, names in (("missing", expected - stored), ("unexpected", stored - expected)):
        if names:
            return f"{problem} tensors {some(sorted(names), limit)}"
    return ""


def some(names: list[str], limit: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    more = len(names) - limit
    first = ", ".join(itertools.islice(names, limit))
    return f"{first} and {more} more" if more > 0 else first


def _weight_files(directory: Path) -> dict[Path, set[str]]:
    """The safetensors files, each with the tensors that the index (if any) promises in it."""
    if (directory / SINGLE).is_file():
        return {directory / SINGLE: set()}
    if not (directory / INDEX).is_file():
        pickled = sorted(p.name for p in directory.glob("*") if p.suffix in (".bin", ".pt", ".pth"))
        if pickled:
            raise SycojaxError(
                f"{directory} holds pickled weights only ({pickled[0]}): unpickling runs code, so they "
                "are refused; convert them to safetensors"
            )
        raise SycojaxError(
            f"{directory} holds neither {SINGLE} nor {INDEX}: it is no model, or its download stopped early "
            f"({finish(directory)})"
        )
    index = read_json(directory / INDEX)
    weight_map = index.get("weight_map") if isinstance(index, Mapping) else None
    if not isinstance(weight_map, Mapping) or not weight_map:
        raise SycojaxError(f"{directory / INDEX} has no weight_map")
    files: dict[Path, set[str]] = {}
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise SycojaxError(f"{directory / INDEX}: {shard!r} is not a file name")
        files.setdefault(directory / shard, set()).add(name)
    absent = sorted(file.name for file in files if not file.is_file())
    if absent:
        raise SycojaxError(
            f"{directory}: {len(absent)} of {len(files)} weight files are missing "
            f"({some(absent)}); the download is incomplete: {finish(directory)}"
        )
    return files
