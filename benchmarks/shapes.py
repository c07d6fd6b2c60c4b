"""The models and the texts that are timed: the embedded toy, random Llamas, and the study's own data."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import runpy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp

from benchmarks import peers
from sycojax import toy
from sycojax.config import BaseConfig, DataConfig, ScoreConfig, StudyConfig, TrainConfig
from sycojax.data.prompts import Recipe
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.models.base import FrozenBase, Tree, abstract_base, initial_lora, zero_lora
from sycojax.models.compute import AskedRemat, Compute, Dtype
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.models.quantize import NF4_VALUES, Quantization
from sycojax.planning import shapes as planning
from sycojax.study.datasets import StudyData, prepare
from sycojax.training.bank import AdapterJob
from sycojax.weights.frozen import compute_of
from sycojax.weights.huggingface import load_base, load_config, save_base
from sycojax.weights.merged import write_tokenizer

REPOSITORY = Path(__file__).resolve().parent.parent
LORA = LoRAConfig()  # rank 16 on all seven projections, dropout 0.1: the published recipe
LLAMA2_7B = planning.SHAPES["llama2_7b"]


def _llama(d: int, layers: int, heads: int, ffn: int) -> LlamaConfig:
    """Llama 2 in small."""
    return dataclasses.replace(
        LLAMA2_7B, hidden_size=d, intermediate_size=ffn, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, head_dim=d // heads,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Shape:
    """One model with the settings it is run at. ``config`` None is the embedded base."""

    name: str
    config: LlamaConfig | None
    dtype: Dtype = "float32"
    quantization: Quantization = "none"
    remat: AskedRemat = BaseConfig().remat
    lora: LoRAConfig = LORA
    texts: Literal["toy", "sample"] = "toy"  # where none are given
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    score: ScoreConfig = dataclasses.field(default_factory=ScoreConfig)
    items: int = 4  # drawn per benchmark and probe
    decoded: tuple[int, ...] = (64,)  # prompts, a line for each
    new_tokens: int = 64

    def compute(self, architecture: LlamaConfig) -> Compute:
        """How it is computed: on the first device, as by the peers."""
        base = BaseConfig(dtype=self.dtype, quantization=self.quantization, remat=self.remat)
        config = StudyConfig(base=base, train=self.train)
        return compute_of(config, architecture, jax.devices()[:1])


def _settings(name: str) -> StudyConfig:
    """The study of ``configs/NAME.py``."""
    values = runpy.run_path(str(REPOSITORY / "configs" / f"{name}.py"))["get_config"]()
    return StudyConfig.from_config_dict(values)


_SMOLLM2 = Shape(
    "smollm2",
    planning.SHAPES["smollm2_135m"],
    texts="sample",
    items=2,
    decoded=(16, 64),
    new_tokens=32,
)
_TOY, _LLAMA2_7B = _settings("toy"), _settings("llama2_7b")
# As in configs/llama2_7b.py, but in passes that fill an accelerator of 80 GB or more: 72 examples of the sample fill 29 to
# 31 of 32 rows.
_LARGE = Shape(
    "llama2_7b",
    LLAMA2_7B,
    dtype="bfloat16",
    texts="sample",
    train=dataclasses.replace(_LLAMA2_7B.train, examples_per_step=72, micro_batch_rows=16),
    score=_LLAMA2_7B.score,
    items=16,
    new_tokens=128,
)
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("toy", None, train=_TOY.train, score=_TOY.score, items=40),
        Shape("small", _llama(512, 8, 8, 1376), items=4),
        _SMOLLM2,
        dataclasses.replace(_SMOLLM2, name="smollm2_bf16", dtype="bfloat16"),
        _LARGE,
        dataclasses.replace(_LARGE, name="llama3.1_8b", config=planning.SHAPES["llama3.1_8b"]),
        # For tests: everything runs in seconds, on the embedded world.
        Shape(
            "tiny",
            dataclasses.replace(_llama(64, 2, 4, 192), vocab_size=1474),
            train=TrainConfig(row_length=128),
            items=1,
            decoded=(4,),
            new_tokens=4,
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Bench:
    """A shape made concrete: the base on the devices, its tokenizer, and where its texts are."""

    shape: Shape
    base: FrozenBase
    tokenizer: Tokenizer
    texts: Path | None  # in the layout of ``data.source="files"``; None: the embedded world
    scratch: Path

    @property
    def source(self) -> str:
        """Which texts these are."""
        return "study" if self.texts else f"the embedded {self.shape.texts}"

    def data(self, recipe: Recipe = "sycojax", **score: Any) -> StudyData:
        """Examples and requests of a study at this shape's settings."""
        # Texts may come with a tokenizer that has no template, such as Llama 2's in some copies.
        raw = self.tokenizer.raw
        template = "" if raw is not None and raw.chat_template else "plain"
        config = StudyConfig(
            base=BaseConfig(dtype=self.shape.dtype, chat_template=template),
            lora=self.base.lora,
            data=DataConfig(
                source="files" if self.texts else self.shape.texts,
                path=str(self.texts or ""),
                recipe=recipe,
                max_length=self.max_length,
                keep_test_items=True,  # nothing is concluded from what is trained here
            ),
            train=dataclasses.replace(self.shape.train, adapters=("combined",)),
            score=dataclasses.replace(self.shape.score, audit_items=0, **score),
        )
        return prepare(config, self.tokenizer)

    @property
    def max_length(self) -> int:
        """Tokens of one training example."""
        return min(self.shape.train.row_length, self.base.config.max_position_embeddings)

    @property
    def vocabulary(self) -> Path:
        """Where the tokenizer's files are."""
        return self.texts or toy.base_directory()

    def checkpoint(self) -> Path:
        """The base in Hugging Face layout, tokenizer included, for peers to load."""
        if self.shape.config is None:
            return toy.base_directory()
        directory = self.scratch / "base"
        if not directory.exists():
            save_base(directory, self.base.config, self.base.params)
            write_tokenizer(self.vocabulary, directory)
        return directory

    def torch_model(self, attention: str = "sdpa") -> Any:
        """The base as transformers computes it; one of random weights of its own where this one's do not exist."""
        if isinstance(jax.tree.leaves(self.base.params)[0], jax.ShapeDtypeStruct):
            return peers.random_model(self.base.config.to_hf(), self.shape.dtype, attention)
        return peers.load(self.checkpoint(), self.shape.dtype, attention)

    def zero_bank(self, width: int = 1) -> Tree:
        """A bank of adapters that change nothing."""
        zeros = zero_lora(self.base.config, self.base.lora)
        return jax.tree.map(lambda leaf: leaf[None].repeat(width, 0), zeros)


