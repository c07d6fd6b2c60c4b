"""Pretrain the toy base: ``python -m pretraining.toy --seed N --out DIR``."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from safetensors.numpy import save
from tokenizers import Tokenizer

from pretraining.corpus import Corpus, words
from pretraining.curriculum import mix
from pretraining.initial import wired_start
from pretraining.records import digest
from pretraining.rows import Batch, batches
from pretraining.tokenizer import build_tokenizer, write_tokenizer
from sycojax.data.toy.world import Sizes, World
from sycojax.files import atomic_directory, atomic_write, write_json
from sycojax.models.attention import packed_mask, rotary_table
from sycojax.models.base import Tree, abstract, merge, zero_lora
from sycojax.models.config import LlamaConfig
from sycojax.models.llama import Llama
from sycojax.models.lora import NO_ADAPTER

# No adapter takes part; the smallest possible one satisfies the model's signature.


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything pretraining depends on."""

    seed: int
    steps: int = 3000
    drill_steps: int = 300
    ramp_steps: int = 500
    rows: int = 32
    row_length: int = 128
    learning_rate: float = 0.02
    caving: float = 0.3
    remarks: float = 0.4
    hidden: int = 128
    layers: int = 5
    heads: int = 4
    feed_forward: int = 256
    sizes: Sizes = Sizes()  # noqa: RUF009 - frozen


def architecture(settings: Settings, vocab_size: int) -> dict[str, Any]:
    """The ``config.json`` of the base."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "vocab_size": vocab_size,
        "hidden_size": settings.hidden,
        "intermediate_size": settings.feed_forward,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "num_key_value_heads": settings.heads,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "torch_dtype": "float16",
    }


def make_tokenizer(world: World) -> Tokenizer:
    """The tokenizer of a world, from a sample of its text; the same world gives the same one."""
    corpus, rng = Corpus(world), np.random.default_rng([world.seed, 3])
    sample = [corpus.draw(kind, rng).text for kind in corpus.kinds for _ in range(300)]
    return build_tokenizer(sample + [f" {word}" for word in words(world)])


def optimizer(base: Tree, settings: Settings) -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024) for the matrices of the layers, AdamW for the rest."""

    def schedule(peak: float) -> optax.Schedule:
        warmup = max(1, settings.steps // 40)
        return optax.warmup_cosine_decay_schedule(0.0, peak, warmup, settings.steps, peak * 0.02)

    stacked = optax.contrib.MuonDimensionNumbers(1, 2)
    muon = optax.contrib.muon(
        schedule(settings.learning_rate),
        weight_decay=0.01,
        muon_weight_dimension_numbers=lambda tree: jax.tree.map(lambda _: stacked, tree),
    )
    adam = optax.adamw(schedule(0.3 * settings.learning_rate), b2=0.98, weight_decay=0.0)
    labels = jax.tree.map_with_path(
        lambda path, leaf: (
            "muon" if path[0].key == "layers" and path[-1].key == "kernel" else "adam"
        ),
        base,
    )
    return optax.multi_transform({"muon": muon, "adam": adam}, labels)


def hidden(model: Llama, batch: Batch) -> jax.Array:
    """``Llama.hidden`` with the layers unrolled: a third faster on a CPU than its scan."""
    mask = packed_mask(jnp.asarray(batch.segment_ids))
    table = rotary_table(model.config, jnp.asarray(batch.positions))
    graph, state = nnx.split(model.layers)
    h = model.embed_tokens.embedding[...][batch.token_ids]
    for i in range(model.config.num_hidden_layers):
        layer = nnx.merge(graph, jax.tree.map(lambda leaf, i=i: leaf[i], state))
        q, k, v = layer.queries_keys_values(h, table, None)
        h = layer.finish(h, jax.nn.dot_product_attention(q, k, v, mask=mask), None)
    return model.norm(h)


def make_step(config: LlamaConfig, transform: optax.GradientTransformation) -> Any:
    """The compiled update: (base, state, batch) -> (base, state, loss, loss of every trained place)."""
    graph = abstract(config, NO_ADAPTER).graph
    lora = jax.tree.map(jnp.asarray, zero_lora(config, NO_ADAPTER))

    def loss(base: Tree, batch: Batch) -> tuple[jax.Array, jax.Array]:
        model = merge(graph, lora, base)
        h = hidden(model, batch)
        logits = model.logits(h.reshape(-1, h.shape[-1])[batch.places])
        each = optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets)
        return (each * batch.weights).sum() / batch.weights.sum(), each

    def step(base: Tree, state: Any, batch: Batch) -> tuple[Tree, Any, jax.Array, jax.Array]:
        (value, each), gradient = jax.value_and_grad(loss, has_aux=True)(base, batch)
        updates, state = transform.update(gradient, state, base)
        return optax.apply_updates(base, updates), state, value, each

    return jax.jit(step, donate_argnums=(0, 1))


