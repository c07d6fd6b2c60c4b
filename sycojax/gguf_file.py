"""A GGUF file as it is: what its metadata say, and its tensors in the blocks they are stored in.

The ``gguf`` package reads both; it is an extra (``pip install 'sycojax[gguf]'``), imported when a file is opened.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sycojax.errors import SycojaxError
from sycojax.files import POINTER, is_pointer

MAGIC, SUFFIX = b"GGUF", ".gguf"
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_JOIN = "join them with llama.cpp's `llama-gguf-split --merge FIRST_PART OUT.gguf`"
_TOGETHER = 1024  # rows that are turned into numbers together
# What reading beyond the end of a file, or numbers that are none, raise in the package.
_DAMAGES = (
    ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError, OSError, struct.error,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """One tensor: ``data`` are its rows (NumPy, mapped from the file), ``kind`` is how their blocks are to be read."""

    data: np.ndarray
    kind: Any  # gguf.GGMLQuantizationType
    shape: tuple[int, ...]  # of the values, the last axis contiguous

    def values(self, rows: Any = slice(None)) -> np.ndarray:
        """The rows as float32, in parts, since the package's own intermediates are several times larger."""
        from gguf import dequantize

        chosen = self.data[rows]
        if chosen.ndim < 2 or len(chosen) <= _TOGETHER:
            return np.asarray(dequantize(np.ascontiguousarray(chosen), self.kind), np.float32)
        out = np.empty((len(chosen), *self.shape[1:]), np.float32)
        for start in range(0, len(chosen), _TOGETHER):
            part = np.ascontiguousarray(chosen[start : start + _TOGETHER])
            out[start : start + _TOGETHER] = dequantize(part, self.kind)
        return out


@dataclasses.dataclass(frozen=True, eq=False)
class GgufFile:
    """An open file. ``metadata`` by their keys, arrays as lists; ``tensors`` by llama.cpp's names."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Stored]
    header: int  # bytes before the first tensor

    @property
    def architecture(self) -> str:
        """What llama.cpp calls the family, such as ``llama``; "" where the file does not say."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def kinds(self) -> str:
        """The types of blocks with their numbers of tensors, most first: ``210 Q4_1, 61 F32, 1 Q8_0``."""
        counted = collections.Counter(tensor.kind.name for tensor in self.tensors.values())
        return ", ".join(f"{count} {name}" for name, count in counted.most_common())


def find(path: str | Path) -> Path | None:
    """The GGUF file that ``path`` names: itself, or the one in a directory that holds no safetensors.

    None where it names none. Raises ``SycojaxError`` when the directory holds several.
    """
    place = Path(path)
    if place.is_file():
        return place if place.suffix.lower() == SUFFIX or _begins(place, MAGIC) else None
    if not place.is_dir() or any(place.glob("*.safetensors*")):
        return None
    found = sorted(p for p in place.iterdir() if p.suffix.lower() == SUFFIX and p.is_file())
    if len(found) > 1:
        names = ", ".join(p.name for p in found[:5])
        advice = _JOIN if all(_PART.search(p.name) for p in found) else "name one of them"
        raise SycojaxError(f"{place} holds {len(found)} GGUF files ({names}): {advice}")
    return found[0] if found else None


def open_gguf(path: Path) -> GgufFile:
    """Read the header of a GGUF file; tensors are mapped, not read.

    Raises ``SycojaxError`` in one line when the package is missing, and when the file is none, is cut off, is one of
    several parts, or holds blocks of a type that the package does not read.
    """
    stat = path.stat()
    return _open(path.absolute(), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=2)
def _open(path: Path, _changed: int, size: int) -> GgufFile:
    gguf = _package()
    if not _begins(path, MAGIC):
        said = POINTER if is_pointer(path) else f"no GGUF file ({size} bytes, another beginning)"
        raise SycojaxError(f"{path} is {said}")
    try:
        reader = _reader()(path)
        metadata = {
            key: field.parts[-1] if field.types == [_ARRAY] else field.contents()
            for key, field in reader.fields.items()
            if not key.startswith("GGUF.")  # counts of the format, no metadata
        }
        tensors = {
            t.name: Stored(t.data, t.tensor_type, tuple(map(int, t.shape[::-1])))
            for t in reader.tensors
        }
    except _DAMAGES as error:
        raise SycojaxError(f"{path} {_damage(error, gguf)}") from error
    if reader.byte_order != "I":
        raise SycojaxError(f"{path} is written for machines of the other byte order")
    if int(metadata.get("split.count", 0)) > 1:
        raise SycojaxError(f"{path} is one of {metadata['split.count']} parts: {_JOIN}")
    for name, tensor in tensors.items():
        _check_kind(path, name, tensor)
    return GgufFile(path, metadata, tensors, int(reader.data_offset))


# Of the values in metadata: what an array is, what a string is, and how numbers are packed.
_ARRAY, _STRING = 9, 8
_NUMBERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip


@functools.cache
def _reader() -> Any:
    """The package's reader, with arrays of metadata as lists.

    It keeps each element of an array as an array of its own, which takes many seconds on a vocabulary.
    """
    import gguf

    class Reader(gguf.GGUFReader):
        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if raw_type != _ARRAY:
                return super()._get_field_parts(orig_offs, raw_type)
            data: Any = self.data
            file = memoryview(data)
            kind, count = struct.unpack_from("<IQ", file, orig_offs)
            at = orig_offs + 12
            if kind in _NUMBERS:
                form = struct.Struct(f"<{min(count, len(file))}{_NUMBERS[kind]}")
                values: list[Any] = list(form.unpack_from(file, at))
                return at + form.size - orig_offs, [values], [0], [_ARRAY]
            if kind != _STRING:
                raise ValueError(f"an array of type {kind}")
            values = []
            for _ in range(count):
                (length,) = struct.unpack_from("<Q", file, at)
                values.append(str(file[at + 8 : at + 8 + length], "utf-8"))
                at += 8 + length
            return at - orig_offs, [values], [0], [_ARRAY]

    return Reader


def _package() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise SycojaxError(
            "reading a GGUF file takes the package gguf: pip install 'sycojax[gguf]'"
        ) from error
    return gguf


def _damage(error: Exception, gguf: Any) -> str:
    said = str(error).strip().splitlines()[:1]
    if "GGMLQuantizationType" in str(error):
        return (
            f"holds blocks of a type that the installed gguf does not know ({said[0]}): update it"
        )
    reason = said[0] if said else type(error).__name__
    return f"is cut off or damaged ({reason}); fetch it again"


@functools.lru_cache(maxsize=64)
def _readable(kind: Any, width: int) -> bool:
    """Whether the package turns blocks of this type into numbers."""
    from gguf import dequantize

    try:
        dequantize(np.zeros((1, width), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


def _check_kind(path: Path, name: str, tensor: Stored) -> None:
    from gguf import GGML_QUANT_SIZES

    if not _readable(tensor.kind, GGML_QUANT_SIZES[tensor.kind][1]):
        raise SycojaxError(
            f"{path}: {name} is stored in blocks of type {tensor.kind.name}, which the package gguf does not read"
        )


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(magic)) == magic
