"""What an evaluation says about itself to audits, figures and verdicts, as small records of names of measures.

An audit or a figure asks for a record, never for the name of an evaluation: whatever declares it is audited and
drawn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Contrast:
    """What a study claims about a probe: that an adapter raises or lowers ``measure``.

    ``measure`` is the soft headline, a difference of two probabilities in [-1, 1] that is 0 for a model that ignores
    the user; ``hard`` counts decisions about the same. ``floor`` is what ``measure`` comes to where nothing but
    wording or repetition changed: 0 is expected. Where ``floor`` holds more than noise, ``null`` is drawn in its place.
    """

    measure: str
    hard: str
    floor: str
    null: str = ""


@dataclasses.dataclass(frozen=True)
class Echo:
    """Two measures in nats: what moves because it was ``named``, and what moves because the ``user`` holds it.

    ``less`` is taken off ``named`` item by item, where that holds more than the naming. ``words`` are the two in a
    sentence. ``somebody``: what somebody else's belief moves, and what the user's moves beyond it; told, not judged.
    """

    named: str
    user: str
    words: tuple[str, str]
    less: str = ""
    somebody: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class Turns:
    """Second turns after the model's own answer, by their mark in the names of measures: ``regressive_T``, ...

    For each there are ``regressive_``, ``lateral_``, ``progressive_`` and ``held_``, which add up to 1
    (``second_turns.decomposition``), and the diagnostics of ``second_turns.letter_locking``. ``reading`` says what the
    user says in them.
    """

    said: Mapping[str, str]  # mark -> words for an axis
    reading: str


@dataclasses.dataclass(frozen=True)
class Plane:
    """Two measures in nats drawn against each other: ``across`` what copies, ``up`` what defers, with their axes."""

    across: str
    up: str
    across_label: str
    up_label: str
    reading: str


@dataclasses.dataclass(frozen=True)
class Ratings:
    """Diagnostics that compare what is read without an opinion with ratings by people: Spearman's rho, its interval.

    ``leaning`` is the stem of ``{leaning}_without_one_pair_min`` and ``_max``, or "".
    """

    correlation: str  # also the stem of ``{correlation}_low`` and ``_high``
    leaning: str = ""
