"""What ``benchmarks.accelerator`` measures, part by part: a process that is told on its input which to run next."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import gc
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax

from benchmarks import decode, lora_train, peers, score_suite
from benchmarks.hardware import device
from benchmarks.kernels import busiest, ceilings
from benchmarks.measure import PACKAGES, PEER, Line, Timing, interleave
from benchmarks.shapes import SHAPES, Bench, opened
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.files import write_json
from sycojax.models.backends import Backend
from sycojax.models.quantize import Quantization
from sycojax.scoring.decode import Decoder
from sycojax.scoring.texts import Prompt
from sycojax.study.workdir import versions

BANK = 5  # adapters in a bank
PEER_ROWS = (8, 16)  # examples of PEFT's micro-batch, tried
PEER_BATCH = 64  # of lm-eval
LARGE = 1e9  # parameters that a processor would take minutes for
MARK = "@result "  # what a line with a part's result begins with

Figures = dict[str, Any]  # value, unit, spread, and details


class Benches:
    """The shape with its base as a part asks for it; the one before is let go."""

    def __init__(self, shape: str, texts: Path | None, weights: bool):
        self.shape, self.texts, self.weights = SHAPES[shape], texts, weights
        self._stack, self._kept = contextlib.ExitStack(), (None, None)

    def close(self) -> None:
        """Let the last one go."""
        self._kept = (None, None)
        self._stack.close()
        gc.collect()

    def of(self, quantization: Quantization = "none") -> Bench:
        """The bench with a base in this form. Raises ``SycojaxError`` where a processor would compute a large one."""
        config = self.shape.config
        large = config is not None and config.base_parameter_count > LARGE
        if large and self.weights and jax.default_backend() == "cpu":
            raise SycojaxError("JAX sees no accelerator here")
        if self._kept[0] != quantization:
            self.close()
            start = time.perf_counter()
            shape = dataclasses.replace(self.shape, quantization=quantization)
            bench = self._stack.enter_context(opened(shape, self.texts, self.weights))
            jax.block_until_ready(bench.base.params if self.weights else 0)
            print(f"  base ({quantization}) in {time.perf_counter() - start:.1f} s", flush=True)
            self._kept = (quantization, bench)
        assert self._kept[1] is not None
        return self._kept[1]


def train(
    benches: Benches, repeats: int, quantization: Quantization = "none", width: int = 1,
    dropout: float | None = None, attention: Backend | None = None,
) -> Figures:  # fmt: skip
    """Optimiser steps; a bank takes fewer rows at a time, as activations are there for each adapter."""
    bench = benches.of(quantization)
    if width > 1:
        rows = max(bench.shape.train.micro_batch_rows // 4, 1)
        bench = _changed(bench, train={"micro_batch_rows": rows})
    if dropout is not None:
        lora = dataclasses.replace(bench.base.lora, dropout=dropout)
        bench = dataclasses.replace(bench, base=dataclasses.replace(bench.base, lora=lora))
    if attention is not None:
        compute = dataclasses.replace(bench.base.compute, attention=attention)
        bench = dataclasses.replace(bench, base=dataclasses.replace(bench.base, compute=compute))
    figures = _figures(*lora_train.measure(bench, repeats, False, width=width))
    return figures | {"attention": bench.base.compute.attention, "remat": bench.base.compute.remat}


def kernels(benches: Benches, repeats: int) -> Figures:
    """What the device does in an optimiser step and in decoding; printed, and in the result."""
    bench, found = benches.of(), {}
    work = lora_train.Work.of(bench, 1)
    trained = lora_train.Ours(bench.base, work.bank)
    decoder = Decoder(bench.base, bench.tokenizer, bench.shape.score)
    asked = [Prompt(text, bench.shape.new_tokens) for text in decode.prompts(bench)]
    runs: dict[str, Callable[[], Any]] = {
        "lora_train": lambda: trained.steps(work.numbers[0]),
        "decode": lambda: decoder.generate(asked, bench.zero_bank(), progress=False),
    }
    for name, run in runs.items():
        run()
        found[name] = seen = busiest(run)
        print(f"  {name}: {seen['calls']} in {seen['busy_seconds']:.3f} of {seen['seconds']:.3f} s")
        for kernel, calls, ms in seen["largest"]:
            print(f"  {ms:10.1f} ms {calls:7d} x {kernel}", flush=True)
    share = found["lora_train"]["busy_seconds"] / found["lora_train"]["seconds"]
    return {"value": share, "unit": "busy", "kernels": found}


def train_peer(benches: Benches, repeats: int) -> Figures:
    """transformers + PEFT."""
    bench = _on_torch(benches)
    work = lora_train.Work.of(bench, repeats)
    theirs = lora_train.exported_peer(bench, work.bank)
    flash = ("flash_attention_2",) if not peers.missing("flash_attn") else ()
    theirs.tune([0], PEER_ROWS, ("sdpa", *flash))
    timing = interleave({PEER: lambda r: theirs.steps(work.numbers[r])}, repeats)[PEER]
    chosen = {"micro_batch": theirs.micro_batch, "attention": theirs.attention}
    return _timed(timing, work.tokens, "tokens/s", **chosen)


def score(benches: Benches, repeats: int, width: int = 1) -> Figures:
    """All multiple-choice benchmarks and probes; of a bank, with fewer tokens a pass."""
    bench, names = benches.of(), (*score_suite.BENCHMARKS, *BUILTIN.probes)
    if width > 1:
        bench = _changed(bench, score={"batch_tokens": bench.shape.score.batch_tokens // 4})
    return _figures(score_suite.line(bench, repeats, False, names, "all", width))


def score_peer(benches: Benches, repeats: int) -> Figures:
    """lm-eval's ``hf`` model, on a quarter of the items, once."""
    bench = _on_torch(benches)
    bench = dataclasses.replace(
        bench, shape=dataclasses.replace(bench.shape, items=max(bench.shape.items // 4, 1))
    )
    asked = score_suite.requests(bench, (*score_suite.BENCHMARKS, *BUILTIN.probes))
    model = peers.harness(bench.torch_model(), bench.vocabulary, PEER_BATCH)
    pairs = score_suite.pairs(asked)
    peers.loglikelihoods(model, pairs[:PEER_BATCH])
    timing = interleave({PEER: lambda _: peers.loglikelihoods(model, pairs)}, 1)[PEER]
    return _timed(timing, len(asked), "items/s", batch=PEER_BATCH, items=len(asked))


def generate(
    benches: Benches, repeats: int, quantization: Quantization = "none", width: int = 1
) -> Figures:
    """Greedy answers."""
    return _figures(decode.line(benches.of(quantization), repeats, False, width=width))


def generate_peer(benches: Benches, repeats: int) -> Figures:
    """transformers' ``generate``, all prompts in one batch."""
    bench = _on_torch(benches)
    theirs = decode.Peer(bench, decode.prompts(bench), bench.torch_model())
    batch = len(theirs.texts)
    tokens = sum(map(len, theirs(batch)))
    timing = interleave({PEER: lambda _: theirs(batch)}, repeats)[PEER]
    return _timed(timing, tokens, "tokens/s", batch=batch)


def generate_vllm(benches: Benches, repeats: int) -> Figures:
    """vLLM, with weights of its own making."""
    from vllm import LLM, SamplingParams  # pyright: ignore[reportMissingImports]

    bench = _on_torch(benches)
    directory = bench.scratch / "vllm"
    directory.mkdir()
    write_json(directory / "config.json", bench.base.config.to_hf())
    model = LLM(
        model=str(directory), load_format="dummy", dtype=bench.shape.dtype, skip_tokenizer_init=True,
        max_model_len=min(bench.base.config.max_position_embeddings, 4096),
    )  # fmt: skip
    asked = [{"prompt_token_ids": bench.tokenizer.encode(text)} for text in decode.prompts(bench)]
    new = bench.shape.new_tokens
    settings = SamplingParams(temperature=0.0, max_tokens=new, ignore_eos=True, detokenize=False)
    model.generate(asked, settings, use_tqdm=False)
    run = functools.partial(model.generate, asked, settings, use_tqdm=False)
    timing = interleave({PEER: lambda _: run()}, repeats)[PEER]
    return _timed(timing, len(asked) * new, "tokens/s")


@dataclasses.dataclass(frozen=True)
class Part:
    """One measurement. Its speed is compared with that of ``base``, a part before it."""

    run: Callable[[Benches, int], Figures]
    seconds: float  # it may take so long, compiling included
    base: str = ""
    process: Literal["jax", "torch", "vllm"] = "jax"  # parts of different ones have a process each
    needs: tuple[str, ...] = ()  # packages


_bank: dict[str, Any] = {"width": BANK}
# The most telling first.
PARTS = {
    "ceilings": Part(lambda _, repeats: ceilings(repeats), 60),
    "lora_train": Part(train, 150),
    "score_suite": Part(score, 120),
    "decode": Part(generate, 150),
    "kernels": Part(kernels, 90),
    "lora_train_peft": Part(train_peer, 80, "lora_train", "torch", ("torch", "peft")),
    "decode_transformers": Part(generate_peer, 60, "decode", "torch", ("torch",)),
    "score_suite_lm_eval": Part(score_peer, 80, "score_suite", "torch", ("torch", "lm_eval")),
    "decode_vllm": Part(generate_vllm, 150, "decode", "vllm", ("vllm",)),
    "decode_bank": Part(functools.partial(generate, **_bank), 120, "decode"),
    "lora_train_bank": Part(functools.partial(train, **_bank), 120, "lora_train"),
    "lora_train_nf4": Part(functools.partial(train, quantization="nf4"), 120, "lora_train"),
    "decode_nf4": Part(functools.partial(generate, quantization="nf4"), 120, "decode"),
    "lora_train_int8": Part(functools.partial(train, quantization="int8"), 120, "lora_train"),
    "decode_int8": Part(functools.partial(generate, quantization="int8"), 120, "decode"),
    "lora_train_no_dropout": Part(functools.partial(train, dropout=0.0), 120, "lora_train"),
    "lora_train_xla_attention": Part(functools.partial(train, attention="xla"), 120, "lora_train"),
    "score_suite_bank": Part(functools.partial(score, **_bank), 120, "score_suite"),
}


def _changed(bench: Bench, **groups: dict[str, Any]) -> Bench:
    """The bench with other settings of the shape's ``train`` or ``score``."""
    values = {k: dataclasses.replace(getattr(bench.shape, k), **v) for k, v in groups.items()}
    return dataclasses.replace(bench, shape=dataclasses.replace(bench.shape, **values))


def _on_torch(benches: Benches) -> Bench:
    bench = benches.of()
    if peers.setup() == "cpu" and bench.base.config.base_parameter_count > LARGE:
        raise SycojaxError("torch sees no accelerator here")
    return bench


def _figures(line: Line) -> Figures:
    """Of a line without a peer."""
    details = {key: value for key, value in line.details.items() if key not in ("peer", "part")}
    return {"value": line.ours, "unit": line.unit, "spread": line.ours_spread, **details}


def _timed(timing: Timing, work: float, unit: str, **details: Any) -> Figures:
    spread = work / max(timing.wall), work / min(timing.wall)
    return {"value": work / timing.seconds, "unit": unit, "spread": spread, **details}


def outcome(name: str, benches: Benches, repeats: int, compiling: list[float]) -> dict[str, Any]:
    """A part's result, or why there is none."""
    start, compiled = time.perf_counter(), sum(compiling)
    found: Figures = {}
    error = None
    try:
        found = PARTS[name].run(benches, repeats)
    except Exception as problem:  # costs no other part
        traceback.print_exc()
        error = f"{type(problem).__name__}: {str(problem).strip()[:300]}".splitlines()[0]
    gc.collect()
    stats = jax.local_devices()[0].memory_stats() or {}
    return {
        "part": name, "shape": benches.shape.name, "device": device(),
        "seconds": time.perf_counter() - start, "compile_seconds": sum(compiling) - compiled,
        "peak_bytes_so_far": stats.get("peak_bytes_in_use"), "error": error, **found,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Run the parts that are named on standard input, a line each, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--no-weights", action="store_true")
    asked = parser.parse_args(argv)
    found = ", ".join(f"{name} {version}" for name, version in versions(PACKAGES).items())
    print(f"  {jax.devices()}, Python {platform.python_version()}, {found}", flush=True)
    compiling: list[float] = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.endswith("backend_compile_duration"):
            compiling.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    benches = Benches(asked.shape, asked.data, not asked.no_weights)
    with contextlib.closing(benches):
        for name in map(str.strip, sys.stdin):
            print(MARK + json.dumps(outcome(name, benches, asked.repeats, compiling)), flush=True)


if __name__ == "__main__":
    main()
