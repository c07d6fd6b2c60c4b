"""The models and the texts that are timed: the embedded toy, random Llamas, and the study's own data."""

from __future__ import annotations

import contextlib
import dataclasses
import runpy
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from sycojax import toy
from sycojax.config import BaseConfig, DataConfig, ScoreConfig, StudyConfig, TrainConfig
from sycojax.data.prompts import Recipe
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.models.base import FrozenBase, Tree, abstract_base, initial_lora, zero_lora
from sycojax.models.compute import Compute, Dtype, Remat
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.planning import shapes as planning
from sycojax.study.datasets import StudyData, prepare
from sycojax.training.bank import AdapterJob
from sycojax.weights.frozen import compute_of
from sycojax.weights.huggingface import TOKENIZER_FILES, load_base, load_config, save_base

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
    remat: Remat = BaseConfig().remat
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    score: ScoreConfig = dataclasses.field(default_factory=ScoreConfig)
    items: int = 4  # drawn per benchmark and probe
    decoded: int = 64  # prompts
    new_tokens: int = 64

    def compute(self, architecture: LlamaConfig) -> Compute:
        """How it is computed: on the first device, as by the peers."""
        config = StudyConfig(base=BaseConfig(dtype=self.dtype, remat=self.remat), train=self.train)
        return compute_of(config, architecture, jax.devices()[:1])


def _settings(name: str) -> StudyConfig:
    """The study of ``configs/NAME.py``."""
    values = runpy.run_path(str(REPOSITORY / "configs" / f"{name}.py"))["get_config"]()
    return StudyConfig.from_config_dict(values)


_TOY, _LLAMA2_7B = _settings("toy"), _settings("llama2_7b")
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("toy", None, train=_TOY.train, score=_TOY.score, items=40),
        Shape("small", _llama(512, 8, 8, 1376), items=4),
        # As in configs/llama2_7b.py, but recomputing no more than the default: one GPU holds the rest.
        Shape(
            "llama2_7b",
            LLAMA2_7B,
            dtype="bfloat16",
            train=_LLAMA2_7B.train,
            score=_LLAMA2_7B.score,
            items=16,
            decoded=256,
            new_tokens=256,
        ),
        # For tests: everything runs in seconds, on the embedded world.
        Shape(
            "tiny",
            dataclasses.replace(_llama(64, 2, 4, 176), vocab_size=1416),
            train=TrainConfig(row_length=128),
            items=1,
            decoded=4,
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
        return "toy world" if self.texts is None else "study"

    def data(self, recipe: Recipe = "sycojax", **score: Any) -> StudyData:
        """Examples and requests of a study at this shape's settings."""
        config = StudyConfig(
            base=BaseConfig(dtype=self.shape.dtype),
            lora=self.base.lora,
            data=DataConfig(
                source="files" if self.texts else "toy",
                path=str(self.texts or ""),
                recipe=recipe,
                max_length=self.max_length,
            ),
            train=dataclasses.replace(self.shape.train, adapters=("combined",)),
            score=dataclasses.replace(self.shape.score, audit_items=0, **score),
        )
        return prepare(config, self.tokenizer)

    @property
    def max_length(self) -> int:
        """Tokens of one training example."""
        return min(self.shape.train.row_length, self.base.config.max_position_embeddings)

    def checkpoint(self) -> Path:
        """The base in Hugging Face layout, tokenizer included, for peers to load."""
        if self.shape.config is None:
            return toy.base_directory()
        directory = self.scratch / "base"
        if not directory.exists():
            save_base(directory, self.base.config, self.base.params)
            vocabulary = self.texts or toy.base_directory()
            for name in TOKENIZER_FILES:
                if (vocabulary / name).is_file():
                    shutil.copy(vocabulary / name, directory)
        return directory

    def zero_bank(self) -> Tree:
        """A bank of one adapter that changes nothing."""
        return jax.tree.map(lambda leaf: leaf[None], zero_lora(self.base.config, self.base.lora))


@contextlib.contextmanager
def opened(name: str, texts: Path | None) -> Iterator[Bench]:
    """Everything of the shape ``name``; what is on disk for it goes when the block ends.

    ``texts`` holds rows and the files of a tokenizer; without it, both are the embedded world's. Raises
    ``SycojaxError`` where that tokenizer has more ids than the shape has embeddings.
    """
    shape = SHAPES[name]
    if shape.dtype == "float32":
        jax.config.update("jax_default_matmul_precision", "highest")
    with tempfile.TemporaryDirectory(prefix="sycojax-bench-") as temporary:
        scratch = Path(temporary)
        tokenizer = Tokenizer.from_directory(texts or toy.base_directory())
        if shape.config is None:
            directory = toy.base_directory()
            base = load_base(directory, LORA, shape.compute(load_config(directory)))
        else:
            base = random_base(shape)
        if tokenizer.vocab_size > base.config.vocab_size:
            raise SycojaxError(f"the tokenizer in --data={texts} has more ids than --shape={name}")
        # The embedded tokenizer has fewer ids than a Llama has embeddings.
        tokenizer.vocab_size = base.config.vocab_size
        yield Bench(shape, base, tokenizer, texts, scratch)


def random_base(shape: Shape) -> FrozenBase:
    """Normal weights scaled so that activations and logits are of a trained model's size."""
    assert shape.config is not None
    base = abstract_base(shape.config, LORA, shape.compute(shape.config))

    def fill(number: int, path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        names = [part.key for part in path]
        if names[-1] == "scale":
            return jax.jit(lambda: jnp.ones(leaf.shape, leaf.dtype), out_shardings=leaf.sharding)()
        scale = 1.0 if names[-1] == "embedding" else leaf.shape[-2] ** -0.5
        scale *= 2.0 if names[0] == "lm_head" else 1.0
        draw = jax.jit(
            lambda key: (jax.random.normal(key, leaf.shape, leaf.dtype) * scale).astype(leaf.dtype),
            out_shardings=leaf.sharding,
        )
        return draw(jax.random.fold_in(jax.random.key(0), number))

    leaves, tree = jax.tree_util.tree_flatten_with_path(base.params)
    filled = [fill(number, path, leaf) for number, (path, leaf) in enumerate(leaves)]
    return dataclasses.replace(base, params=jax.tree.unflatten(tree, filled))


def adapter(base: FrozenBase, seed: int) -> Tree:
    """An adapter as training starts it: NumPy, no bank axis."""
    key = jax.random.fold_in(jax.random.key(seed), 0)  # as training.step.initial_state does
    return jax.device_get(initial_lora(base.config, base.lora, key))


def job(data: StudyData, seed: int) -> AdapterJob:
    """The adapter of all four tasks."""
    chosen = data.training["combined"]
    return AdapterJob(f"combined-{seed}", seed, chosen.train, chosen.validation)