@contextlib.contextmanager
def opened(shape: Shape, texts: Path | None, weights: bool = True) -> Iterator[Bench]:
    """Everything of the shape; what is on disk for it goes when the block ends.

    ``texts`` holds rows and the files of a tokenizer; without it, both are embedded. Without ``weights`` the base is
    one of shapes alone. Raises ``SycojaxError`` where that tokenizer has more ids than the shape has embeddings.
    """
    if shape.dtype == "float32":
        jax.config.update("jax_default_matmul_precision", "highest")
    with tempfile.TemporaryDirectory(prefix="sycojax-bench-") as temporary:
        scratch = Path(temporary)
        tokenizer = Tokenizer.from_directory(texts or toy.base_directory())
        if shape.config is None:
            directory = toy.base_directory()
            base = load_base(directory, shape.lora, shape.compute(load_config(directory)))
        else:
            base = abstract_base(shape.config, shape.lora, shape.compute(shape.config))
            base = random_base(base) if weights else base
        if tokenizer.vocab_size > base.config.vocab_size:
            raise SycojaxError(
                f"the tokenizer in --data={texts} has more ids than --shape={shape.name}"
            )
        # The embedded tokenizer has fewer ids than a Llama has embeddings.
        tokenizer.vocab_size = base.config.vocab_size
        yield Bench(shape, base, tokenizer, texts, scratch)


def random_base(base: FrozenBase) -> FrozenBase:
    """Normal weights, made on the devices, scaled so that activations and logits are of a trained model's size.

    Quantised ones are uniform codes with scales that give them the same deviation.
    """

    def fill(number: int, path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        names = [part.key for part in path]
        fan_in = leaf.shape[-2] if leaf.ndim > 1 else 1
        hidden, inner = base.config.hidden_size, base.config.intermediate_size
        deviation = (inner if "down_proj" in names else hidden) ** -0.5

        def draw(key: jax.Array) -> jax.Array:
            match names[-1]:
                case "codes" | "absmax":
                    drawn = jax.random.bits(key, leaf.shape, jnp.uint8)
                    return jax.lax.bitcast_convert_type(drawn, leaf.dtype)
                case "channel_scale":  # the deviation of int8's 256 values is 73.9
                    return jnp.full(leaf.shape, deviation / 73.9, leaf.dtype)
                case "absmax_scale":
                    return jnp.full(leaf.shape, deviation / 100, leaf.dtype)
                case "absmax_mean":
                    return jnp.full(leaf.shape, deviation / NF4_VALUES.std(), leaf.dtype)
                case "scale":
                    return jnp.ones(leaf.shape, leaf.dtype)
                case "embedding":
                    scale = 1.0
                case _:
                    scale = fan_in**-0.5 * (2.0 if names[0] == "lm_head" else 1.0)
            return (jax.random.normal(key, leaf.shape, leaf.dtype) * scale).astype(leaf.dtype)

        made = jax.jit(draw, out_shardings=leaf.sharding)
        return made(jax.random.fold_in(jax.random.key(0), number))

    leaves, tree = jax.tree_util.tree_flatten_with_path(base.params)
    with concurrent.futures.ThreadPoolExecutor() as pool:  # each is a program to compile
        jobs = [pool.submit(fill, number, *leaf) for number, leaf in enumerate(leaves)]
        filled = [job.result() for job in jobs]
    return dataclasses.replace(base, params=jax.tree.unflatten(tree, filled))


def adapter(base: FrozenBase, seed: int) -> Tree:
    """An adapter as training starts it: NumPy, no bank axis."""
    key = jax.random.fold_in(jax.random.key(seed), 0)  # as training.step.initial_state does
    return jax.device_get(initial_lora(base.config, base.lora, key))


def job(data: StudyData, seed: int) -> AdapterJob:
    """The adapter of all four tasks."""
    chosen = data.training["combined"]
    return AdapterJob(f"combined-{seed}", seed, chosen.train, chosen.validation)
