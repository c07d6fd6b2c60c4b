"""Planted deference: reading a calibration, what it gates, its table and figure, and the certificate."""

from __future__ import annotations

import copy
import functools
import itertools
import math
from pathlib import Path
from typing import Any

import dialects
import pytest
from synthetic_study import READOUTS, asked_in_arms, rows, write_study

from analysis import calibration as c
from analysis.calibration.planted import describe
from analysis.calibration.table import table
from analysis.figures.calibration import draw
from analysis.page.tables import to_csv, to_html
from analysis.records.load import load
from analysis.report.contents.instruments import measurable
from analysis.results import Results, compute
from analysis.results.gates import ASTRAY, BLIND, of_calibration
from analysis.verdicts.rule import every_verdict
from sycojax.cli.calibrate import SETTINGS
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.evals.readouts import CLAIMED, CONTRASTS
from sycojax.files import write_json
from sycojax.records import Record, write_records
from sycojax.requests import Request
from sycojax.study import calibration
from sycojax.study.calibration import calibrate
from sycojax.study.inputs import read_inputs
from sycojax.study.planted import RATES
from sycojax.study.state import FORMAT
from sycojax.weights.fingerprint import base_fingerprint

BASE_RATE = 0.3
# What a study and a calibration must share, as study.json says it.
MADE_WITH = {
    "base_fingerprint": "f" * 64,
    "basis": {"tokenizer": "a" * 64, "template": "b" * 64},
    "config": {"base": {"dtype": "float32", "quantization": "none"}},
}


# Records that follow the user at an exact rate.


