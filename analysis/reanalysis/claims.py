"""What a study claims, as small records, and the check of each record against the study's own tables.

A record has a ``name`` (short, for tables), a ``text`` (the claim in a sentence), a ``kind`` ("figure" for a number
that can be recomputed, "reading" for what is concluded from numbers), a ``relation`` (a key of ``RELATIONS``) and
``of``: what the relation is about. Numbers are strings, because the digits that are given say how exact the claim is:
"0.080" means what rounds to it, 0.0795 to 0.0805.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from analysis.reanalysis import arithmetic, readings
from analysis.reanalysis.evidence import Evidence
from analysis.reanalysis.judgement import Judgement
from analysis.reanalysis.wording import stated
from sycojax.errors import SycojaxError
from sycojax.files import read_json

Kind = Literal["figure", "reading"]
RELATIONS: Mapping[str, Callable[..., Judgement]] = {
    "level": arithmetic.level,  # a rate is ...
    "change": arithmetic.change,  # a (mean) change against the base is ...
    "only": arithmetic.only,  # no other adapter's change has this sign
    "largest": arithmetic.largest,  # no other adapter's change is as large
    "every": arithmetic.every,  # every adapter's change is between ... and ...
    "correlation": arithmetic.correlation,  # r of a benchmark with a probe is ...
    "correlations": arithmetic.correlations,  # r of a benchmark with all probes is between ... and ...
    "association": readings.association,  # a benchmark goes with probes: up, down, or not at all
    "effect": readings.effect,  # training moves a probe
    "amplifies": readings.amplifies,  # training on all parts moves a probe further than each part
    "ability": readings.ability,  # a benchmark gain is ability and not the place of the right option
}
FIELDS = ("name", "text", "kind", "relation", "of")
NUMBERS = ("value", "share", "low", "high")
LISTS = ("probes", "parts")


@dataclasses.dataclass(frozen=True)
class Claim:
    name: str
    text: str
    kind: Kind
    relation: str
    of: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Checked:
    claim: Claim
    judgement: Judgement


def check(claims: Sequence[Claim], evidence: Evidence) -> tuple[Checked, ...]:
    """A verdict for each claim. What the tables lack makes it "cannot be told", never an error."""
    return tuple(Checked(c, RELATIONS[c.relation](evidence, **c.of)) for c in claims)


def claimed_correlations(checked: Sequence[Checked]) -> dict[tuple[str, str], str]:
    """(benchmark, probe) -> the correlation that a claim states for the pair, as it states it."""
    return {
        (c.claim.of["benchmark"], c.claim.of["probe"]): c.claim.of["value"]
        for c in checked
        if c.claim.relation == "correlation"
    }


def read_claims(path: Path) -> tuple[Claim, ...]:
    """The records of a JSON list. Raises ``SycojaxError`` saying which record is wrong and why."""
    records = read_json(path)
    if not isinstance(records, list):
        raise SycojaxError(f"{path} must be a list of claims")
    claims = tuple(_claim(record, f"{path}, claim {i}") for i, record in enumerate(records, 1))
    names = [claim.name for claim in claims]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise SycojaxError(f"{path}: two claims are called {repeated[0]!r}")
    return claims


def _claim(record: Any, place: str) -> Claim:
    if not isinstance(record, Mapping) or set(record) != set(FIELDS):
        raise SycojaxError(f"{place} must be an object with {', '.join(FIELDS)}")
    texts = {key: record[key] for key in FIELDS[:-1]}
    if not all(isinstance(text, str) and text for text in texts.values()):
        raise SycojaxError(f"{place}: {', '.join(FIELDS[:-1])} must be texts")
    place += f" ({record['name']})"
    if record["kind"] not in ("figure", "reading"):
        raise SycojaxError(f"{place}: kind is 'figure' or 'reading', got {record['kind']!r}")
    if record["relation"] not in RELATIONS:
        raise SycojaxError(
            f"{place}: unknown relation {record['relation']!r} (known: {', '.join(RELATIONS)})"
        )
    return Claim(**texts, of=_parts(record["relation"], record["of"], place))


def _parts(relation: str, of: Any, place: str) -> dict[str, Any]:
    """``of``, checked against the parameters of the relation."""
    parameters = list(inspect.signature(RELATIONS[relation]).parameters.values())[1:]
    known = {p.name for p in parameters}
    needed = {p.name for p in parameters if p.default is p.empty}
    if not isinstance(of, Mapping) or not needed <= set(of) <= known:
        wanted = ", ".join(p.name for p in parameters)
        raise SycojaxError(f"{place}: 'of' must name {wanted} for the relation {relation!r}")
    for key, value in of.items():
        right = isinstance(value, list) if key in LISTS else isinstance(value, str)
        if not right or not value or (key in LISTS and not all(isinstance(v, str) for v in value)):
            kind = "a list of texts" if key in LISTS else "a text"
            raise SycojaxError(f"{place}: {key} must be {kind}, got {value!r}")
        if key == "sign" and value not in ("+", "-", "0"):
            raise SycojaxError(f"{place}: sign is '+', '-' or '0', got {value!r}")
        if key in NUMBERS:
            stated(value)
    return dict(of)
