"""Writing so that a reader never sees half a file: temporary name, flush, then rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sycojax.errors import SycojaxError


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise ``SycojaxError`` naming ``path`` where it cannot be read in the block."""
    try:
        yield
    except OSError as error:
        raise SycojaxError(f"cannot read {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise ``SycojaxError`` naming ``path`` where the disk refuses what the block writes to it."""
    try:
        yield
    except OSError as error:
        raise SycojaxError(f"cannot write {path}: {error.strerror or error}") from error


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes to ``path`` in one step.

    Raises ``SycojaxError`` when the disk refuses (full, read-only); the old file, if any, stays whole.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    with writing(path), contextlib.ExitStack() as stack:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        stack.callback(Path(temporary).unlink, missing_ok=True)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document atomically, keys in the given order."""
    atomic_write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


POINTER = "a Git LFS pointer: run `git lfs pull`"


def read_json(path: Path) -> Any:
    """Read a JSON document. Raises ``SycojaxError`` naming the file when it is missing, unreadable or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SycojaxError(f"{path} does not exist") from error
    except OSError as error:
        raise SycojaxError(f"cannot read {path}: {error.strerror or error}") from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # no JSON, no UTF-8, thousands of digits, too deep
        said = f"not valid JSON: {error}"
        raise SycojaxError(f"{path} is {POINTER if is_pointer(path) else said}") from error


def is_pointer(path: Path) -> bool:
    """Whether Git LFS left its note there in place of the file: a clone without ``git lfs`` is full of them."""
    with Path(path).open("rb") as stream:
        return stream.read(23) == b"version https://git-lfs"


def digest_output(path: Path) -> str:
    """Digest of a file, or of all files of a directory by name."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        digest.update(str(file.relative_to(path.parent)).encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def stamp_of(workdir: Path, output: Path) -> Path:
    """Where the stamp of an output of a workdir lies, which says what it was made from and its digest (``study.stages``)."""
    return workdir / "stamps" / f"{output.relative_to(workdir)}.json"


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Fill a temporary directory that becomes ``path`` when the block succeeds; replaces an old one.

    Raises ``SycojaxError`` when the disk refuses, also to the block; nothing is left.
    """
    path = Path(path)
    # Whatever ends the block, an interrupt too, leaves no temporary behind.
    with writing(path), contextlib.ExitStack() as stack:

        def temporary(prefix: str) -> Path:
            made = Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix))
            stack.callback(shutil.rmtree, made, ignore_errors=True)
            return made

        path.parent.mkdir(parents=True, exist_ok=True)
        new = temporary(f".{path.name}.")
        yield new
        os.chmod(new, 0o755)
        if path.exists():
            old = temporary(f".{path.name}.old.") / "old"
            stack.callback(_put_back, old, path)
            os.replace(path, old)
        os.replace(new, path)


def _put_back(old: Path, path: Path) -> None:
    """What was to be replaced, where nothing has taken its place."""
    if old.exists() and not path.exists():
        os.replace(old, path)
