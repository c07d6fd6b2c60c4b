"""Shares in percent, differences and their signs, and the numbers of a claim as it states them."""

from __future__ import annotations

import dataclasses
import math
import re

from analysis.page.text import NONE, number
from sycojax.errors import SycojaxError


def percent(value: float) -> str:
    """A share as +23 %, with one decimal; n/a for nan."""
    return f"{number(value, 'rate', signed=True)} %" if math.isfinite(value) else NONE


def signed(value: float) -> str:
    """A difference or a correlation with three decimals: +0.183."""
    return number(value, digits=3, signed=True)


def sign_of(value: float) -> str:
    if abs(value) < 1e-9:
        return "0"
    return "+" if value > 0 else "-"


def side(sign: str) -> str:
    return {"+": "positive", "-": "negative"}.get(sign, "zero")


@dataclasses.dataclass(frozen=True)
class Stated:
    """A number as a text states it: it means every value that rounds to it."""

    value: float
    half_unit: float  # of the last digit that is given

    def means(self, value: float) -> bool:
        """Whether ``value`` rounds to what is stated (a hair of slack for binary fractions)."""
        return math.isfinite(value) and abs(value - self.value) <= self.half_unit + 1e-9


def stated(text: str) -> Stated:
    """Read "+0.183", "-0.028" or "23 %". Raises ``SycojaxError`` when it is no number."""
    match = re.fullmatch(r"([+-]?)(\d+)(?:\.(\d+))?\s*(%?)", text.strip().replace("\u2212", "-"))
    if match is None:
        raise SycojaxError(f"{text!r} is not a number such as '+0.183' or '23 %'")
    sign, whole, fraction, percent_sign = match.groups()
    scale = 0.01 if percent_sign else 1.0
    value = float(f"{sign}{whole}.{fraction or 0}") * scale
    return Stated(value, 0.5 * scale * 10.0 ** -len(fraction or ""))
