"""Whether an adapter learned: said by the loss on its held-out examples, and by nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from synthetic_study import study_document, write_study

from analysis.page.document import Items
from analysis.records.held_out import held_out_fall
from analysis.records.load import load
from analysis.report import card, sections
from analysis.report.contents import run
from analysis.results import compute, learning
from analysis.statistics import level, resample
from analysis.verdicts import doubt
from analysis.verdicts.learning import did_not_learn, not_known
from sycojax.data.held_out import HeldOut, read_held_out, write_held_out
from sycojax.errors import SycojaxError
from sycojax.files import read_json
from tests.toy_files import evaluate_toy

ADAPTERS = ("mmlu", "gsm8k", "combined", "placebo")


def write_losses(
    directory: Path, name: str, fall: Sequence[float], questions: Sequence[int] = ()
) -> None:
    """Losses of held-out examples beside an adapter, whose base loses 1 to 2 nats."""
    base = 1 + np.random.default_rng(3).random(len(fall))
    items = tuple(f"mmlu/{i}" for i in range(len(fall)))
    place = directory / "adapters" / name
    place.mkdir(parents=True, exist_ok=True)
    asked = tuple(questions or range(len(fall)))
    write_held_out(place, HeldOut(items, asked, tuple(base), tuple(base - np.asarray(fall))))


def noise(seed: int, n: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mmlu and combined learned, gsm8k and the placebo did not."""
    found = tmp_path_factory.mktemp("study")
    write_study(found, items=12, adapters=ADAPTERS, evaluations=("mmlu", "gsm8k", "answer"))
    for seed in (0, 1):
        for adapter, fall in (("mmlu", 0.5), ("gsm8k", 0.0), ("combined", 0.3), ("placebo", -1.0)):
            write_losses(found, f"{adapter}-s{seed}", fall + 0.1 * noise(seed))
    return found


def test_few_examples_show_neither(directory: Path, tmp_path: Path) -> None:
    """Nineteen that all fall, and nineteen that do not: those that carry a fall may be missing, or be all there is."""
    for fall in (1.0, 0.0):
        write_study(tmp_path, items=4, adapters=("mmlu",), seeds=(0,), evaluations=("mmlu",))
        for n, known in ((19, False), (20, True)):
            write_losses(tmp_path, "mmlu-s0", fall + 0.1 * noise(1, n))
            found = learning(load(tmp_path), "mmlu")
            assert (found.outcome != "unknown") is known
            assert (found.outcome == "learned") is (known and fall > 0)


def test_who_learned(directory: Path) -> None:
    study = load(directory)
    found = {adapter: learning(study, adapter) for adapter in ADAPTERS}
    assert {a: f.outcome for a, f in found.items()} == {
        "mmlu": "learned", "gsm8k": "did not learn", "combined": "learned", "placebo": "nothing to learn",
    }  # fmt: skip
    fall = found["mmlu"].fall
    assert fall is not None
    assert fall.value == pytest.approx(0.5 + 0.1 * np.mean([noise(0), noise(1)]))
    assert (fall.clusters, fall.note) == (40, "t")


