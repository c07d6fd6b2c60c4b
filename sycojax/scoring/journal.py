"""The results of batches on disk while configurations are scored, so that a run that was stopped computes none twice.

A batch is known by the arrays that go into it, and every step from results to records is a pure function of them. So
a run that continues takes the way of the one before, gets what that has computed from here and computes the rest in the
same batches: its records are the same to the bit. A line that was cut short or changed is as if it had not been written.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sycojax.errors import Stopped
from sycojax.files import reading, writing
from sycojax.parallel.distributed import is_first, on_first

NAME = "scoring.jsonl"
# A killed process loses no line; of a machine that dies, those of the last seconds.
SYNC = 30.0


class Journal(contextlib.ExitStack):
    """Lines of results in ``path``, behind one that says what they belong to.

    Only the first process reads and writes; all know what it has read. ``stop`` is asked once per batch that is computed,
    and names the signal that asked to stop.
    """

    def __init__(self, path: Path, stop: Callable[[], str] = lambda: ""):
        super().__init__()
        self.path, self._stop = path, stop
        self._found: dict[str, Any] = {}
        self._synced = time.monotonic()

    def begin(self, header: Any, continues: Callable[[Any], bool]) -> Any:
        """Go on with what is there if ``continues`` says so of its header, else start anew with ``header``.

        Returns the header that counts. Raises ``SycojaxError`` when nothing can be written.
        """

        def read() -> list[Any]:
            lines, size = _read(self.path)
            if lines and continues(lines[0]):
                with writing(self.path):
                    os.truncate(self.path, size)
                return lines
            with writing(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_bytes(_line(header))
            return [header]

        header, *lines = on_first(read)
        self._found = dict(lines)
        if is_first():
            with writing(self.path):
                self._stream = self.enter_context(self.path.open("ab", buffering=0))
        return header

    def of(self, owner: str) -> Section:
        """The results of one bank, or of one adapter in it."""
        return Section(self, owner)

    def get(self, key: str) -> Any:
        """What was written under ``key``, or None."""
        return self._found.get(key)

    def put(self, key: str, value: Any) -> None:
        """Write a line. Raises ``SycojaxError`` when the disk refuses."""
        if not is_first():
            return
        left = memoryview(_line([key, value]))
        with writing(self.path):
            while left:  # a disk that is nearly full takes a part
                left = left[self._stream.write(left) :]
            if time.monotonic() - self._synced > SYNC:
                os.fsync(self._stream.fileno())
                self._synced = time.monotonic()

    def check(self) -> None:
        """Raise ``Stopped`` where a signal asks for it."""
        if by := self._stop():
            raise Stopped(
                f"stopped by {by} while scoring; the answers so far are saved in {self.path}: run the same command "
                "again to continue",
                by,
            )


class Section:
    """What a scorer needs of a journal: the results of one owner. Without a journal nothing is kept or stopped."""

    def __init__(self, journal: Journal | None = None, owner: str = "", *, keeps: bool = True):
        self._journal, self._owner = journal, owner
        self.keeps = keeps and journal is not None

    def of(self, part: str) -> Section:
        """The results of a part of this owner."""
        return Section(self._journal, f"{self._owner}/{part}", keeps=self.keeps)

    def unkept(self) -> Section:
        """For what is measured and must be computed: only stops."""
        return Section(self._journal, self._owner, keeps=False)

    def get(self, key: str) -> Any:
        """The result that was written before, or None."""
        return self._journal.get(f"{self._owner}/{key}") if self._journal and self.keeps else None

    def put(self, key: str, value: Any) -> None:
        """Write a result (JSON values)."""
        if self._journal and self.keeps:
            self._journal.put(f"{self._owner}/{key}", value)

    def check(self) -> None:
        """Raise ``Stopped`` where a signal asks for it. All processes must call it alike."""
        if self._journal:
            self._journal.check()


NOTHING = Section()


def _line(value: Any) -> bytes:
    text = json.dumps(value).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(path: Path) -> tuple[list[Any], int]:
    """The values of the lines up to the first that is not whole, and how many bytes they take."""
    lines, size = [], 0
    with reading(path), contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
        for line in stream:
            text = line[9:-1]
            if line[-1:] != b"\n" or line[:9] != b"%08x " % zlib.crc32(text):
                break
            lines.append(json.loads(text))
            size += len(line)
    return lines, size
