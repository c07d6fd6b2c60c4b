"""Which outputs of a workdir are complete and current.

Every output carries a stamp: the fingerprint of all that went into it and the digest of what was written.
A stage is skipped when both still hold, so a changed setting redoes exactly what depends on it, and a
file that was edited or cut short is made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sycojax.files import (
    atomic_directory,
    atomic_write,
    digest_output,
    read_json,
    stamp_of,
    write_json,
)


def fingerprint(*parts: Any) -> str:
    """A digest of JSON-able values (or bytes); equal inputs give equal digests on every machine."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            digest.update(hashlib.sha256(part).digest())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()


class Stamps:
    """The stamps of one workdir, in ``WORKDIR/stamps`` beside, not inside, the outputs."""

    def __init__(self, workdir: Path):
        self.workdir = workdir

    def current(self, output: Path, inputs: Any) -> bool:
        """Whether ``output`` exists, was made from ``inputs`` (fingerprints, as JSON) and is as it was written."""
        stamp = self._stamp(output)
        if not output.exists() or not stamp.exists():
            return False
        written = read_json(stamp)
        return written.get("inputs") == inputs and written.get("output") == digest_output(output)

    def inputs(self, output: Path) -> Any:
        """What ``output`` was made from, as ``mark`` was told; None where it is missing or was changed since."""
        stamp = self._stamp(output)
        inputs = read_json(stamp).get("inputs") if stamp.exists() else None
        return inputs if self.current(output, inputs) else None

    def mark(self, output: Path, inputs: Any) -> None:
        """Record that ``output`` is complete; call after it has its final name."""
        write_json(self._stamp(output), {"inputs": inputs, "output": digest_output(output)})

    def borrow(self, output: Path, inputs: Any, others: Sequence[Path]) -> bool:
        """Copy ``output`` from one of the workdirs ``others`` that made the same from the same inputs, if any did."""
        relative = output.relative_to(self.workdir)
        for other in others:
            source = other / relative
            if Stamps(other).current(source, inputs):
                if source.is_file():
                    atomic_write(output, source.read_bytes())
                else:
                    with atomic_directory(output) as temporary:
                        shutil.copytree(source, temporary, dirs_exist_ok=True)
                self.mark(output, inputs)
                return True
        return False

    def _stamp(self, output: Path) -> Path:
        return stamp_of(self.workdir, output)
