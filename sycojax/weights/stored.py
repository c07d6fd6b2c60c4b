"""The safetensors files of a directory, or a GGUF file, and the tensors in them, each read when it is indexed."""

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
from sycojax.weights.gguf import open_tensors
from sycojax.weights.hub import finish, hub_id
from sycojax.weights.names import HEAD, base_name

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Of a hub's repository only the index of pickled weights is fetched.
_PICKLED = re.compile(r"(pytorch_model|consolidated|model).*\.(bin|pt|pth)(\.index\.json)?")
DTYPES = {"F64", "F32", "F16", "BF16"}
_SHARD = re.compile(r"model-\d{5}-of-(\d{5})\.safetensors")


def open_files(directory: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    """Every stored tensor as a lazily read slice, by the name that transformers gives it.

    ``directory`` is a directory or a GGUF file.
    """
    if directory.is_file():
        return dict(open_tensors(directory))
    tensors: dict[str, Any] = {}
    for file, promised in _weight_files(directory).items():
        try:
            handle = stack.enter_context(safetensors.safe_open(file, framework="numpy"))
        except (safetensors.SafetensorError, OSError) as error:
            raise damaged(file, error) from error
        stored = {name: base_name(name) for name in sorted(handle.keys())}
        # An index may name a head that is tied and stored once. Where it is not, it is missed later.
        absent = promised - stored.keys() - {HEAD}
        if absent:
            raise SycojaxError(
                f"{file} lacks tensors that the index places there: {some(sorted(absent))}"
            )
        for written, name in stored.items():
            if name in tensors:
                raise SycojaxError(f"{file} repeats a tensor that is there already: {written}")
            if name is not None:
                tensors[name] = handle.get_slice(written)
    return tensors


def damaged(file: Path, error: Exception) -> SycojaxError:
    """That ``file`` did not open, and what to do."""
    again = f"it is {POINTER}" if is_pointer(file) else "fetch it again"
    return SycojaxError(f"{file} is truncated or not a safetensors file ({error}); {again}")


def difference(expected: Set[str], stored: Set[str], limit: int = 5) -> str:
    """Which tensors are missing, and which ones nobody expects; empty where they are the same."""
    found = [
        f"{problem} tensors {some(sorted(names), limit)}"
        for problem, names in (("missing", expected - stored), ("unexpected", stored - expected))
        if names
    ]
    return "; ".join(found)


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
        return {file: set() for file in _whole_set(directory)}
    index = read_json(directory / INDEX)
    weight_map = index.get("weight_map") if isinstance(index, Mapping) else None
    if not isinstance(weight_map, Mapping) or not weight_map:
        raise SycojaxError(f"{directory / INDEX} has no weight_map")
    files: dict[Path, set[str]] = {}
    for name, shard in weight_map.items():
        # Path drops a leading "./".
        if not isinstance(shard, str) or Path(shard).name != str(Path(shard)):
            raise SycojaxError(f"{directory / INDEX}: {shard!r} is not a file name")
        files.setdefault(directory / shard, set()).add(name)
    absent = sorted(file.name for file in files if not file.is_file())
    if absent:
        raise SycojaxError(
            f"{directory}: {len(absent)} of {len(files)} weight files are missing "
            f"({some(absent)}); the download is incomplete: {finish(directory)}"
        )
    return files


def _whole_set(directory: Path) -> list[Path]:
    """The shards of a directory without an index, all of them: each name says how many there are.

    Raises ``SycojaxError`` saying what is there instead of weights, and how they are got.
    """
    shards = {p: m for p in sorted(directory.iterdir()) if (m := _SHARD.fullmatch(p.name))}
    if shards and {int(m[1]) for m in shards.values()} == {len(shards)}:
        return list(shards)
    pickled = sorted(p.name for p in directory.iterdir() if _PICKLED.fullmatch(p.name))
    if pickled and not shards:
        raise SycojaxError(
            f"{directory} holds pickled weights only ({pickled[0]}): unpickling runs code, so they are refused. "
            f"{conversion(directory)}"
        )
    raise SycojaxError(
        f"{directory} holds neither {SINGLE} nor {INDEX}: it is no model, its download stopped early "
        f"({finish(directory)}), or its weights are pickled (.bin), which are not fetched. {conversion(directory)}"
    )


def conversion(directory: Path) -> str:
    """How pickled weights become safetensors."""
    source = hub_id(directory) or str(directory)
    return (
        'Convert them where torch is installed: python -c "from transformers import AutoModelForCausalLM as M; '
        f"M.from_pretrained('{source}').save_pretrained('converted')\", copy the tokenizer's files into converted, and "
        "give that directory"
    )