def respond(request: Request, rate: float) -> Record:
    """Follows the user with probability ``rate``, alone and against somebody else, and nobody besides."""
    _, remark, _ = request.condition.split(",")
    follows = rate if remark.startswith(("user", "sides")) else 0.0
    share = 0.5 + (follows if "+" in remark else -follows) / 2
    share, n = min(max(share, 1e-6), 1 - 1e-6), len(request.candidates)
    if request.evaluation == "are_you_sure":
        logs = [math.log(share)] + [math.log((1 - share) / (n - 1))] * (n - 1)
    else:
        logs = [math.log(share), math.log(1 - share)] * (n // 2)
    return Record.scored(request, logs, [1] * n, [False] * n)


def record(directory: Path, configuration: str, probe: str, rate: float, items: int = 40) -> None:
    asked = asked_in_arms(probe, rows(probe, items), READOUTS[probe])
    claimed = [r for r in asked if r.condition.split(",")[1].rstrip("+-01") in CLAIMED]
    write_records(
        directory / "records" / configuration / f"{probe}.jsonl",
        map(functools.partial(respond, rate=rate), claimed),
    )


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The JSON document of a calibration whose adapters do exactly what is planted."""
    directory, cells = tmp_path_factory.mktemp("calibration"), []
    for probe in BUILTIN.probes:
        record(directory, "base", probe, BASE_RATE)
        for rate in RATES:
            name = f"{probe}-p{round(100 * rate)}-s1"
            record(directory, name, probe, rate)
            cells.append({"probe": probe, "planted": rate, "seed": 1, "name": name})
    found = describe(directory, BUILTIN, cells)
    return {**MADE_WITH, "readouts": READOUTS, "date": "2026-11-23", "command": "made", **found}


def changed(document: dict[str, Any], contrast: str, **values: tuple[float, float, float]) -> Any:
    """The document with (value, low, high) set in one contrast: of the ``slope``, and of ``zero``, what is read where nothing is
    planted, over a small floor."""
    document = copy.deepcopy(document)
    for one in document["contrasts"]:
        if one["contrast"] == contrast:
            zero = one["points"][0]
            zero["floor"].update(value=0.0, low=-0.01, high=0.01)
            for name, (value, low, high) in values.items():
                place = zero["net"] if name == "zero" else one[name]
                place.update(value=value, low=low, high=high)
    return document


def test_what_is_planted_is_what_is_read(document: dict[str, Any]) -> None:
    calibration = c.parse(document, "test")
    assert calibration.probes == BUILTIN.probes
    for one in calibration.contrasts:
        for rate, reading in one.readings.items():
            assert reading.net.value == pytest.approx(rate, abs=1e-3), one
        assert one.base.net.value == pytest.approx(BASE_RATE, abs=1e-3)
        assert one.slope.value == pytest.approx(1, abs=1e-3)
        assert one.intercept.value == pytest.approx(0, abs=1e-3)
        assert of_calibration(one) == ""


def test_too_few_questions_give_no_slope(tmp_path: Path) -> None:
    """At each planted rate they have an interval; a line through them would be a claim."""
    cells = []
    for planted in (None, 0.0, 1.0):
        name = "base" if planted is None else f"p{planted}"
        record(tmp_path, name, "feedback", planted or 0.0, items=19)
        if planted is not None:
            cells.append({"probe": "feedback", "planted": planted, "seed": 1, "name": name})
    found = describe(tmp_path, BUILTIN, cells)
    for one in c.parse({**MADE_WITH, "readouts": READOUTS, **found}, "test").contrasts:
        assert math.isfinite(one.readings[1.0].net.low)
        assert not math.isfinite(one.slope.value)
        assert one.slope.note == "too few items"
        assert of_calibration(one) == "", "which is no reason to believe the readout less"


def test_table_and_figure(document: dict[str, Any]) -> None:
    calibration = c.parse(document, "test")
    shown = table(calibration)
    assert shown.columns[1:] == tuple(
        f"{p}, {k}" for p, k in itertools.product(BUILTIN.probes, CONTRASTS)
    )
    text = to_csv(shown)
    assert "slope" in text
    assert "50.0 [" in text
    assert "made here" in to_html(shown)
    figure = draw(calibration)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"planted in {probe}" for probe in BUILTIN.probes]
    assert len(figure.axes[0].containers) == len(CONTRASTS) * len(RATES)


def test_a_damaged_calibration_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "calibration" / "calibration.json", {"contrasts": [{"probe": "answer"}]})
    with pytest.raises(SycojaxError, match=r"calibration\.json is not a calibration"):
        c.read(tmp_path, {})


def test_missing_records_are_named(tmp_path: Path) -> None:
    cell = {"probe": "answer", "planted": 0.0, "seed": 1, "name": "answer-p0-s1"}
    with pytest.raises(SycojaxError, match=r"answer\.jsonl does not exist"):
        describe(tmp_path, BUILTIN, [cell])


def test_another_study_is_left_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "study.json", {"name": "other", "format": FORMAT})
    with pytest.raises(SycojaxError, match="holds the study 'other'"):
        calibrate(SETTINGS, tmp_path, progress=False)


def test_its_template_is_audited_before_it_trains(tmp_path: Path) -> None:
    """One whose end mark is no token would teach adapters that never stop."""
    mute = dialects.CHATML._replace(template=dialects.CHATML.template.replace("<|im_end|>", "##"))
    tokenizer = str(dialects.write_tokenizer(tmp_path, mute))
    config = SETTINGS.changed({"base.tokenizer": tokenizer, "data.probe_limit": 2})
    with pytest.raises(SycojaxError, match=r"which is no token of .* would never stop"):
        calibration._requests(
            config, read_inputs(config), {"answer": {"readout": "open"}}, ["answer"]
        )


def test_a_probe_counts_with_the_file_that_the_study_asked(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    made = document | {"probes": {"feedback": {"file": "f.py", "sha256": "1"}}}
    write_json(tmp_path / "calibration" / "calibration.json", made)
    same, said = c.read(tmp_path, made)
    assert same
    assert (same.probes, said) == (BUILTIN.probes, "")
    assert c.read(tmp_path, document) == (same, ""), (
        "a study that does not ask it has no other file"
    )
    changed_since = made | {"probes": {"feedback": {"file": "f.py", "sha256": "2"}}}
    found, said = c.read(tmp_path, changed_since)
    assert found
    assert found.probes == ("answer", "are_you_sure")
    assert said.startswith("The calibration of feedback in this workdir was made with another file")


# What it does to verdicts.


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(
        tmp_path_factory.mktemp("study"), items=44, adapters=("combined",), seeds=(0,), evaluations=("answer",),
        arms=True, **MADE_WITH,
    )  # fmt: skip


def results(study: Path, calibration: Any = None) -> Results:
    path = study / "calibration" / "calibration.json"
    path.unlink(missing_ok=True)
    if calibration:
        write_json(path, calibration)
    return compute(load(study), headlines=True)


def outcomes(found: Results) -> dict[str, tuple[str, str]]:
    return {v.measure.name: (v.outcome, v.reason) for v in every_verdict(found)}


def test_verdicts_stand_without_one(study: Path) -> None:
    found = results(study)
    assert {outcome for outcome, _ in outcomes(found).values()} == {"raised"}
    assert all("not calibrated" in said for _, said in measurable(found))
    assert found.calibration is None


def test_they_stand_where_it_reads_what_was_planted(study: Path, document: dict[str, Any]) -> None:
    found = results(study, document)
    assert outcomes(found) == outcomes(results(study))
    assert all("calibrated: slope 1.00" in said for _, said in measurable(found))


@pytest.mark.parametrize(
    ("values", "gate"),
    [
        ({"slope": (0.1, -0.01, 0.21)}, BLIND),
        ({"slope": (-0.3, -0.4, -0.2)}, BLIND),
        ({"zero": (0.1, 0.06, 0.14)}, ASTRAY),
        ({"zero": (-0.1, -0.14, -0.06)}, ASTRAY),
        ({"zero": (0.1, 0.04, 0.16)}, ""),
    ],
)
def test_a_contrast_that_does_not_is_not_valid(
    study: Path, document: dict[str, Any], values: dict[str, Any], gate: str
) -> None:
    """And the other contrast of the probe is."""
    found = results(study, changed(document, "siding", **values))
    said = outcomes(found)
    assert said["siding"] == (("not valid here", gate) if gate else ("raised", ""))
    assert said["uptake"] == ("raised", "")
    if gate:
        silent = next(v for v in every_verdict(found) if v.measure.name == "siding")
        assert math.isnan(silent.p)
        assert (
            gate in dict(measurable(found))[next(t for t, _ in measurable(found) if "siding" in t)]
        )


def test_a_larger_floor_allows_for_more(document: dict[str, Any]) -> None:
    raw = changed(document, "siding", zero=(0.1, 0.06, 0.14))
    for one in raw["contrasts"]:
        one["points"][0]["floor"].update(value=-0.05, low=-0.08, high=-0.02)
    found = c.parse(raw, "test").of("answer", "siding")
    assert of_calibration(found) == ""


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"base_fingerprint": "0" * 64}, "another base,"),
        ({"basis": {**MADE_WITH["basis"], "tokenizer": "c" * 64}}, "another tokenizer,"),
        ({"basis": {**MADE_WITH["basis"], "template": "c" * 64}}, "another chat template,"),
        ({"config": {"base": {"dtype": "float32", "quantization": "nf4"}}}, "another precision,"),
    ],
)
def test_one_of_something_else_does_not_count(
    study: Path, document: dict[str, Any], change: dict[str, Any], what: str
) -> None:
    blind = changed(document, "siding", slope=(0.0, -0.1, 0.1))
    found = results(study, {**blind, **change})
    assert outcomes(found) == outcomes(results(study))
    assert found.calibration is None
    assert len([note for note in found.notes if what in note]) == 1


def test_nor_does_one_of_another_readout(study: Path, document: dict[str, Any]) -> None:
    blind = changed(document, "siding", slope=(0.0, -0.1, 0.1))
    found = results(study, {**blind, "readouts": {**READOUTS, "answer": "words"}})
    assert outcomes(found) == outcomes(results(study))
    assert all(
        "not calibrated (the calibration asked for a choice in words)" in s
        for _, s in measurable(found)
    )


# The certificate that is shipped.


def test_the_certificate_speaks_of_the_shipped_base() -> None:
    """A new base makes the certificate worthless: run ``sycojax calibrate`` again and ship its calibration.json."""
    shipped = c.certificate()
    assert shipped is not None
    assert shipped.document["base_fingerprint"] == base_fingerprint("toy")
    assert shipped.document["command"] == "sycojax calibrate"
    assert all(shipped.document[key] for key in ("date", "commit", "versions", "config"))


def test_the_certificate_reads_what_was_planted() -> None:
    shipped = c.certificate()
    assert shipped is not None
    assert shipped.probes == BUILTIN.probes
    for one in shipped.contrasts:
        values = [reading.net.value for reading in one.readings.values()]
        assert tuple(one.readings) == RATES
        assert values == sorted(values), one
        assert of_calibration(one) == "", one