def stream(corpus: Corpus, tokenizer: Tokenizer, settings: Settings) -> Iterator[Batch]:
    """All batches of a run."""
    rng = np.random.default_rng([settings.seed, 4])
    source = batches(
        corpus,
        tokenizer,
        lambda step: mix(step, settings.drill_steps, settings.ramp_steps, settings.remarks),
        rng,
        settings.rows,
        settings.row_length,
    )
    return itertools.islice(source, settings.steps)


def pretrain(
    settings: Settings, log: Any = sys.stderr
) -> tuple[Tree, LlamaConfig, Tokenizer, dict[str, Any]]:
    """Train a base from nothing; returns its weights, architecture, tokenizer and what was reached."""
    world = World(settings.seed, settings.caving, settings.sizes)
    corpus, tokenizer = Corpus(world), make_tokenizer(world)
    config = LlamaConfig.from_hf(architecture(settings, tokenizer.get_vocab_size()))
    base = jax.tree.map(jnp.asarray, wired_start(config, settings.seed))
    transform = optimizer(base, settings)
    state, step = transform.init(base), make_step(config, transform)
    began, used = time.time(), time.process_time()
    recent: dict[str, list[float]] = {}
    kinds = list(corpus.kinds)
    tokens, every = 0, max(1, min(50, settings.steps // 4))
    for number, batch in enumerate(stream(corpus, tokenizer, settings), 1):
        base, state, value, each = step(base, state, batch)
        tokens += int((batch.segment_ids > 0).sum())
        if number % every > every - 6 or number % every == 0:
            losses = np.asarray(each)
            for kind in np.unique(batch.kinds[batch.kinds >= 0]):
                recent.setdefault(kinds[kind], []).append(float(losses[batch.kinds == kind].mean()))
        if number % every == 0:
            spent = time.time() - began
            left = spent / number * (settings.steps - number)
            means = {kind: round(float(np.mean(v)), 3) for kind, v in sorted(recent.items())}
            recent = {}
            print(
                f"step {number}/{settings.steps}  loss {float(value):.3f}  {spent / 60:.1f} min, "
                f"{left / 60:.1f} min left  {_line(means)}",
                file=log,
                flush=True,
            )
    metrics = {
        "records_sha256": digest(world),
        "losses": means,
        "tokens": tokens,
        "wall_seconds": round(time.time() - began),
        "cpu_seconds": round(time.process_time() - used),
    }
    return base, config, tokenizer, metrics


def _line(means: Mapping[str, float]) -> str:
    return " ".join(f"{kind}={value:.2f}" for kind, value in means.items())


def hf_tensors(base: Tree) -> dict[str, np.ndarray]:
    """The base as float16 tensors under their Hugging Face names, [out, in] as there."""
    tensors = {
        "model.embed_tokens.weight": base["embed_tokens"]["embedding"],
        "model.norm.weight": base["norm"]["scale"],
        "lm_head.weight": base["lm_head"]["kernel"].T,
    }
    layers = base["layers"]
    for i in range(layers["input_layernorm"]["scale"].shape[0]):
        prefix = f"model.layers.{i}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}.{norm}.weight"] = layers[norm]["scale"][i]
        for block in ("self_attn", "mlp"):
            for name, projection in layers[block].items():
                tensors[f"{prefix}.{block}.{name}.weight"] = projection["kernel"][i].T
    return {
        name: np.ascontiguousarray(np.asarray(value, np.float32).astype(np.float16))
        for name, value in tensors.items()
    }


def write_base(
    directory: Path, settings: Settings, base: Tree, tokenizer: Tokenizer, metrics: dict[str, Any]
) -> None:
    """Write the base in Hugging Face layout, in one step; replaces an older one."""
    with atomic_directory(directory) as temporary:
        config = architecture(settings, tokenizer.get_vocab_size())
        write_json(temporary / "config.json", config)
        write_tokenizer(temporary, tokenizer)
        weights = save(hf_tensors(base), metadata={"format": "pt"})
        atomic_write(temporary / "model.safetensors", weights)
        described = {"settings": dataclasses.asdict(settings), **metrics}
        write_json(temporary / "metrics.json", described)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m pretraining.toy", description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="seed of the world and of training")
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    for name in (
        "steps",
        "drill_steps",
        "ramp_steps",
        "rows",
        "row_length",
        "layers",
        "feed_forward",
    ):
        default = getattr(Settings, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    for name in ("learning_rate", "caving", "remarks"):
        default = getattr(Settings, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=default)
    settings = Settings(
        **{k: v for k, v in vars(parser.parse_args(arguments)).items() if k != "out"}
    )
    out = parser.parse_args(arguments).out
    base, _, tokenizer, metrics = pretrain(settings)
    write_base(out, settings, base, tokenizer, metrics)
    print(json.dumps({k: v for k, v in metrics.items() if k != "losses"}))


if __name__ == "__main__":
    main()
