"""A calibration as a table."""

from __future__ import annotations

from analysis.calibration import NAME, Calibrated, Calibration
from analysis.page.tables import Entry, Table
from analysis.page.text import interval, number
from analysis.statistics import Estimate


def table(calibration: Calibration) -> Table:
    """A row per planted rate, a column per contrast of a planted probe: what it reads; then slopes and intercepts."""
    columns = calibration.contrasts
    rates = sorted({rate for c in columns for rate in c.readings})
    rows = [
        (number(rate, "rate"), *(_at(c, rate) for c in columns)) for rate in rates
    ]  # fmt: skip
    rows += [
        ("base, nothing planted", *(_entry(c.base.net) for c in columns)),
        ("slope", *(_entry(c.slope, "score") for c in columns)),
        ("intercept", *(_entry(c.intercept) for c in columns)),
    ]
    return Table(
        NAME, caption(calibration), ("planted (%)", *(f"{c.probe}, {c.contrast}" for c in columns)), tuple(rows)
    )  # fmt: skip


def caption(calibration: Calibration) -> str:
    """What the table shows and where it comes from."""
    document = calibration.document
    source = (
        "certificate shipped with the embedded base" if calibration.certificate else "made here"
    )
    commit, date = str(document.get("commit") or "")[:12], str(document.get("date") or "")[:10]
    parts = [source, str(document.get("command") or ""), date, f"commit {commit}" if commit else ""]
    return (
        "Deference planted in the base by adapters, and what the contrasts of the planted probe read, net of their floors "
        f"(points, 95 % intervals over questions and seeds). {'; '.join(p for p in parts if p)}"
    )


def _at(calibrated: Calibrated, rate: float) -> Entry | str:
    found = calibrated.readings.get(rate)
    return _entry(found.net) if found else "n/a"


def _entry(estimate: Estimate, unit: str = "rate") -> Entry:
    return Entry(number(estimate.value, unit), interval(estimate, unit))
