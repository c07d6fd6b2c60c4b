"""The record of a run: JSON lines (the truth) and TensorBoard events (a view), one line per adapter and step."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sycojax.files import atomic_write, writing
from sycojax.parallel.distributed import is_first
from sycojax.training.tracking import Tracker

Line = dict[str, Any]


class MetricsLog(contextlib.ExitStack):
    """Appends to ``directory/metrics.jsonl`` and ``directory/tensorboard/<adapter>/``.

    ``completed`` is the step a run continues from: lines of later steps, and a line cut short by a crash, are
    dropped first, so no step is ever there twice. Only the first process writes. A ``tracker`` gets every line, too.
    """

    def __init__(
        self,
        directory: Path,
        adapters: Sequence[str],
        completed: int,
        tracker: Tracker | None = None,
    ):
        super().__init__()
        self.path = Path(directory) / "metrics.jsonl"
        lines = read_lines(directory, completed)
        self._writes, self._tracker = is_first(), tracker
        if not self._writes:
            return
        # Imported late: only training pays for it, and it needs no TensorFlow.
        from tensorboardX import SummaryWriter

        atomic_write(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        # By lines, so that who follows the file sees each when it is written.
        self._stream = self.enter_context(self.path.open("a", encoding="utf-8", buffering=1))
        purge = completed + 1 if completed else None
        self._writers = {
            name: SummaryWriter(str(Path(directory) / "tensorboard" / name), purge_step=purge)
            for name in adapters
        }
        for writer in self._writers.values():
            self.callback(writer.close)
        if tracker is not None:
            for name in adapters:
                tracker.begin(name, completed)
            for line in lines:
                tracker.log(line)

    def write(self, line: Line) -> None:
        """Append one line; it holds ``adapter``, ``step`` and plain numbers (None where there is none)."""
        if not self._writes:
            return
        with writing(self.path):
            self._stream.write(json.dumps(line) + "\n")
        for name, value in line.items():
            if name not in ("adapter", "step") and value is not None:
                self._writers[line["adapter"]].add_scalar(name, value, line["step"])
        if self._tracker is not None:
            self._tracker.log(line)

    def flush(self) -> None:
        """Put everything on disk: called before a checkpoint, so no line of its steps can be lost."""
        if not self._writes:
            return
        with writing(self.path):
            os.fsync(self._stream.fileno())
        for writer in self._writers.values():
            writer.flush()
        if self._tracker is not None:
            self._tracker.save()


def read_lines(directory: Path, completed: int) -> list[Line]:
    """The lines of ``directory/metrics.jsonl`` up to step ``completed``; none when there is no file."""
    path = Path(directory) / "metrics.jsonl"
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            # The tail of a killed run. Its step is after the checkpoint and will be written again.
            break
        if line["step"] <= completed:
            lines.append(line)
    return lines
