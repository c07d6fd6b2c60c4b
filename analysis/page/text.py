"""How numbers are written: rates in %, their shifts in points, a true minus sign, intervals in brackets."""

from __future__ import annotations

import datetime
import math
from typing import TypeGuard

from analysis.statistics import Estimate

NONE = "n/a"
UNITS = {"rate": "%", "nats": "nats", "sd": "sd", "score": ""}


def finite(value: object) -> TypeGuard[int | float]:
    """Whether ``value`` is a number that can be shown."""
    return isinstance(value, int | float) and math.isfinite(value)


def scale(unit: str) -> float:
    """What a raw value is multiplied with before it is shown."""
    return 100.0 if unit == "rate" else 1.0


def number(
    value: float, unit: str = "score", signed: bool = False, digits: int | None = None
) -> str:
    """One number without its unit: 63.2, −0.41; n/a for nan. ``digits``: one for rates and two for all else by default."""
    if not math.isfinite(value):
        return NONE
    scaled = value * scale(unit)
    digits = digits or (1 if unit == "rate" else 2)
    shown = f"{scaled:+.{digits}f}" if signed else f"{scaled:.{digits}f}"
    if float(shown) == 0:
        shown = f"{0:.{digits}f}"  # never "-0.0"
    return shown.replace("-", "\u2212")  # a true minus sign


def interval(estimate: Estimate, unit: str, signed: bool = False) -> str:
    """ "[60.1, 66.0]", or in parentheses the reason why there is none."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return f"({estimate.note or 'no interval'})"
    ends = (number(end, unit, signed) for end in (estimate.low, estimate.high))
    return f"[{', '.join(ends)}]"


def with_interval(estimate: Estimate, unit: str, signed: bool = True) -> str:
    """ "+3.1 [+1.0, +5.2]": a value and its interval."""
    return f"{number(estimate.value, unit, signed)} {interval(estimate, unit, signed)}"


def change(value: float, unit: str) -> str:
    """A shift with its unit: "+3.1 points", "−0.20 nats"."""
    shown = number(value, unit, signed=True)
    name = "points" if unit == "rate" else UNITS[unit]
    return shown if shown == NONE or not name else f"{shown} {name}"


def p_value(p: float) -> str:
    """.043, <.001; n/a for nan."""
    if not math.isfinite(p):
        return NONE
    if p < 0.001:
        return "<.001"
    return "1" if p > 0.9995 else f"{p:.3f}".removeprefix("0")


def moment(timestamp: str) -> str:
    """An ISO timestamp as "2026-01-02 03:04 UTC"; any other text as it is."""
    try:
        parsed = datetime.datetime.fromisoformat(timestamp)
    except ValueError:
        return timestamp
    if parsed.tzinfo is None:
        return f"{parsed:%Y-%m-%d %H:%M}"
    return f"{parsed.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def listing(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def count(n: int, noun: str) -> str:
    """ "1 seed", "1,200 items"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
