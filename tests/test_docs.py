"""What the documentation promises: every measure is described, its links lead somewhere."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import synthetic_study
from evals_cases import noise, walk

from sycojax.data.prompts import Prompts
from sycojax.evals import BUILTIN
from sycojax.evals.protocol import Measure
from sycojax.evals.readouts import read, requests

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"


def measured() -> dict[str, list[Measure]]:
    """The measures of every evaluation, all optional arms included."""
    found = {}
    instrument = BUILTIN["answer"].instrument
    assert instrument is not None
    units = instrument.units(synthetic_study.rows("answer", 4), 0)
    # The choice in words lists the options, so that it has every measure.
    asked = requests("answer", instrument, units, Prompts(), ("words",))
    (reading,) = read(instrument, [synthetic_study.respond_in_arms(r, 0.5, 0) for r in asked])
    found["arms"] = list(reading.measures.values())
    for name, evaluation in BUILTIN.items():
        if evaluation.role == "readout":
            continue  # measured as arms are
        about = BUILTIN.subject(name)
        rows = synthetic_study.rows(about, 12)
        if about == "answer":
            rows = [dataclasses.replace(r, aliases=("crimson",)) for r in rows]
        if about == "feedback":
            flaws = ("ad hominem", "straw man")
            rows = [dataclasses.replace(r, logical_error=flaws[i % 2]) for i, r in enumerate(rows)]
        # Any readable answer: measures are wanted for their names only.
        _, records = walk(
            evaluation, rows, lambda r: noise(r) if r.candidates else "The answer is (A)."
        )
        found[name] = evaluation.measures(records)
    return found


def test_every_measure_is_described() -> None:
    """By its name, in the section of its evaluation; a template twin needs no section of its own."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    lacking = []
    for name, measures in measured().items():
        about = BUILTIN.subject(name) if name.endswith("_plain") else name
        body = next((b for title, b in sections.items() if f"`{about}`" in title), "")
        # letter_mass_A..D and the like stand on one line: `letter_mass_A` to `letter_mass_D`.
        named = set(re.findall(r"`([^`\n]+)`", body))
        lacking += [f"{about}: {m.name}" for m in measures if m.name not in named]
    assert not lacking, "docs/metrics.md does not describe: " + ", ".join(lacking)


def test_documented_measures_exist() -> None:
    """A first column that names no measure is a leftover of an older version."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    real = {m.name for measures in measured().values() for m in measures}
    named = {
        n for row in re.findall(r"^\| (`.+?) \|", text, re.M) for n in re.findall("`(.+?)`", row)
    }
    assert len(named) > 80
    assert named <= real, sorted(named - real)


def test_the_house_has_no_room_that_its_plan_lacks() -> None:
    plan = (DOCS / "architecture.md").read_text(encoding="utf-8")
    parts = [p for of in ("sycojax", "analysis") for p in (REPOSITORY / of).glob("[a-z]*")]
    tops = [REPOSITORY / name for name in ("configs", "benchmarks", "launch", "pretraining")]
    rooms = [f"`{p.name}`" for p in parts if p.suffix == ".py"]
    rooms += [p.name for p in (*parts, *tops) if [*p.glob("*.py")]]
    assert not [room for room in rooms if room not in plan]
    assert len(plan.splitlines()) <= 120


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path in (REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            if not (path.parent / target).exists():
                broken.append(f"{path.name}: {target}")
    assert not broken
