"""The real study's config, as far as it can be checked without the weights."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import jax
import pytest

from sycojax.config import StudyConfig
from sycojax.data.encode import encode_example
from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.data.sources import open_source
from sycojax.data.tokenizer import Tokenizer
from sycojax.evals import BUILTIN
from sycojax.models.base import abstract, parameter_count
from sycojax.models.compute import Compute
from sycojax.models.quantize import Quantization
from sycojax.planning.shapes import SHAPES
from sycojax.scoring.batches import Buckets
from sycojax.scoring.prepare import Encoder, prepare

CONFIGS = Path(__file__).parent.parent / "configs"


def study(name: str) -> StudyConfig:
    return StudyConfig.from_config_dict(runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"]())


def test_published_recipe() -> None:
    config = study("llama2_7b_published")
    lora, train = config.lora, config.train
    assert (lora.rank, lora.alpha, lora.dropout, len(lora.targets)) == (16, 32.0, 0.1, 7)
    assert (train.learning_rate, train.schedule, train.warmup_steps) == (2e-4, "cosine", 100)
    assert (train.weight_decay, train.clip_norm, train.examples_per_step) == (0.01, 1.0, 16)
    assert (train.epochs, config.data.max_length, train.loss_average) == (3.0, 512, "micro")
    assert config.score.max_new_tokens == 512
    assert (config.base.quantization, config.base.dtype) == ("nf4", "bfloat16")
    assert config.data.recipe == "published"


@pytest.mark.parametrize("task", [*BUILTIN.benchmarks, "combined"])
def test_one_config_per_task(task: str) -> None:
    config = study(task)
    assert config.train.adapters == (task,)
    assert config.lora == study("llama2_7b").lora


def test_abstract_model() -> None:
    """Shapes and dtypes of the whole 7B model without allocating it."""
    config = study("llama2_7b")
    shapes = abstract(SHAPES["llama2_7b"], config.lora, Compute(config.base.dtype))
    assert parameter_count(shapes.base) == 6_738_415_616
    assert parameter_count(shapes.lora) == 39_976_960
    assert {leaf.dtype.name for leaf in jax.tree.leaves(shapes.base)} == {"bfloat16"}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(shapes.lora)} == {"float32"}
    mlp = shapes.base["layers"]["mlp"]
    assert mlp["down_proj"]["kernel"].shape == (32, 11008, 4096)
    assert shapes.lora["layers"]["mlp"]["down_proj"]["lora_a"].shape == (32, 11008, 16)


@pytest.mark.parametrize(
    ("quantization", "most"), [("none", 13.5e9), ("int8", 7.1e9), ("nf4", 4.2e9)]
)
def test_bytes_of_the_base(quantization: Quantization, most: float) -> None:
    """All leaves, with embeddings and head in bfloat16."""
    shapes = abstract(
        SHAPES["llama2_7b"], study("llama2_7b").lora,
        Compute("bfloat16", quantization),
    )  # fmt: skip
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes.base))
    assert 0.9 * most < size < most


@pytest.fixture(scope="module")
def tokenizer(shared_data: Path) -> Tokenizer:
    return Tokenizer.from_directory(shared_data / "models" / "llama2_tokenizer")


def test_tokenizer_and_chat_template(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == SHAPES["llama2_7b"].vocab_size
    text = Prompts().chat(["Hi", "Hello.", "Sure?"], "The answer is (")
    ids = tokenizer.encode(text)
    assert ids.count(1) == 2, "one BOS per user turn, none added"
    assert ids[:3] == [1, 518, 25580]  # <s> _[ INST
    assert ids[-1] == 313  # _(
    answer = encode_example(tokenizer, Example("mmlu", "0", text, "B) </s>"), 512)
    assert answer is not None
    assert answer.target_ids[answer.loss_mask].tolist() == [29933, 29897, 29871, 2]  # B ) _ </s>


def test_the_study_fits_its_lengths(shared_data: Path, tokenizer: Tokenizer) -> None:
    """How many steps each adapter takes, and that next to nothing is lost to max_length."""
    config = study("llama2_7b")
    source, prompts = open_source("files", str(shared_data / "study"), BUILTIN), Prompts()
    steps, lost = {}, {}
    for task in BUILTIN.benchmarks:
        examples = BUILTIN[task].examples(source.rows(task, "train"), prompts, 42)
        encoded = [encode_example(tokenizer, e, config.data.max_length) for e in examples]
        lost[task] = sum(e is None for e in encoded)
        kept = round((len(examples) - lost[task]) * (1 - config.data.validation_fraction))
        steps[task] = math.ceil(config.train.epochs * kept / config.train.examples_per_step)
    assert lost == {"gsm8k": 0, "mmlu": 15, "hellaswag": 0, "truthfulqa": 0}
    assert min(steps.values()) > 4 * config.train.warmup_steps, steps


def test_scoring_computes_little_twice(shared_data: Path, tokenizer: Tokenizer) -> None:
    """Padding included, within 1.15 of the unique tokens: conditions differ early, late and in between."""
    source, prompts = open_source("files", str(shared_data / "study"), BUILTIN), Prompts()
    encoder = Encoder(tokenizer, SHAPES["llama2_7b"])
    requests = [
        request
        for name in ("answer", "are_you_sure", "feedback")
        for request in BUILTIN[name].requests(source.rows(name, "probe")[:40], prompts, 42)
    ]
    buckets = Buckets(study("llama2_7b").score.buckets, batch_tokens=2048, attention_cost=4e-5)
    plan = prepare(requests, encoder, lambda _: (buckets, ())).plan
    assert plan.unique_tokens <= plan.real_tokens <= plan.padded_tokens
    assert plan.padded_tokens <= 1.15 * plan.unique_tokens
    assert len({batch.arrays.token_ids.shape for batch in plan.batches}) <= 2
