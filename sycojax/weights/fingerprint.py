"""What a base is known by: its files as they are, or its numbers wherever they lie."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from sycojax.data.tokenizer import gguf_of
from sycojax.gguf_file import open_gguf
from sycojax.models.base import Tree
from sycojax.weights.hub import resolve
from sycojax.weights.huggingface import TOKENIZER_FILES, more_ends, present
from sycojax.weights.names import EMBEDDINGS, HEAD
from sycojax.weights.stored import INDEX, open_files


def base_fingerprint(path: str | Path) -> str:
    """SHA-256 (hex) of what a base computes with: config, tokenizer and weights.

    Files up to 64 MiB are hashed whole; larger ones by name, size, header, and 64 evenly spaced blocks
    of 64 KiB with the last one, so that a 7B checkpoint takes well under a second.
    """
    directory = resolve(path)
    digest = hashlib.sha256()
    if directory.is_file():
        _add_file(digest, directory, open_gguf(directory).header)
        return digest.hexdigest()
    names = ("config.json", INDEX, "*.safetensors", *TOKENIZER_FILES)
    for file in sorted(present(directory, names)):
        with file.open("rb") as stream:
            header = 8 + int.from_bytes(stream.read(8), "little")
        _add_file(digest, file, header)
    # Where a text ends decides what is generated. Only what config.json does not say counts, so that a base keeps
    # its fingerprint over a generation_config.json that changes nothing.
    if more := more_ends(directory):
        digest.update(f"ends\0{more}\0".encode())
    return digest.hexdigest()


def _add_file(digest: hashlib._Hash, file: Path, header: int) -> None:
    """Hash a file, of a large one its first ``header`` bytes and samples."""
    size = file.stat().st_size
    digest.update(f"{file.name}\0{size}\0".encode())
    with file.open("rb") as stream:
        if size <= 64 << 20:
            digest.update(stream.read())
            return
        digest.update(stream.read(min(header, 64 << 20)))
        for block in range(65):
            stream.seek((size - (64 << 10)) * block // 64)
            digest.update(stream.read(64 << 10))


def tokenizer_fingerprint(directory: Path) -> str:
    """SHA-256 (hex) of the files that a tokenizer is read from, or of what a GGUF file says of its tokenizer."""
    digest = hashlib.sha256()
    if found := gguf_of(directory):
        said = open_gguf(found).metadata
        own = {key: value for key, value in said.items() if key.startswith("tokenizer.")}
        digest.update(json.dumps(own, sort_keys=True).encode())
        return digest.hexdigest()
    for file in sorted(present(directory, TOKENIZER_FILES)):
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def weights_fingerprint(path: str | Path) -> str:
    """SHA-256 (hex) of a base's weights alone, as numbers, whatever files and dtype they are stored in.

    Of every tensor four evenly spaced rows count, in float32: any training moves them, and those of a 7B checkpoint
    are read in well under a second. Weights that were rounded to another dtype are other weights.
    """
    directory = resolve(path)
    samples: dict[str, bytes] = {}
    with contextlib.ExitStack() as stack:
        for name, stored in open_files(directory, stack).items():
            shape = tuple(stored.get_shape())
            rows = sorted({(shape[0] - 1) * i // 3 for i in range(4)})
            values = [np.asarray(stored[row : row + 1], np.float32).tobytes() for row in rows]
            samples[name] = b"".join([f"{shape}\0".encode(), *values])
    # A tied head is stored by some tools and left out by others, and in some files it is all that is stored.
    if HEAD in samples and samples.setdefault(EMBEDDINGS, samples[HEAD]) == samples[HEAD]:
        del samples[HEAD]
    digest = hashlib.sha256()
    for name, sample in sorted(samples.items()):
        digest.update(f"{name}\0".encode() + sample)
    return digest.hexdigest()


def checksum(tree: Tree) -> str:
    """A hash of the bits of weights on devices. Integer sums, so the mesh and the order of summation do not matter."""
    sums = jax.device_get(_bit_sums(tree))
    return hashlib.sha256(json.dumps([int(x) for x in jax.tree.leaves(sums)]).encode()).hexdigest()


@jax.jit
def _bit_sums(tree: Tree) -> Tree:
    def one(x: jax.Array) -> jax.Array:
        unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize]
        bits = jax.lax.bitcast_convert_type(x, unsigned)
        return jnp.sum(bits.astype(jnp.uint32), dtype=jnp.uint32)

    return jax.tree.map(one, tree)