def test_rows_that_ask_the_same_question_count_as_one(tmp_path: Path) -> None:
    """Forty examples of four questions show less than forty questions do."""
    fall = np.repeat([0.4, -0.2, 0.3, -0.05], 10) + 0.01 * noise(1)
    write_losses(tmp_path, "mmlu-s0", fall)
    write_losses(tmp_path, "mmlu-s1", fall, [i // 10 for i in range(40)])
    apart, together = (held_out_fall(tmp_path / "adapters" / f"mmlu-s{s}") for s in (0, 1))
    assert apart
    assert together
    assert level([resample(apart)]).low > 0
    found = level([resample(together)])
    assert found.clusters == 4
    assert found.low < 0 < found.value


def test_the_report_begins_with_those_that_did_not(directory: Path) -> None:
    results = compute(load(directory))
    ((topic, sentence),) = did_not_learn(results)
    assert topic == "Did not learn gsm8k:"
    assert sentence.startswith(
        "held-out loss fell by \u22120.003 [\u22120.022, 0.016] nats per token; "
    )
    accuracy = results.of("gsm8k", "gsm8k", "accuracy").level.value
    assert f"; accuracy on its own benchmark {100 * accuracy:.1f} [" in sentence
    first = sections._can(results, doubt.of(results))[0]
    assert first == Items(((topic, sentence),))
    assert not not_known(results)
    table = run.training(results)
    shown = {row[0]: row[-1].text for row in table.rows}  # type: ignore[union-attr]
    assert shown["gsm8k-s1"] == "did not learn"
    assert shown["mmlu-s0"] == "learned"
    assert shown["placebo-s0"] == "nothing to learn"


def test_a_card_says_it_of_its_own_adapter_only(directory: Path) -> None:
    document, results = read_json(directory / "study.json"), card.measured(directory)
    for name, said in (("gsm8k-s0", True), ("mmlu-s0", False)):
        subject = card.Subject(name, document, {"r": 4}, "base", "", False, "here")
        text = card.render(subject, results)
        assert ("Did not learn gsm8k" in text) == said
        assert "held-out loss fell by" in text
    placebo = card.Subject("placebo-s0", document, {"r": 4}, "base", "", False, "here")
    assert "Trained by sycojax as a placebo" in card.render(placebo, results)


def test_older_adapters_are_reported_without_a_verdict(tmp_path: Path) -> None:
    """One seed whose losses were not kept is enough; and one line says of whom nothing is known, and why."""
    names = [
        ("base", None, None),
        ("mmlu-s0", "mmlu", 0),
        ("mmlu-s1", "mmlu", 1),
        ("mine", "mine", None),
    ]
    document = study_document(names)
    document["configurations"][-1]["source"] = "elsewhere/mine"
    write_study(tmp_path, items=6, adapters=("mmlu",), evaluations=("mmlu",), **document)
    (tmp_path / "records" / "mmlu-s0").rename(tmp_path / "records" / "mine")
    write_losses(tmp_path, "mmlu-s1", noise(1))
    write_study(tmp_path, items=6, adapters=("mmlu",), evaluations=("mmlu",), **document)
    results = compute(load(tmp_path))
    assert not did_not_learn(results)
    assert not_known(results) == (
        "whether the task was learned is not known of mine (trained elsewhere) and mmlu (losses by held-out example were not "
        "kept when it was trained)."
    )
    assert "Not known to have learned:" in str(sections._cannot(results, doubt.of(results)))


def test_nothing_moved_is_nothing_learned(tmp_path: Path) -> None:
    write_study(tmp_path, items=6, adapters=("mmlu",), seeds=(0,), evaluations=("mmlu",))
    write_losses(tmp_path, "mmlu-s0", [0.0] * 20)
    assert learning(load(tmp_path), "mmlu").outcome == "did not learn"
    write_losses(tmp_path, "mmlu-s0", [0.5])
    assert learning(load(tmp_path), "mmlu").outcome == "unknown"
    assert "mmlu (too few held-out examples)" in not_known(compute(load(tmp_path)))


@pytest.mark.parametrize("change", [{"base": [1.0]}, {"adapter": [None, 1.0]}, {"items": "no"}])
def test_damaged_losses_are_refused_by_name(tmp_path: Path, change: dict) -> None:
    write_losses(tmp_path, "mmlu-s0", [0.1, 0.2])
    file = tmp_path / "adapters" / "mmlu-s0" / "held_out.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(SycojaxError, match=r"held_out\.json is damaged"):
        read_held_out(file.parent)


@pytest.mark.slow
def test_an_adapter_of_the_toy_learned_and_a_frozen_one_did_not(tmp_path: Path) -> None:
    for rate, learned in (("3e-3", True), ("1e-12", False)):
        directory = tmp_path / rate
        evaluate_toy(
            directory, "--quiet", "--config.train.adapters=gsm8k", "--config.train.seeds=0",
            f"--config.train.learning_rate={rate}", until="train",
        )  # fmt: skip
        fall = held_out_fall(directory / "adapters" / "gsm8k-s0")
        assert fall
        assert (level([resample(fall)]).low > 0) == learned
        assert len(fall.items) == 75
