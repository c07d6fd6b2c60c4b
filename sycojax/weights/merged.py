"""One model out of a base and an adapter: float32 in Hugging Face layout, written tensor by tensor."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from huggingface_hub import split_state_dict_into_shards_factory

from sycojax.data.tokenizer import gguf_of
from sycojax.data.tokenizer_gguf import read_tokenizer
from sycojax.errors import SycojaxError
from sycojax.files import write_json
from sycojax.models.quantize import Quantization, dequantize, quantize
from sycojax.weights.admission import admit
from sycojax.weights.huggingface import (
    GENERATION,
    TOKENIZER_FILES,
    load_config,
    open_weights,
    present,
    read_config,
)
from sycojax.weights.peft import factors
from sycojax.weights.stored import INDEX, SINGLE

SHARD_BYTES = 5 * 10**9
# The terms under which a base may be passed on travel with it.
TERMS = ("LICENSE*", "NOTICE*", "USE_POLICY*")
_BYTES = np.dtype(np.float32).itemsize


def write_merged(
    base: Path,
    adapter: Path,
    directory: Path,
    *,
    tokenizer: Path | None = None,
    quantization: Quantization = "none",
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write ``W + scaling * B A`` for every adapted projection and all other weights of ``base``, in float32.

    ``directory`` gets the weights in files of at most ``shard_bytes`` (a larger tensor has one to itself), an index
    where they are several, config.json, the tokenizer (of ``tokenizer``, or the base's), generation_config.json and
    the terms of use. Of an adapter that was trained on a quantised base, ``quantization`` says how: its W are the
    numbers that the codes stand for, so that the result is the model that was trained and measured. Host memory
    holds a few copies of the largest tensor, never the model.

    Raises ``SycojaxError`` when base or adapter is damaged or of another architecture, and when the disk is too
    full; a directory that such an error leaves behind lacks config.json.
    """
    config = load_config(base)
    lora, tree = admit(adapter, config, base, base)
    products = factors(tree)
    with contextlib.ExitStack() as stack:
        stored = open_weights(base, config, stack)
        shapes = {name: tuple(stored[name].get_shape()) for name in sorted(stored)}
        split = split_state_dict_into_shards_factory(
            shapes,
            get_storage_size=_size,
            filename_pattern=SINGLE.replace(".", "{suffix}.", 1),
            max_shard_size=shard_bytes,
        )
        _check_space(directory, split.metadata["total_size"])

        def merged(name: str) -> np.ndarray:
            weight = stored[name][:].astype(np.float32)
            if quantization != "none" and name.endswith("_proj.weight"):
                codes = jax.device_put(quantize(quantization, weight.T))
                weight = np.array(dequantize(codes, jnp.float32)).T
            if name in products:
                a, b = products[name]
                weight += np.float32(lora.scaling) * (b @ a)
            return weight

        for file, names in split.filename_to_tensors.items():
            _write(directory / file, {name: shapes[name] for name in names}, merged)
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        write_json(directory / INDEX, index)
    write_tokenizer(tokenizer or base, directory)
    home, own = (base.parent, TERMS) if base.is_file() else (base, (GENERATION, *TERMS))
    for file in present(home, own):
        shutil.copyfile(file, directory / file.name)
    raw, _ = read_config(base)
    spelling = "dtype" if "dtype" in raw else "torch_dtype"  # transformers 5 and 4
    named = {"architectures": config.to_hf()["architectures"]}  # some tools leave it out
    write_json(directory / "config.json", {**named, **raw, spelling: "float32"})


def write_tokenizer(source: Path, directory: Path) -> None:
    """Put the tokenizer of ``source`` into ``directory``: its files, or those that a GGUF file stands for."""
    if found := gguf_of(source):
        read_tokenizer(found).save_pretrained(str(directory))
        return
    for file in present(source, TOKENIZER_FILES):
        copy = directory / file.relative_to(source)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)


def _write(
    file: Path, shapes: Mapping[str, tuple[int, ...]], value: Callable[[str], np.ndarray]
) -> None:
    """One safetensors file, each tensor written as soon as it is computed (``safetensors`` wants all at once).

    The format: the length of the header as 8 bytes, a JSON header padded to whole words, the tensors' bytes.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + _size(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little"))
        stream.write(text)
        for name in shapes:
            stream.write(np.ascontiguousarray(value(name), dtype="<f4").data)
        stream.flush()
        os.fsync(stream.fileno())


def _check_space(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise SycojaxError(
            f"{directory.parent} has {free / 1e9:.1f} GB free, the merged model takes {needed / 1e9:.1f} GB in float32"
        )


def _size(shape: tuple[int, ...]) -> int:
    return _BYTES * int(np.prod(shape))
