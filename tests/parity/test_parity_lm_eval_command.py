"""``sycojax-lm-eval`` beside ``lm_eval --model hf``: flags, logged samples, caches, chat template, exported probes."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tiny_models as tiny
from test_parity_lm_eval_model import LONG, write_checkpoint

from sycojax.data.prompts import Prompts
from sycojax.data.sources import open_source
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.harness import command
from sycojax.interface import LanguageModel
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import TARGETS

pytestmark = pytest.mark.parity

DOCUMENTS = [
    {"question": "Where did Tim go?", "options": ["to the park", "home", "nowhere"], "gold": 0},
    {"question": "What colour is it?", "options": ["blue", "red", "a very dark red"], "gold": 2},
    {"question": "Who is there?", "options": ["a cat", "a dog", "Tim"], "gold": 1},
]
TASKS = {
    "choose": {
        "output_type": "multiple_choice", "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "options", "doc_to_target": "gold", "fewshot_split": "test",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    },
    "roll": {
        "output_type": "loglikelihood_rolling", "doc_to_text": "",
        "doc_to_target": f"{{{{question}}}} {LONG}", "metric_list": [{"metric": "word_perplexity"}],
    },
    "continue": {
        "output_type": "generate_until", "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{options[gold]}}", "fewshot_split": "test", "metric_list": [{"metric": "exact_match"}],
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8, "num_beams": 1},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama and, in ``adapter``, an adapter that matters."""
    directory = write_checkpoint(tmp_path_factory.mktemp("tiny"), context=256)
    config = LlamaConfig.from_hf(json.loads((directory / "config.json").read_text()), "test")
    tiny.write_adapter(
        directory / "adapter", config, TARGETS, 4, 0.05, task_type="CAUSAL_LM",
        base_model_name_or_path=str(directory), lora_alpha=8, lora_dropout=0.0, bias="none",
        fan_in_fan_out=False, inference_mode=True, init_lora_weights=True, modules_to_save=None,
    )  # fmt: skip
    return directory


@pytest.fixture(scope="module")
def local_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tasks")
    lines = "".join(f"{json.dumps(doc)}\n" for doc in DOCUMENTS)
    (directory / "documents.jsonl").write_text(lines)
    for name, task in TASKS.items():
        data = {"data_files": {"test": str(directory / "documents.jsonl")}}
        whole = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": data,
            "test_split": "test",
            **task,
        }
        (directory / f"{name}.yaml").write_text(json.dumps(whole))  # JSON is YAML
    return directory


