"""``--wandb``: a study tracked while it runs, and its final numbers afterwards."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

from sycojax.config import StudyConfig
from sycojax.files import read_json
from sycojax.parallel.distributed import on_first
from sycojax.study.workdir import claim
from sycojax.training import tracking

# Tables of the report that the run gets whole.
TABLES = ("conclusions", "measures_by_adapter")


@contextlib.contextmanager
def tracked(
    project: str, workdir: Path, config: StudyConfig | None = None
) -> Iterator[tracking.Tracker | None]:
    """The run of the workdir in the project of ``--wandb`` while the block lasts; None where none is given.

    ``config`` is that of a study about to run; by default the workdir's own.
    """
    if not project:
        yield None
        return
    if config is not None:
        on_first(lambda: claim(workdir, config))
    # Which claiming wrote, where nothing was.
    study = read_json(workdir / "study.json")
    settings = study["config"] if config is None else config.to_dict()
    with tracking.Tracker(project, workdir, study["name"], settings) as tracker:
        yield tracker


def conclude(tracker: tracking.Tracker, report: Path) -> None:
    """Send the final numbers of the report in ``report``."""
    tables = {}
    for name in TABLES:
        path = report / "tables" / f"{name}.csv"
        if path.is_file():  # a study of the base alone concludes nothing
            with path.open(encoding="utf-8", newline="") as stream:
                tables[name] = list(csv.reader(stream))
    tracker.conclude(headlines(report / "tables" / "measures_by_adapter.csv"), tables)


def headlines(measures: Path) -> dict[str, float]:
    """Levels and shifts of every headline, ``shift/ADAPTER/EVALUATION/MEASURE`` with ``_low`` and ``_high`` beside it."""
    numbers = {}
    with measures.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if not row["headline"]:
                continue
            key = f"{row['adapter']}/{row['evaluation']}/{row['measure']}"
            numbers[f"level/{key}"] = row["estimate"]
            for name in ("shift", "shift_low", "shift_high"):
                numbers[f"shift/{key}{name.removeprefix('shift')}"] = row[name]
    return {key: float(text) for key, text in numbers.items() if text not in ("", "nan")}
