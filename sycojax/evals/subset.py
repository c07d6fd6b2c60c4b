"""A seeded draw of items for the audits, which ask too much to ask it of every item."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sycojax.requests import Request


def draw_items(requests: Sequence[Request], count: int, seed: int) -> list[Request]:
    """The requests of ``count`` drawn items (all of them where there are fewer), in their order.

    Items are ranked by a digest of ``seed`` and their name: every audit of a probe draws the same ones, and a
    larger ``count`` draws those of a smaller one and more.
    """
    ranked = sorted({r.item for r in requests}, key=lambda item: _rank(seed, item))
    drawn = set(ranked[:count])
    return [r for r in requests if r.item in drawn]


def _rank(seed: int, item: str) -> bytes:
    return hashlib.sha256(f"{seed}/{item}".encode()).digest()
