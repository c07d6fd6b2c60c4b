"""``sycojax doctor``: is this machine ready, and if not, what to do. Of a hub base it fetches config.json, nothing else."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sycojax.errors import SycojaxError

State = Literal["ok", "note", "problem"]
# The pairs of which the whole test suite passes.
TESTED = (("0.10.2", "0.12.8"), ("0.11.2", "0.12.12"))
# What cannot be imported together (see pyproject.toml).
BROKEN_JAX = ("0.11.0", "0.11.1")
GIB = 2**30
# What an extra of pyproject.toml brings, by the module that shows it, and what it is for.
EXTRAS = (
    ("wandb", "wandb", "--wandb"),
    ("harness", "lm_eval", "sycojax-lm-eval"),
    ("gcs", "gcsfs", "--workdir=gs://..."),
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line: ``advice`` says what to do where there is something to do."""

    state: State
    subject: str
    text: str
    advice: str = ""


def examine(workdir: Path, base: str, bucket: str = "") -> list[Finding]:
    """Look at everything a study needs; ``base`` is the model it would load, ``bucket`` keeps the workdir, "" for none."""
    return [
        *_versions(), *_devices(), *_disk(workdir), *_bucket(bucket), *_cache(), *_hub(base), *_extras(),
    ]  # fmt: skip


def render(findings: list[Finding]) -> str:
    """The findings as a table of plain lines, advice below each."""
    width = max(len(f.subject) for f in findings)
    lines = []
    for f in findings:
        mark = {"ok": "ok      ", "note": "note    ", "problem": "PROBLEM "}[f.state]
        lines.append(f"{mark}{f.subject:<{width}}  {f.text}")
        if f.advice:
            lines.append(f"{'':8}{'':{width}}  -> {f.advice}")
    return "\n".join(lines)


def _versions() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} on {platform.platform()}")
    jax, flax = (importlib.metadata.version(name) for name in ("jax", "flax"))
    pair = f"jax {jax}, flax {flax}"
    tested = "; ".join(f"jax {a} with flax {b}" for a, b in TESTED)
    if jax in BROKEN_JAX:
        yield Finding(
            "problem",
            "versions",
            pair,
            f"this jax breaks flax: pip install 'jax!={jax}' ({tested})",
        )
    elif (jax, flax) in TESTED:
        yield Finding("ok", "versions", f"{pair} (tested)")
    else:
        yield Finding(
            "note", "versions", f"{pair}, a pair that was not tested", f"tested: {tested}"
        )


def _devices() -> Iterator[Finding]:
    import jax

    try:
        devices = jax.devices()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        yield Finding(
            "problem", "devices", reason, "JAX_PLATFORMS=cpu runs without the accelerator"
        )
        return
    kinds = ", ".join(sorted({d.device_kind for d in devices}))
    yield Finding("ok", "devices", f"{len(devices)} x {kinds} ({devices[0].platform})")
    stats = devices[0].memory_stats() or {}
    if "bytes_limit" in stats:
        yield Finding("ok", "memory", f"{stats['bytes_limit'] / GIB:.1f} GiB a device for JAX")
    if devices[0].platform == "cpu":
        yield from _unused_accelerators()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        yield Finding("ok", "memory", f"{memory / GIB:.1f} GiB, {os.cpu_count()} processors")


def _unused_accelerators() -> Iterator[Finding]:
    """A GPU or TPU that is there, and that JAX does not use."""
    wanted = os.environ.get("JAX_PLATFORMS", "")
    chosen = f"JAX_PLATFORMS={wanted} hides it" if wanted else ""
    if shutil.which("nvidia-smi") and Path("/proc/driver/nvidia/version").exists():
        advice = chosen or "pip install -e '.[cuda]', driver 525 or newer"
        yield Finding("note", "gpu", "an NVIDIA GPU is present, JAX runs on the CPU", advice)
    if any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*")):
        advice = chosen or "pip install -e '.[tpu]'; is another process using the chips?"
        yield Finding("note", "tpu", "TPU chips may be present, JAX runs on the CPU", advice)


