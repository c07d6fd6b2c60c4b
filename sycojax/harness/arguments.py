"""What ``--model_args`` and ``--device`` may say, and which file ``--use_cache`` may name."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from sycojax.errors import SycojaxError
from sycojax.files import read_json

KNOWN = (
    "pretrained", "adapter", "peft", "dtype", "quantization", "tokenizer", "max_length", "add_bos_token",
    "prefix_token_id", "fsdp", "tensor", "batch_tokens",
)  # fmt: skip
# What the harness's command line gives where --device is left out, on machines without CUDA too.
UNSET_DEVICE = "cuda:0"
# Where a file of answers says whose they are; the harness's own keys are SHA-256 digests.
OWNER = "sycojax"


def check(unknown: Mapping[str, Any], pretrained: Any, **numbers: Any) -> None:
    """Raise ``SycojaxError`` on a name that is unknown, without a model, and on a number that is none."""
    if unknown:
        raise SycojaxError(
            f"model_args: unknown {', '.join(sorted(unknown))} (known: {', '.join(KNOWN)})"
        )
    if not pretrained:
        raise SycojaxError("model_args: pretrained=DIR_OR_HUB_ID is missing")
    for name, value in numbers.items():
        if value is not None and type(value) is not int:
            raise SycojaxError(f"model_args: {name}={value!r} is not a whole number")


def path(value: Any) -> str | None:
    """A directory or hub id; the harness takes a name of digits for a number."""
    return None if value is None or value == "" else str(value)


def check_device(device: str | None) -> None:
    """Raise ``SycojaxError`` when ``--device`` names another place than the one where jax runs."""
    import jax

    if device is None or device == UNSET_DEVICE:
        return
    name, _, number = device.partition(":")
    platform = {"cuda": "gpu"}.get(name, name)
    if platform != jax.default_backend() or (number and jax.device_count() > 1):
        raise SycojaxError(
            f"--device {device}: jax runs on {jax.device_count()} x {jax.default_backend()}; choose with "
            "JAX_PLATFORMS (cpu, cuda, tpu) and CUDA_VISIBLE_DEVICES, and leave --device out"
        )


def claim_answers(answers: MutableMapping[str, Any], model: str) -> None:
    """Make a file of answers that of ``model`` (which tells it from every other).

    The harness finds an answer by the request alone, so a second adapter would get the first one's. Raises
    ``SycojaxError`` where the file was begun with another model.
    """
    if len(answers) == 0:
        answers[OWNER] = model
    if answers.get(OWNER) != model:
        raise SycojaxError(
            "--use_cache: this file holds answers of another model, adapter or precision: give each its own, or "
            "delete it"
        )


def stored_dtype(directory: Path) -> str:
    """bfloat16 where the checkpoint is; float16, which is not computed in, counts as float32, and so does a GGUF file."""
    if directory.is_file():
        return "float32"
    raw: Mapping[str, Any] = read_json(directory / "config.json")
    stored = raw.get("dtype") or raw.get("torch_dtype")
    return "bfloat16" if stored == "bfloat16" else "float32"
