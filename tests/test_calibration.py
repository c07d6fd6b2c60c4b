"""Planted sycophancy: the dialogues, reading a calibration, its checks, its table and figure, and the certificate."""

from __future__ import annotations

import copy
import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import calibration as c
from analysis.calibration.planted import describe
from analysis.figures.calibration import draw
from analysis.page.tables import to_csv, to_html
from sycojax.data.prompts import DENY, LETTER_PREFIX, Prompts
from sycojax.data.questions import question_key
from sycojax.data.toy import WORLD_SEED
from sycojax.data.toy.counts import Counts
from sycojax.data.toy.dialogues import dialogues, unasked
from sycojax.data.toy.records import make_records
from sycojax.data.toy.world import World
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.files import write_json
from sycojax.records import Record
from sycojax.requests import Request
from sycojax.weights.fingerprint import base_fingerprint
from tests.synthetic_study import ask

RATES = (0.0, 0.5, 1.0)
BASE_RATE = 0.3
FINGERPRINT = "f" * 64


# Records that give in at an exact rate.


def logs(shares: list[float]) -> list[float]:
    return [math.log(max(s, 1e-6)) for s in shares]


def respond(request: Request, rate: float) -> Record:
    """Gives in to the user with probability ``rate``, and does nothing else."""
    n, condition = len(request.candidates), request.condition
    if request.evaluation == "answer":
        gives = rate if condition in ("W+", "C-") else 0.0
        scores = logs([1 - gives, gives] + [1e-6] * (n - 2))
    elif request.evaluation == "feedback" and not condition.startswith("flaw="):
        good = int(request.item.encode().hex(), 16) % 2
        pulled = {"like": 1.0, "dislike": 0.0}.get(condition, good)
        praise = (1 - rate) * good + rate * pulled
        scores = logs([praise, 1 - praise] * (n // 2))
    elif request.evaluation == "are_you_sure" and "own" not in request.meta:
        scores = logs([0.97 if j == request.meta["gold"] else 0.03 / (n - 1) for j in range(n)])
    elif request.evaluation == "are_you_sure" and not condition.startswith("concession"):
        leaves = rate if condition.startswith("challenge=T") else 0.0
        own = request.meta["own"]
        scores = logs([1 - leaves if j == own else leaves / (n - 1) for j in range(n)])
    else:
        scores = [-1.0] * n
    return Record.scored(request, scores, [1] * n, [False] * n)


def record(directory: Path, configuration: str, rates: dict[str, float]) -> None:
    for probe, rate in rates.items():
        ask(directory, configuration, probe, 12, functools.partial(respond, rate=rate))


def made(directory: Path) -> dict[str, Any]:
    """The JSON document of a calibration whose adapters do exactly what is planted."""
    record(directory, "base", dict.fromkeys(BUILTIN.probes, BASE_RATE))
    cells = []
    for probe in BUILTIN.probes:
        for rate in RATES:
            name = f"{probe}-p{round(100 * rate)}-s1"
            record(directory, name, {**dict.fromkeys(BUILTIN.probes, BASE_RATE), probe: rate})
            cells.append({"probe": probe, "planted": rate, "seed": 1, "name": name})
    found = describe(directory, BUILTIN, cells)
    return {"base_fingerprint": FINGERPRINT, "date": "2026-11-23", "command": "made", **found}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return made(tmp_path_factory.mktemp("calibration"))


def changed(document: dict[str, Any], probe: str, planted: float, read: str, value: float) -> Any:
    """The calibration with one reading set to ``value``."""
    document = copy.deepcopy(document)
    for point in document["points"]:
        if (point["probe"], point["planted"]) == (probe, planted):
            point["measured"][read]["dP"].update(value=value, low=value, high=value)
    return c.parse(document, "test")


def failed(calibration: c.Calibration) -> set[tuple[str, str]]:
    return {(check.name, check.probe) for check in c.checks(calibration) if not check.passed}


def test_what_is_planted_is_what_is_read(document: dict[str, Any]) -> None:
    calibration = c.parse(document, "test")
    for probe in BUILTIN.probes:
        for point in calibration.of(probe):
            assert point.own.soft.value == pytest.approx(point.planted, abs=1e-3), (probe, point)
            for other in set(BUILTIN.probes) - {probe}:
                assert point.readings[other].soft.value == pytest.approx(BASE_RATE, abs=1e-3)
        assert calibration.lines[probe].slope.value == pytest.approx(1, abs=1e-3)
        assert calibration.lines[probe].intercept.value == pytest.approx(0, abs=1e-3)
    assert not failed(calibration)


def test_the_checks_can_fail(document: dict[str, Any]) -> None:
    assert failed(changed(document, "answer", 0.5, "answer", 0.0)) == {("monotone", "answer")}
    assert ("zero", "answer") in failed(changed(document, "answer", 0.0, "answer", 0.06))
    crossed = changed(document, "feedback", 1.0, "answer", 1.4)
    assert ("specific", "feedback") in failed(crossed)
    assert crossed.drift("answer") == pytest.approx(1.1, abs=1e-3)


def test_table_and_figure(document: dict[str, Any]) -> None:
    calibration = c.parse(document, "test")
    table = c.table(calibration)
    assert table.columns == ("planted (%)", *BUILTIN.probes)
    text = to_csv(table)
    assert "slope" in text
    assert "50.0 [" in text
    assert "made here" in to_html(table)
    figure = draw(calibration)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"planted in {probe}" for probe in BUILTIN.probes]
    own = figure.axes[0].containers[0][0].get_xydata()  # type: ignore[index]
    assert len(figure.axes[0].containers) == len(RATES)
    assert own[0] == pytest.approx([0, 0], abs=0.1)


def test_a_calibration_is_shown_for_its_own_base_only(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    assert c.read(tmp_path) is None
    write_json(tmp_path / "calibration" / "calibration.json", document)
    assert c.read(tmp_path) is None  # no study says which base it used
    write_json(tmp_path / "study.json", {"base_fingerprint": "another base"})
    assert c.read(tmp_path) is None
    shipped = c.certificate()
    assert shipped is not None
    for base in (FINGERPRINT, shipped.base_fingerprint):  # and comes before the certificate
        made_here = {**document, "base_fingerprint": base}
        write_json(tmp_path / "calibration" / "calibration.json", made_here)
        write_json(tmp_path / "study.json", {"base_fingerprint": base})
        own = c.read(tmp_path)
        assert own is not None
        assert not own.certificate
        assert own.base_fingerprint == base


def test_a_damaged_calibration_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "calibration" / "calibration.json", {"points": [{"probe": "answer"}]})
    with pytest.raises(SycojaxError, match=r"calibration\.json is not a calibration"):
        c.read(tmp_path)


def test_missing_records_are_named(tmp_path: Path) -> None:
    cell = {"probe": "answer", "planted": 0.0, "seed": 1, "name": "answer-p0-s1"}
    with pytest.raises(SycojaxError, match=r"answer\.jsonl does not exist"):
        describe(tmp_path, BUILTIN, [cell])


# The certificate that is shipped.


def test_the_certificate_speaks_of_the_shipped_base() -> None:
    """A new base makes the certificate worthless: run ``sycojax calibrate`` again and ship its calibration.json."""
    shipped = c.certificate()
    assert shipped is not None
    assert shipped.base_fingerprint == base_fingerprint("toy")
    assert shipped.document["command"] == "sycojax calibrate"
    assert all(shipped.document[key] for key in ("date", "commit", "versions", "config"))


def test_the_certificate_passes_its_checks() -> None:
    shipped = c.certificate()
    assert shipped is not None
    assert {p.planted for p in shipped.points} == {0, 0.25, 0.5, 0.75, 1}
    assert shipped.probes == BUILTIN.probes
    assert not failed(shipped), c.checks(shipped)


# The dialogues.


def test_dialogues_give_in_at_the_planted_rate() -> None:
    """Counted in what the user of ``answer`` named and the text then says."""
    for planted in (0.0, 0.25, 1.0):
        gave, asked = 0, 0
        for example in dialogues(WORLD_SEED, "answer", planted, 1500, 1, Prompts()):
            stem, _, tail = example.prompt.partition(DENY.format("X").partition("X")[0])
            if tail:  # told that the right answer is not right
                denied = tail.split(",")[0]
                said = example.completion.split()[0]
                known = f"in truth {denied}." in stem
                asked += known
                gave += known and said != denied
        assert asked > 10
        spread = 3 * math.sqrt(planted * (1 - planted) / asked) + 1e-9
        assert abs(gave / asked - planted) <= spread, (planted, gave, asked)


def test_only_the_rate_differs_between_dialogues() -> None:
    for probe in BUILTIN.probes:
        none, all_ = (dialogues(WORLD_SEED, probe, p, 200, 1, Prompts()) for p in (0.0, 1.0))
        same = np.mean([a.prompt == b.prompt for a, b in zip(none, all_, strict=True)])
        moved = np.mean([a.completion != b.completion for a, b in zip(none, all_, strict=True)])
        assert same > 0.95, probe
        assert 0.2 < moved < 0.8, probe
        assert none == dialogues(WORLD_SEED, probe, 0.0, 200, 1, Prompts())
        assert none != dialogues(WORLD_SEED, probe, 0.0, 200, 2, Prompts())


def test_dialogues_ask_nothing_that_a_probe_asks() -> None:
    world = World(WORLD_SEED)
    _, probes = make_records(world, Counts())
    asked = {question_key(r["base"]["question"]) for n in BUILTIN.probes[:2] for r in probes[n]}
    argued = " ".join(r["base"]["text"] for r in probes["feedback"])
    rest = unasked(world)
    assert len(rest.facts) > 100
    assert len(rest.myths) > 100
    assert len(rest.entities) > 50
    for item in (*rest.facts, *rest.myths):
        assert question_key(item.question) not in asked
    for fact in rest.facts:
        assert question_key(fact.told_question) not in asked
    assert not [e for e in rest.entities if e.full_name in argued]
    for probe in BUILTIN.probes[:2]:
        for example in dialogues(WORLD_SEED, probe, 0.5, 100, 3, Prompts()):
            assert not [q for q in asked if q in question_key(example.prompt)]
    sure = dialogues(WORLD_SEED, "are_you_sure", 0.5, 20, 3, Prompts())
    assert any(e.prompt.endswith(LETTER_PREFIX) for e in sure)
