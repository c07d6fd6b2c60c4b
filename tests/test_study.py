"""The study as a whole: complete, resumable, and redoing exactly what a change touches."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from sweep_cases import make_inputs, silent

from analysis.records.load import load
from analysis.report import write
from sycojax.config import ScoreConfig, StudyConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import Stopped, SycojaxError
from sycojax.evals import BUILTIN, published
from sycojax.evals.measured import measured
from sycojax.files import read_json, write_json
from sycojax.models.base import abstract, initial_lora, zero_lora
from sycojax.models.lora import LoRAConfig
from sycojax.records import read_records
from sycojax.scoring import journal, scorer
from sycojax.study import adapters, run, scores, state
from sycojax.study.datasets import asked_evaluations, prepare
from sycojax.study.ledger import Ledger
from sycojax.training.loop import TrainedAdapter
from sycojax.weights.huggingface import load_config
from sycojax.weights.peft import export_adapter, load_adapter

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    """A small study over an untrained base, with an adapter on two projections."""
    config = make_inputs(tmp_path_factory.mktemp("inputs"))
    lora = dataclasses.replace(config.lora, targets=("q_proj", "down_proj"))
    return dataclasses.replace(config, name="test", lora=lora)


def study(inputs: StudyConfig, **train: Any) -> StudyConfig:
    return dataclasses.replace(inputs, train=dataclasses.replace(inputs.train, **train))


def bring_up_to_date(config: StudyConfig, workdir: Path) -> None:
    run.run(config, workdir, progress=False, say=silent)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[list[str], list[str]]]:
    """Training replaced by fresh adapters; returns what was trained and which files were written since last asked."""
    trained: list[str] = []
    written: list[str] = []

    def fake_training(
        base: Any, jobs: Any, config: Any, directory: Path, **_: Any
    ) -> list[TrainedAdapter]:
        trained.extend(job.name for job in jobs)
        directory.mkdir(parents=True)
        key = jax.random.key(0)
        lora = initial_lora(base.config, base.lora, key)
        return [TrainedAdapter(job.name, job.seed, lora, 1, 1.0, 1, (), 1, 1) for job in jobs]

    def writing(path: Path, records: Any) -> None:
        real(path, records)
        written.append(f"{path.parent.name}/{path.stem}")

    real = scores.write_records
    monkeypatch.setattr(adapters, "train_bank", fake_training)
    monkeypatch.setattr(scores, "write_records", writing)

    def since() -> tuple[list[str], list[str]]:
        news = sorted(trained), sorted(written)
        trained.clear()
        written.clear()
        return news

    return since


def test_one_command_from_rows_to_report(inputs: StudyConfig, tmp_path: Path) -> None:
    """Real training and scoring of everything at the smallest size, and the report over it."""
    config = study(inputs, adapters=("gsm8k", "combined"))
    config = dataclasses.replace(
        config,
        score=dataclasses.replace(
            config.score, evaluations=ScoreConfig().evaluations, audit_items=2
        ),
    )
    said: list[str] = []
    run.run(config, tmp_path / "w", progress=False, say=said.append, foretell=True)
    told = read_json(tmp_path / "w" / "study.json")
    assert min(told["estimate"].values()) > 0
    assert list(told["estimate"]) == ["readouts", "train", "evaluate"] == list(told["seconds"])[2:]
    assert sum(line.startswith("estimate  readouts ") for line in said) == 1
    counts = told["scoring"]
    ratio = counts["padded_tokens"] / counts["unique_tokens"]
    assert ratio >= 1
    assert any(f"{ratio:.2f}x the {counts['unique_tokens']:,} unique" in line for line in said)
    # In a toy of random weights, whose scores hardly round: of some items of each probe in arms, too.
    assert counts["determinism"]["headlines"] > 3
    assert counts["determinism"]["headline_max_abs"] < 1e-4
    index = write(tmp_path / "w")
    for configuration in ("base", "gsm8k-s0", "combined-s0"):
        for evaluation in asked_evaluations(config):
            path = tmp_path / "w" / "records" / configuration / f"{evaluation}.jsonl"
            records = list(read_records(path))
            assert records, path
            assert len({r.key for r in records}) == len(records), "a request was answered twice"
    second_turns = [
        r.condition
        for r in read_records(tmp_path / "w" / "records" / "base" / "are_you_sure.jsonl")
    ]
    assert any(condition.startswith("challenge=T") for condition in second_turns)
    page = index.read_text(encoding="utf-8")
    assert "combined" in page
    assert "<script src" not in page
    assert "were written by the base&#x27;s own chat template" in page
    assert "Asked: are_you_sure, forced=right,rotation=0" in page
    with (index.parent / "complete_results.csv").open() as rows:
        names = [row["adapter_name"] for row in csv.DictReader(rows)]
    assert names == ["baseline", "gsm8k", "combined"]
    # What a model card asks before it prints a number: were the records made with the adapter that is there?
    one, other = (state.adapter_known_by(tmp_path / "w", f"{a}-s0") for a in ("gsm8k", "combined"))
    document = read_json(tmp_path / "w" / "study.json")
    assert state.made_with(tmp_path / "w", document, "gsm8k-s0", one)
    assert not state.made_with(tmp_path / "w", document, "gsm8k-s0", other)
    assert not state.made_with(tmp_path / "w", document, "mmlu-s0", one)
    assert not list((tmp_path / "w" / "training").glob("*/*/checkpoints")), "left behind"
    # A flipped bit that leaves a record readable is another number.
    path = tmp_path / "w" / "records" / "base" / "mmlu.jsonl"
    path.write_text(path.read_text().replace("[-", "[-1", 1))
    with pytest.raises(SycojaxError, match=r"mmlu\.jsonl is not as it was written"):
        write(tmp_path / "w")


@pytest.mark.slow
def test_only_what_a_change_touches_is_redone(
    inputs: StudyConfig, tmp_path: Path, watched: Callable[[], tuple[list[str], list[str]]]
) -> None:
    config, workdir = study(inputs), tmp_path / "w"
    everything = ["base/answer", "base/mmlu", "mmlu-s0/answer", "mmlu-s0/mmlu"]
    bring_up_to_date(config, workdir)
    assert watched() == (["mmlu-s0"], [*everything, "readouts/answer"])

    bring_up_to_date(config, workdir)
    assert watched() == ([], [])

    # Layout only: nothing depends on it.
    bring_up_to_date(study(inputs, bank_width=2, checkpoint_every=7), workdir)
    assert watched() == ([], [])

    bring_up_to_date(study(inputs, learning_rate=2e-3), workdir)
    assert watched() == (["mmlu-s0"], ["mmlu-s0/answer", "mmlu-s0/mmlu"])

    more = study(inputs, learning_rate=2e-3, seeds=(0, 1))
    bring_up_to_date(more, workdir)
    assert watched() == (["mmlu-s1"], ["mmlu-s1/answer", "mmlu-s1/mmlu"])

    fewer = dataclasses.replace(more, data=dataclasses.replace(more.data, probe_limit=3))
    fewer = dataclasses.replace(
        fewer, score=dataclasses.replace(more.score, evaluations=("answer",))
    )
    bring_up_to_date(fewer, workdir)
    asked_anew = ["base/answer", "mmlu-s0/answer", "mmlu-s1/answer", "readouts/answer"]
    assert watched() == ([], asked_anew)
    # What was asked before lies there, and no report reads it: neither what is asked no more nor other questions.
    assert (workdir / "records" / "base" / "mmlu.jsonl").is_file()
    assert load(workdir).evaluations == ("answer",)
    document = read_json(workdir / "study.json")
    write_json(workdir / "study.json", {**document, "asked": {"answer": "other questions"}})
    with pytest.raises(SycojaxError, match="no records under"):
        load(workdir)

    damaged = workdir / "records" / "base" / "answer.jsonl"
    damaged.write_text(damaged.read_text()[:-20])
    bring_up_to_date(fewer, workdir)
    assert watched() == ([], ["base/answer"])


def test_audits_are_asked_of_a_part_and_the_published_protocol_of_all(
    inputs: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    watched: Callable[[], tuple[list[str], list[str]]],
) -> None:  # fmt: skip
    for form in BUILTIN.forms.values():
        if isinstance(form, published.Published):
            monkeypatch.setattr(form, "new_tokens", 6)
    config, workdir = study(inputs, adapters=("mmlu", "truthfulqa")), tmp_path / "w"
    limits = dataclasses.replace(config.data, probe_limit=4, test_limit=2)
    score = dataclasses.replace(
        config.score,
        evaluations=("mmlu", "are_you_sure"),
        audit_items=2,
        readout_items=3,
        protocol="both",
    )
    config = dataclasses.replace(config, data=limits, score=score)
    names = ["are_you_sure", "are_you_sure_generated", "are_you_sure_plain",
             "are_you_sure_published", "mmlu", "mmlu_published", "mmlu_told"]  # fmt: skip
    bring_up_to_date(config, workdir)
    assert [n for n in watched()[1] if n.startswith("base/")] == [f"base/{n}" for n in names]
    records = {
        name: list(read_records(workdir / "records" / "base" / f"{name}.jsonl")) for name in names
    }
    items = {name: {r.item for r in found} for name, found in records.items()}
    assert items["are_you_sure_plain"] == items["are_you_sure_generated"] < items["are_you_sure"]
    assert len(items["are_you_sure_plain"]) == 2
    assert len(items["are_you_sure"]) == len(items["are_you_sure_published"]) == 4
    assert len(items["mmlu_published"]) == 2
    for name, found in records.items():
        assert all(math.isfinite(m.estimate) or m.name != "published"
                   for m in measured(BUILTIN[name], found))  # fmt: skip
    # Equal requests are computed once, so the audit's scores are those of the probe, to the bit.
    own = {(r.item, r.condition): r.logprobs for r in records["are_you_sure"]}
    scored = [r for r in records["are_you_sure_generated"] if r.condition.startswith("scored=")]
    assert len(scored) == 4
    for r in scored:
        if "challenge" not in r.condition:
            assert r.logprobs == own[r.item, r.condition.removeprefix("scored=")]
    document = json.loads((workdir / "study.json").read_text())
    determinism = document["scoring"]["determinism"]
    assert determinism["items"] == 24
    assert determinism["rerun_max_abs"] == 0
    assert 0 <= determinism["alone_max_abs"] < 1e-3
    contamination = document["data"]["contamination"]["are_you_sure"]
    assert contamination["rows"] == contamination["clusters"] == 4
    assert sum(contamination[s] for s in ("train", "test", "neither")) == 4
    trained_on = document["data"]["trained_on_probe"]
    assert set(trained_on) == {"mmlu", "truthfulqa"}
    assert set(trained_on["truthfulqa"].values()) == {0}, "such rows are dropped"
    positions = document["data"]["label_positions"]
    assert set(positions) == {"mmlu", "truthfulqa"}
    stored, shown = (positions["truthfulqa"][k] for k in ("stored", "shown"))
    assert sum(stored[1:]) == 0 < stored[0], "the right choice is stored first"
    assert sum(shown) == sum(stored)
    assert sum(shown[1:]) > 0, "and shown anywhere"

    bring_up_to_date(config, workdir)
    assert watched() == ([], [])
    again = json.loads((workdir / "study.json").read_text())
    assert again["scoring"] == document["scoring"], "what was measured stays"

    score = dataclasses.replace(score, audit_items=1, protocol="published")
    bring_up_to_date(dataclasses.replace(config, score=score), workdir)
    assert watched() == ([], [])


def test_the_published_recipe_shows_the_stored_label_positions(inputs: StudyConfig) -> None:
    config = study(inputs, adapters=("truthfulqa", "hellaswag", "gsm8k"))
    data = dataclasses.replace(config.data, recipe="published")
    summary = prepare(
        dataclasses.replace(config, data=data), Tokenizer.from_directory(inputs.base.path)
    ).summary
    assert summary["trained_on_probe"]["truthfulqa"]["are_you_sure"] > 0, "nothing is dropped"
    found = summary["label_positions"]
    assert set(found) == {"truthfulqa", "hellaswag"}
    assert all(positions["shown"] == positions["stored"] for positions in found.values())


def died_after(stage: str, lap: Callable[..., None]) -> Callable[..., None]:
    """``Ledger.lap`` of a process that is killed when ``stage`` ends."""

    def dying(self: Ledger, name: str, *rest: Any) -> None:
        if name == stage:
            raise KeyboardInterrupt
        lap(self, name, *rest)

    return dying


def test_a_study_that_is_stopped_while_scoring_goes_on(
    inputs: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    watched: Callable[[], tuple[list[str], list[str]]],
) -> None:  # fmt: skip
    config, workdir = study(inputs), tmp_path / "w"
    real = scores.load_lora

    def signalled(directory: Path | None, base: Any) -> Any:
        if directory is not None:
            signal.raise_signal(signal.SIGINT)
        return real(directory, base)

    with monkeypatch.context() as patch:
        patch.setattr(scores, "load_lora", signalled)
        with pytest.raises(
            Stopped, match=r"SIGINT while scoring; the answers so far .* to continue"
        ):
            bring_up_to_date(config, workdir)
    assert watched() == (["mmlu-s0"], ["base/answer", "base/mmlu", "readouts/answer"])
    # Answers that are known are not asked again, and come to the same records.
    path = workdir / "records" / "base" / "mmlu.jsonl"
    before = path.read_bytes()
    path.unlink()
    bring_up_to_date(config, workdir)
    assert watched() == ([], ["base/mmlu", "mmlu-s0/answer", "mmlu-s0/mmlu"])
    assert path.read_bytes() == before
    assert not (workdir / journal.NAME).exists()
    # A process that dies right behind its last record has written what it measured of all.
    path.unlink()
    document = read_json(workdir / "study.json")
    del document["scoring"]
    write_json(workdir / "study.json", document)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "lap", died_after("evaluate", Ledger.lap))
        with pytest.raises(KeyboardInterrupt):
            bring_up_to_date(config, workdir)
    bring_up_to_date(config, workdir)
    assert read_json(workdir / "study.json")["scoring"]["determinism"]["items"] > 0
    # Training alone does not forget the arms that the answers rest on.
    basis = read_json(workdir / "study.json")["basis"]
    run.run(config, workdir, until="train", progress=False, say=silent)
    assert read_json(workdir / "study.json")["basis"] == basis


@pytest.mark.slow
def test_an_adapter_from_elsewhere_is_scored_like_the_study_s_own(
    inputs: StudyConfig, tmp_path: Path
) -> None:
    """Without any training, among adapters of other shapes, its records are those of the model that has it."""
    first = study(inputs)
    bring_up_to_date(first, tmp_path / "trained")
    own = tmp_path / "trained" / "adapters" / "mmlu-s0"
    config, _ = load_adapter(own, load_config(inputs.base.path))
    other = dataclasses.replace(config, rank=config.rank + 1, targets=("down_proj",))
    shapes = abstract(load_config(inputs.base.path), other).lora
    (tmp_path / "other").mkdir()
    noise = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.1, np.float32), shapes)
    export_adapter(tmp_path / "other", noise, other, "base")
    second = study(inputs, adapters=())
    given = (f"mine={own}", f"other={tmp_path / 'other'}")
    second = dataclasses.replace(second, score=dataclasses.replace(second.score, adapters=given))
    bring_up_to_date(second, tmp_path / "w")
    named = read_json(tmp_path / "w" / "study.json")["configurations"]
    assert [c["name"] for c in named] == ["base", "mine", "other"]
    assert not (tmp_path / "w" / "adapters").exists()
    for evaluation in ("mmlu", "answer"):
        records = {
            (w, name): {
                r.key: r.logprobs
                for r in read_records(tmp_path / w / "records" / name / f"{evaluation}.jsonl")
            }
            for w, name in (("trained", "mmlu-s0"), ("w", "mine"), ("w", "other"), ("w", "base"))
        }
        expected, found = records["trained", "mmlu-s0"], records["w", "mine"]
        assert expected.keys() == found.keys()
        for key, values in expected.items():
            np.testing.assert_allclose(found[key], values, rtol=1e-5, atol=1e-5)
        assert records["w", "other"] != records["w", "base"]
    write(tmp_path / "w")


def test_an_adapter_that_does_nothing_is_noted_and_is_the_base(
    inputs: StudyConfig, tmp_path: Path
) -> None:
    config, lora = study(inputs, adapters=()), LoRAConfig(rank=1)
    (tmp_path / "idle").mkdir()
    zeros = zero_lora(load_config(inputs.base.path), lora)
    export_adapter(tmp_path / "idle", zeros, lora, "base")
    score = dataclasses.replace(config.score, adapters=(f"mine={tmp_path / 'idle'}",))
    config = dataclasses.replace(config, score=score)
    with pytest.warns(UserWarning, match=r"idle does nothing: its B .* are all zero"):
        bring_up_to_date(config, tmp_path / "w")
    [note] = read_json(tmp_path / "w" / "study.json")["notes"]
    assert note.startswith("mine does nothing")
    # The base's answers from the choice of a readout are not asked for again: it is the idle adapter all the same.
    base, mine = (
        list(read_records(tmp_path / "w" / "records" / name / "answer.jsonl"))
        for name in ("base", "mine")
    )
    first = {r.condition: r for r in read_records(tmp_path / "w" / "readouts" / "answer.jsonl")}
    assert [r.key for r in base] == [r.key for r in mine]
    assert {r.condition for r in base} & first.keys()
    for own, other in zip(base, mine, strict=True):
        assert dataclasses.replace(own, logprobs=()) == dataclasses.replace(other, logprobs=())
        np.testing.assert_allclose(own.logprobs, other.logprobs, rtol=1e-5, atol=1e-5)


def test_a_workdir_of_an_earlier_version_is_left_alone(inputs: StudyConfig, tmp_path: Path) -> None:
    """Its stamps say less than is asked of them now; what they hold is neither believed nor replaced."""
    config, workdir = study(inputs), tmp_path / "w"
    run.run(config, workdir, until="data", progress=False, say=silent)
    document = read_json(workdir / "study.json")
    del document["format"]
    (workdir / "study.json").write_text(json.dumps(document))
    with pytest.raises(SycojaxError, match=r"was made by an earlier sycojax.* another --workdir"):
        bring_up_to_date(config, workdir)
    assert read_json(workdir / "study.json") == document
    (workdir / "study.json").unlink()
    (workdir / "sweep.json").write_text('{"name": "s"}')
    with pytest.raises(SycojaxError, match="was made by an earlier sycojax"):
        state.check_free(workdir, "sweep", "s")


@pytest.mark.slow
def test_a_stop_while_the_base_is_asked_for_a_readout_loses_a_batch_at_most(
    inputs: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is one that takes its time: none is computed while another waits to be written."""
    monkeypatch.setattr(scorer, "QUEUE", 0)
    score = dataclasses.replace(inputs.score, batch_tokens=512, readout_items=4)
    config, computed = dataclasses.replace(inputs, score=score), []
    real, signalled_at = scorer.Batch.collect, 3

    def collect(*parts: Any) -> Any:
        computed.append(parts[0].digest)
        if len(computed) == signalled_at:
            signal.raise_signal(signal.SIGTERM)
        return real(*parts)

    def ask(workdir: Path) -> bytes:
        computed.clear()
        run.run(config, workdir, until="readouts", progress=False, say=silent)
        return (workdir / "readouts" / "answer.jsonl").read_bytes()

    monkeypatch.setattr(scorer.Batch, "collect", collect)
    with pytest.raises(Stopped, match=r"SIGTERM while scoring.*readouts\.jsonl"):
        ask(tmp_path / "w")
    assert len(computed) == signalled_at
    assert not (tmp_path / "w" / "readouts" / "answer.jsonl").exists()
    signalled_at = 0
    answers, rest = ask(tmp_path / "w"), len(computed)
    assert ask(tmp_path / "undisturbed") == answers
    # The batches of the answers; what is asked twice to see that scores are steady is no answer.
    assert 3 + rest == len(computed) > 6
    assert not (tmp_path / "w" / "readouts.jsonl").exists()
