"""A probe in a file of a user that has arms: ``feedback`` under another name, with rows beside it."""

from __future__ import annotations

import json
from pathlib import Path

from sycojax.data.sources import open_source
from sycojax.evals import BUILTIN

CODE = """
import dataclasses
from sycojax.evals.feedback import Feedback

own = Feedback.instrument

class Mine(Feedback):
    name, rows = "mine", "mine.jsonl"
    instrument = {instrument}

EVALUATION = Mine()
"""


def write_probe(directory: Path, instrument: str = "own") -> Path:
    """The file ``mine.py``; ``instrument`` is Python for its own."""
    rows = open_source("toy", "", BUILTIN).raw("feedback", "probe")[:40]
    (directory / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (directory / "mine.py").write_text(CODE.format(instrument=instrument), encoding="utf-8")
    return directory / "mine.py"
