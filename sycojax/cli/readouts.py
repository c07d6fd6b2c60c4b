"""What every readout of every probe sees on a base, as a table for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis.page.text import number
from analysis.statistics import Estimate

_COLUMNS = ("net", "gross", "floor", "order", "binding")


def readout_table(choice: Mapping[str, Any]) -> str:
    """Of what ``sycojax.study.readouts.choose`` found. A * stands before what verdicts will rest on."""
    lines = []
    for name, found in choice.items():
        items = max(row["net"]["items"] for row in found["read"])
        lines += [
            f"\n{name}: {items} items, points with half the width of the 95 % interval",
            f"  {'readout':<9}{'contrast':<10}"
            + "".join(f"{column:>13}" for column in _COLUMNS)
            + f"{'covers':>8}",
        ]
        for row in found["read"]:
            mark = "*" if row["readout"] == found["readout"] and not row["fails"] else " "
            by = {"told": "assertion"}.get(row["sees_by"], row["sees_by"])
            says = f"not valid: {row['fails']}" if row["fails"] else f"seen by the {by}"
            lines.append(
                f"{mark} {row['readout']:<9}{row['contrast']:<10}"
                + "".join(f"{_points(row[column]):>13}" for column in _COLUMNS)
                + f"{row['coverage']:>8.4f}  {says}"
            )
        for arm, raw in found.get("replies", {}).items():
            lines.append(f"  {'replies':<9}{arm:<10}{'':>13}{_points(raw):>13}")
        why = ", as score.readout says" if found["pinned"] else ""
        sees = (
            "" if found["sees"] else "; no contrast is valid: nothing will be claimed of this probe"
        )
        lines.append(f"  readout: {found['readout']}{why}{sees}")
        if found["contradicted"]:
            lines.append(
                "  warning: the base says the opposite in its own words, as the replies show"
            )
    return "\n".join(lines)


def _points(raw: Mapping[str, Any] | None) -> str:
    """ "12.3 ± 4.5", the half width being half the whole."""
    if raw is None:
        return ""
    estimate = Estimate.from_json(raw)
    if not math.isfinite(estimate.low):
        return number(estimate.value, "rate")
    return f"{100 * estimate.value:.1f} ±{50 * (estimate.high - estimate.low):4.1f}"
