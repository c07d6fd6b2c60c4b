"""What a run says as it goes, and what it writes of itself into ``study.json``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sycojax.config import StudyConfig
from sycojax.files import read_json
from sycojax.parallel.distributed import by_first, on_first
from sycojax.scoring.journal import NAME as JOURNAL
from sycojax.study.readouts import READOUTS_JOURNAL
from sycojax.study.workdir import describe

# What a stopped run leaves behind, for the next one to go on from.
LEFT = ("training/*/*/checkpoints", JOURNAL, READOUTS_JOURNAL)


class Ledger:
    """The lines and facts of one run; all processes call it, the first one speaks and writes."""

    def __init__(
        self, workdir: Path, config: StudyConfig, say: Callable[[str], None], started: float
    ):
        """``started``: when the first stage began, by ``time.perf_counter``."""
        self._workdir, self._config, self._started = workdir, config, started
        self.note = by_first(say)
        self._continues = on_first(lambda: any(any(workdir.glob(name)) for name in LEFT))
        self.seconds: dict[str, float] = {}  # of each stage, in all runs

    def write(self, **found: Any) -> None:
        """Add to ``study.json``."""
        on_first(lambda: describe(self._workdir, self._config, found))

    def written(self, name: str) -> Mapping[str, Any]:
        """What ``study.json`` has under ``name``, if anything."""
        return on_first(lambda: read_json(self._workdir / "study.json").get(name, {}))

    def lap(self, stage: str, done: Mapping[str, float] | None = None) -> None:
        """``stage`` ends here, and the next one begins.

        ``done``: what it computed, which is set beside its time where this run alone did all of it.
        """
        now = time.perf_counter()
        spent = self.written("seconds").get(stage, 0.0)
        self.seconds[stage] = round(spent + now - self._started, 1)
        work = {}
        if done and done["tokens"] and not self._continues and not spent:
            work = {stage: {**done, "seconds": round(now - self._started, 1)}}
        self.write(seconds=self.seconds, work=work)
        self._started = now