def _disk(workdir: Path) -> Iterator[Finding]:
    existing = next(p for p in (workdir.resolve(), *workdir.resolve().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if not os.access(existing, os.W_OK):
        yield Finding(
            "problem", "disk", f"{existing} cannot be written", "choose another --workdir"
        )
    elif free < 5 * GIB:
        yield Finding(
            "note", "disk", f"{free / GIB:.1f} GiB free at {existing}",
            "a 7B study keeps up to 5 GiB of checkpoints",
        )  # fmt: skip
    else:
        yield Finding("ok", "disk", f"{free / GIB:.0f} GiB free at {existing}")


def _bucket(url: str) -> Iterator[Finding]:
    from sycojax.cli.bucket import Bucket

    if not url:
        return
    try:
        Bucket(url, progress=False).check()
    except SycojaxError as error:
        yield Finding("problem", "bucket", str(error), "docs/launch.md says what it takes")
    else:
        yield Finding("ok", "bucket", f"{url} can be read and written")


def _cache() -> Iterator[Finding]:
    """Where the hub's files and compiled programs go, which is seldom the disk of the workdir."""
    from huggingface_hub import constants

    from sycojax.cli.compilation_cache import directory as compiled

    place = compiled()
    yield Finding(
        "ok",
        "cache",
        f"{place} keeps compiled programs" if place else "programs are compiled anew in every run",
    )
    directory = Path(constants.HF_HUB_CACHE)
    existing = next(p for p in (directory, *directory.parents) if p.exists())
    text = f"{shutil.disk_usage(existing).free / GIB:.0f} GiB free at {directory}, for models of the hub"
    if os.access(existing, os.W_OK):
        yield Finding("ok", "cache", text)
    else:
        yield Finding("note", "cache", f"{text}, but it cannot be written", "set HF_HOME")


def _extras() -> Iterator[Finding]:
    for extra, module, use in EXTRAS:
        if importlib.util.find_spec(module) is None:
            yield Finding(
                "ok", "extra", f"{use} is not installed: pip install 'sycojax[{extra}]' adds it"
            )


def _hub(base: str) -> Iterator[Finding]:
    """The hub, and whether it gives ``base``; where it does not answer nothing more is asked of it."""
    import huggingface_hub
    from huggingface_hub import constants

    token = "with" if huggingface_hub.get_token() else "without"
    offline = "is not asked: HF_HUB_OFFLINE is set"
    silence = offline if constants.HF_HUB_OFFLINE else _silence(constants.ENDPOINT)
    if silence:
        advice = "`hf download ORG/NAME` where there is a network, and give its directory"
        yield Finding("note", "hub", f"{constants.ENDPOINT} {silence}", advice)
    else:
        yield Finding("ok", "hub", f"{constants.ENDPOINT} answers; it is asked {token} a token")
    if not base or Path(base).is_dir():
        where = f"{base} is a local directory" if base else "none asked for (--config=FILE)"
        yield Finding("ok", "base", where)
        return
    names = ("model.safetensors.index.json", "model.safetensors")
    cached = any(isinstance(huggingface_hub.try_to_load_from_cache(base, n), str) for n in names)
    reason = silence or _refusal(base)
    if not reason:
        yield Finding("ok", "base", f"{base} can be fetched from the hub ({token} a token)")
    elif cached:
        yield Finding("note", "base", f"{base} is cached; the hub {reason}")
    else:
        yield Finding(
            "problem", "base", f"{base} is not here; the hub {reason}",
            "check name and network; for a gated model ask for access and run `hf auth login`; or give a "
            "directory: --config.base.path=DIR",
        )  # fmt: skip


def _silence(endpoint: str) -> str:
    """Why the hub does not answer, within five seconds; "" when it does, whatever it says."""
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=5).close()
    except urllib.error.HTTPError:
        return ""
    except OSError as error:  # URLError is one
        return f"does not answer ({getattr(error, 'reason', error)})"
    return ""


def _refusal(base: str) -> str:
    """Why the hub does not give the smallest file of ``base``; "" when it does."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    try:
        huggingface_hub.hf_hub_download(base, "config.json")
    except (OSError, ValueError, EntryNotFoundError) as error:
        return "says: " + (str(error).strip() or type(error).__name__).splitlines()[0]
    return ""