def harness(monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: str) -> dict[str, Any]:
    """Run the console script; results, and logged samples by task."""
    pytest.importorskip("torch")
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(out / "cache"))
    monkeypatch.setattr(sys, "argv", ["sycojax-lm-eval", *arguments, "--output_path", str(out)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the harness's and torch's own
        assert command.main() == 0
    (results,) = out.rglob("results_*.json")
    samples = {}
    for path in out.rglob("samples_*.jsonl"):
        name = path.name.removeprefix("samples_").rpartition("_")[0]
        samples[name] = [json.loads(line) for line in path.read_text().splitlines()]
    return {**json.loads(results.read_text()), "samples": samples}


def same_samples(found: dict[str, Any], expected: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Responses to the same requests, pairwise; the requests themselves must be equal."""
    assert set(found["samples"]) == set(expected["samples"])
    for task, samples in expected["samples"].items():
        for ours, theirs in zip(found["samples"][task], samples, strict=True):
            assert ours["arguments"] == theirs["arguments"]
            yield ours["resps"], theirs["resps"]


def close(ours: Any, theirs: Any) -> bool:
    """Texts and flags equal, numbers within the float32 noise of torch and jax."""
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    try:
        number = float(theirs)
    except ValueError:
        return ours == theirs
    return float(ours) == pytest.approx(number, abs=1e-4 + 2e-7 * abs(number))


SOME = ["--limit", "2", "--batch_size", "2"]
# The flags that change what is asked, or what is made of the answers.
ALL = [
    "--samples", '{"choose": [2], "roll": [0, 1], "continue": [1, 2]}', "--batch_size", "auto", "--max_batch_size", "8",
    "--apply_chat_template", "--fewshot_as_multiturn", "true", "--num_fewshot", "1",
    "--system_instruction", "Be brief.", "--gen_kwargs", 'max_gen_toks=6,until=["a","\\n"],temperature=0',
    "--seed", "1,2,3,4", "--trust_remote_code", "--write_out", "--show_config", "--metadata", "a=1", "--predict_only",
    "--verbosity", "ERROR",
]  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "number"),
    [(SOME, 6), ([*SOME, "--apply_chat_template"], 6), (ALL, 5)],
    ids=["text", "chat", "all flags"],
)
def test_samples_equal_those_of_hf(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    checkpoint: Path,
    local_tasks: Path,
    extra: list[str],
    number: int,
) -> None:
    flags = [
        "--include_path", str(local_tasks), "--tasks", ",".join(TASKS), "--log_samples", "--device", "cpu", *extra,
    ]  # fmt: skip
    peft, adapter = f"peft={checkpoint / 'adapter'}", f"adapter={checkpoint / 'adapter'}"
    ours = harness(
        monkeypatch, tmp_path / "ours", "--model", "sycojax",
        "--model_args", f"pretrained={checkpoint},dtype=float32,{adapter}", *flags,
    )  # fmt: skip
    # The texts of `roll` have one end: in one batch, hf's cache of logits would take the wrong ones (docs/harness.md).
    theirs = harness(
        monkeypatch, tmp_path / "hf", "--model", "hf",
        "--model_args", f"pretrained={checkpoint},dtype=float32,{peft},logits_cache=False", *flags,
    )  # fmt: skip
    pairs = list(same_samples(ours, theirs))
    assert len(pairs) == number
    assert all(close(one, other) for one, other in pairs), pairs
    for task in TASKS:
        for name, value in theirs["results"][task].items():
            if isinstance(value, float):
                assert ours["results"][task][name] == pytest.approx(value, rel=1e-5), name
    assert ours["config"]["model"] == "sycojax"
    assert ours["config"]["adapter"] == str(checkpoint / "adapter")


def test_cache_answers_for_the_model_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    checkpoint: Path,
    local_tasks: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("lm_eval")
    flags = [
        "--model", "sycojax", "--model_args", f"pretrained={checkpoint}", "--log_samples",
        "--include_path", str(local_tasks), "--tasks", ",".join(TASKS), "--use_cache", str(tmp_path / "c"),
    ]  # fmt: skip
    first = harness(monkeypatch, tmp_path / "first", *flags)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was asked although the cache knows")

    monkeypatch.setattr(LanguageModel, "loglikelihood_tokens", refuse)
    monkeypatch.setattr(LanguageModel, "generate", refuse)
    again = harness(monkeypatch, tmp_path / "again", *flags)
    assert all(one == other for one, other in same_samples(again, first))
    # The harness finds answers by the request alone: without more, the adapter would get the base's.
    model = f"pretrained={checkpoint},adapter={checkpoint / 'adapter'}"
    flags += ["--output_path", str(tmp_path / "other"), "--model_args", model]
    monkeypatch.setattr(sys, "argv", ["sycojax-lm-eval", *flags])
    assert command.main() == 2
    assert "answers of another model, adapter or precision" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["sycojax", "hf"])
def test_exported_probes_measure_what_sycojax_measures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkpoint: Path, model: str
) -> None:
    pytest.importorskip("lm_eval")
    import sycojax
    from sycojax.cli import main

    config = str(Path(__file__).resolve().parents[2] / "configs" / "toy.py")
    seeds = ["--config.data.seed=3", "--config.data.world_seed=5"]
    arguments = [f"--config={config}", "--config.data.probe_limit=4", *seeds]
    assert main(["export-tasks", *arguments, f"--to={tmp_path / 'tasks'}"]) == 0
    written = harness(
        monkeypatch, tmp_path / "out", "--model", model,
        "--model_args", f"pretrained={checkpoint},dtype=float32", "--tasks", "sycojax_probes",
        "--include_path", str(tmp_path / "tasks"), "--log_samples", "--device", "cpu",
    )  # fmt: skip
    found = written["results"]
    assert written["configs"]["sycojax_answer"]["metadata"]["verdict"].startswith("none: ")

    source, prompts = open_source("toy", "", BUILTIN, 5), Prompts()
    asked_directly = sycojax.load(checkpoint)
    bank = jax.tree.map(lambda leaf: np.asarray(leaf)[None], asked_directly.lora)
    for probe in BUILTIN.probes:
        evaluation = BUILTIN[probe]
        asked = todo = evaluation.requests(source.rows(probe, "probe")[:4], prompts, 3)
        records: list[Any] = []
        while todo:
            records += asked_directly.scorer.score(todo, bank, progress=False)[0]
            todo = evaluation.followups(asked, records, prompts)
            asked = [*asked, *todo]
        expected = {m.name: m.estimate for m in evaluation.measures(records)}
        values = {
            name.split(",")[0]: value
            for name, value in found[f"sycojax_{probe}"].items()
            if isinstance(value, float)
        }
        assert len(values) >= 6
        for name, value in values.items():
            assert value == pytest.approx(expected[name], abs=1e-4, nan_ok=True), (probe, name)


def test_simple_evaluate_takes_the_model(checkpoint: Path, local_tasks: Path) -> None:
    pytest.importorskip("lm_eval")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lm_eval
        from lm_eval.tasks import TaskManager

        from sycojax.harness.model import SycojaxLM

        found = lm_eval.simple_evaluate(
            model=SycojaxLM(checkpoint, checkpoint / "adapter"),
            tasks=["choose"],
            task_manager=TaskManager(include_path=str(local_tasks), include_defaults=False),
            bootstrap_iters=0,
        )
    assert found is not None
    assert 0 <= found["results"]["choose"]["acc,none"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"revision": "main"}, "unknown revision"),
        ({"dtype": "float16"}, "dtype='float16'"),
        ({"adapter": "a", "peft": "b"}, "mean the same"),
        ({"device": "tpu"}, "leave --device out"),
        ({"max_length": 4096}, "from 1 to 256"),
        ({"tokenizer": "/nowhere"}, "does not exist"),
        ({"adapter": 2024}, "2024 does not exist"),  # the harness takes it for a number
        ({"max_length": "long"}, "max_length='long' is not a whole number"),
    ],
)
def test_what_cannot_be_done_is_said(
    checkpoint: Path, arguments: dict[str, Any], message: str
) -> None:
    pytest.importorskip("lm_eval")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sycojax.harness.model import SycojaxLM

        with pytest.raises(SycojaxError, match=message):
            SycojaxLM(checkpoint, **arguments)


def test_only_greedy_decoding() -> None:
    from sycojax.harness.generation import Greedy

    with pytest.raises(SycojaxError, match="sampling"):
        Greedy.read({"temperature": 0.7}, 256)
    with pytest.raises(SycojaxError, match="num_beams=4"):
        Greedy.read({"num_beams": 4, "until": ["x"]}, 256)
    # hf would obey the checkpoint's own file, and silence here would give other texts than its.
    with pytest.raises(SycojaxError, match=r"repetition_penalty=1.2: .*,repetition_penalty=1\)"):
        Greedy.read({"until": ["x"]}, 256, {"repetition_penalty": 1.2, "temperature": 0.6})
    # Tasks say these, and mean greedy decoding.
    spelt = {"num_beams": 1, "repetition_penalty": 1.0, "early_stopping": False, "do_sample": False}
    assert Greedy.read(spelt, 256, {"repetition_penalty": 1.2}) == Greedy((), 256)
    assert Greedy.read({"temperature": 0.7, "do_sample": False}, 256).max_gen_toks == 256
    assert Greedy(("\nQ", "\n\n"), 9).cut("x\n\nQ</s>", "</s>") == "x\n"  # in order, as the harness
