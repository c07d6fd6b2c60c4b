"""What is not asked where ``score.budget_minutes`` does not last for all of it: in this order, and never a control.

It follows from a trial on the machine that a study begins on, so it is decided once, written to ``study.json`` and kept
there for as long as the budget stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sycojax.config import StudyConfig
from sycojax.files import read_json
from sycojax.parallel.distributed import on_first

WORDINGS = "second wordings"
OTHERS = "readouts that were not chosen"
PROMPTS = "prompts that name one answer, but of the audit's items"
ORDER = (WORDINGS, OTHERS, PROMPTS)
# Each leaves out one more.
CHOICES = tuple(ORDER[:count] for count in range(len(ORDER) + 1))
Dropped = tuple[str, ...]


def decided(config: StudyConfig, workdir: Path) -> Dropped | None:
    """What the study in ``workdir`` leaves out; None where its budget is new and nothing was decided yet."""
    if not config.score.budget_minutes:
        return ()

    def stored() -> Any:
        study = workdir / "study.json"
        return read_json(study).get("budget") if study.is_file() else None

    found = on_first(stored) or {}
    if found.get("minutes") != config.score.budget_minutes:
        return None
    return tuple(found["left_out"])


def written(config: StudyConfig, dropped: Dropped) -> Mapping[str, Any]:
    """What ``study.json`` keeps of it."""
    return {"minutes": config.score.budget_minutes, "left_out": list(dropped)}


def budget_line(config: StudyConfig, dropped: Dropped, seconds: float | None = None) -> str:
    """One sentence for log and report; ``seconds``: what is left takes by the trial."""
    minutes = config.score.budget_minutes
    text = f"left out for score.budget_minutes={minutes:g}: {'; '.join(dropped) or 'nothing'}"
    if seconds is not None and seconds > 60 * minutes:
        text += f"; what is left takes about {seconds / 60:.3g} min all the same"
    return text
