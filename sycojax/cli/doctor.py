"""``sycojax doctor``: is this machine ready, and if not, what to do. Of a hub base it fetches config.json, nothing else."""

from __future__ import annotations

import dataclasses
import importlib.metadata
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
TESTED = (("0.10.2", "0.12.8"), ("0.11.2", "0.12.12"), ("0.12.0.1", "0.12.12"))
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line: ``advice`` says what to do where there is something to do."""

    state: State
    subject: str
    text: str
    advice: str = ""


def examine(workdir: Path, base: str, bucket: str = "") -> list[Finding]:
    """Look at everything a study needs; ``base`` is the model it would load, ``bucket`` where the workdir is kept, "" for none."""
    return [
        *_versions(), *_devices(), *_disk(workdir), *_holding(workdir), *_bucket(bucket), *_cache(), *_hub(base),
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
    if (jax, flax) in TESTED:
        yield Finding("ok", "versions", f"{pair} (tested)")
    else:
        yield Finding(
            "note", "versions", f"{pair}, a pair that was not tested", f"tested: {tested}"
        )


def _devices() -> Iterator[Finding]:
    from sycojax.parallel import known_answer
    from sycojax.parallel.mesh import present_devices

    try:
        devices = present_devices()
    except SycojaxError as error:
        reason, _, advice = str(error).rpartition(". ")
        yield Finding("problem", "devices", reason, advice)
        return
    if devices[0].platform == "cpu":
        yield Finding("ok", "arithmetic", known_answer.answer().said)
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
    existing, refusal = _place(workdir)
    free = shutil.disk_usage(existing).free
    if refusal:
        yield Finding("problem", "disk", f"{existing} {refusal}", "choose another --workdir")
    elif free < 5 * GIB:
        yield Finding(
            "note", "disk", f"{free / GIB:.1f} GiB free at {existing}",
            "a 7B study keeps up to 5 GiB of checkpoints",
        )  # fmt: skip
    else:
        yield Finding("ok", "disk", f"{free / GIB:.0f} GiB free at {existing}")


def _holding(workdir: Path) -> Iterator[Finding]:
    """Whose study or sweep is in the workdir, if any."""
    from sycojax.study.state import holding

    try:
        found = holding(workdir)
    except SycojaxError:
        return  # ``_disk`` says it
    if found.older:
        yield Finding(
            "note", "workdir", f"{workdir} holds a {found.kind} of an earlier sycojax",
            "`sycojax report` reads it; nothing continues it: choose another --workdir",
        )  # fmt: skip
    elif found.name:
        yield Finding("ok", "workdir", f"{workdir} holds the {found.kind} {found.name!r}")


def _place(directory: Path) -> tuple[Path, str]:
    """The closest parent of ``directory`` that exists (or itself), and why nothing can be written there, "" if it can."""
    directory = directory.resolve()
    # os.path.exists says no of what may not be looked at, where Path.exists may raise.
    existing = next(p for p in (directory, *directory.parents) if os.path.exists(p))
    if not existing.is_dir():
        return existing, "is a file, not a directory"
    return existing, "" if os.access(existing, os.W_OK | os.X_OK) else "cannot be written"


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
    """Where compiled programs and the hub's files are stored, seldom on the disk of the workdir."""
    from huggingface_hub import constants

    from sycojax.cli.compilation_cache import directory as compiled

    place = compiled()
    if place is None:
        yield Finding("ok", "cache", "programs are compiled anew in every run")
    else:
        existing, refusal = _place(place)
        if refusal:
            text = f"compiled programs cannot be stored in {place}: {existing} {refusal}"
            yield Finding("note", "cache", text, "set JAX_COMPILATION_CACHE_DIR")
        else:
            yield Finding("ok", "cache", f"{place} holds compiled programs")
    directory = Path(constants.HF_HUB_CACHE)
    existing, refusal = _place(directory)
    free = shutil.disk_usage(existing).free
    text = f"{free / GIB:.0f} GiB free at {directory}, for models of the hub"
    if refusal:
        yield Finding("note", "cache", f"{text}, but {existing} {refusal}", "set HF_HOME")
    elif free < 14 * GIB:
        yield Finding("note", "cache", text, "a 7B base takes 12.6 GiB: set HF_HOME")
    else:
        yield Finding("ok", "cache", text)


def _hub(base: str) -> Iterator[Finding]:
    """Whether the hub answers, and whether it gives ``base``. A hub that does not answer is asked only once."""
    from huggingface_hub import constants

    token, unread = _token()
    if unread:
        yield Finding("note", "token", unread, "run `hf auth login`, or set HF_TOKEN")
    offline = "is not asked: HF_HUB_OFFLINE is set"
    silence = offline if constants.HF_HUB_OFFLINE else _silence(constants.ENDPOINT)
    if silence:
        advice = "`hf download ORG/NAME` where there is a network, and give its directory"
        yield Finding("note", "hub", f"{constants.ENDPOINT} {silence}", advice)
    else:
        yield Finding("ok", "hub", f"{constants.ENDPOINT} answers; it is asked {token} a token")
    yield _base(base, silence, token)


def _base(base: str, silence: str, token: str) -> Finding:
    """Whether ``base`` is here and whole, or can be fetched from the hub. ``silence`` says why the hub does not answer."""
    if not base:
        return Finding("ok", "base", "none asked for (--config=FILE)")
    from sycojax.gguf_file import find, open_gguf
    from sycojax.weights.hub import located

    base = located(base)
    if Path(base).exists():
        lacking = _lacking(Path(base))
        if lacking:
            return Finding("problem", "base", lacking)
        if found := find(base):
            kinds = open_gguf(found).kinds
            return Finding("ok", "base", f"{found} is a local file, and whole: tensors in {kinds}")
        return Finding("ok", "base", f"{base} is a local directory, all its files are there")
    cached = _cached(base)
    lacking = "not here" if cached is None else _lacking(cached)
    reason = silence or _refusal(base)
    if not reason:
        return Finding("ok", "base", f"{base} can be fetched from the hub ({token} a token)")
    if not lacking:
        return Finding("note", "base", f"{base} is cached; the hub {reason}")
    text = f"{base} is not here" if cached is None else f"{base} is here in part ({lacking})"
    return Finding(
        "problem", "base", f"{text}; the hub {reason}",
        "check name and network; for a gated model ask for access and run `hf auth login`; or give a "
        "directory: --config.base.path=DIR",
    )  # fmt: skip


def _token() -> tuple[str, str]:
    """Whether the hub is asked "with" or "without" a token, and why one that is here cannot be read."""
    import huggingface_hub

    try:
        return ("with" if huggingface_hub.get_token() else "without"), ""
    except OSError as error:
        return "without", f"{error.filename} cannot be read ({error.strerror})"


def _cached(base: str) -> Path | None:
    """Where the hub's cache has weights of ``base``, all or some."""
    import huggingface_hub

    from sycojax.weights.stored import INDEX, SINGLE

    try:
        paths = [huggingface_hub.try_to_load_from_cache(base, name) for name in (INDEX, SINGLE)]
    except ValueError:  # no name of the hub's
        return None
    return next((Path(path).parent for path in paths if isinstance(path, str)), None)


def _lacking(directory: Path) -> str:
    """What is wrong with the base in ``directory``, "" where nothing is. Its weights are not read."""
    from sycojax.weights.huggingface import resolve_base

    try:
        resolve_base(directory)
    except SycojaxError as error:
        return str(error)
    return ""


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
