"""The directory of one study: who it belongs to, and what is written down about how it was made."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.evals import evaluations
from sycojax.files import atomic_write, read_json, write_json
from sycojax.parallel.distributed import on_first
from sycojax.records import BASE
from sycojax.study.external import external_adapters
from sycojax.study.state import FORMAT, check_free

PACKAGES = (
    "sycojax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "transformers", "tokenizers",
    "datasets", "numpy", "scipy", "safetensors", "ml-collections",
)  # fmt: skip


def configuration_name(adapter: str, seed: int) -> str:
    """The name of a configuration in records, tables and file names."""
    return f"{adapter}-s{seed}"


@contextlib.contextmanager
def alone(workdir: Path) -> Iterator[None]:
    """Keep other runs out of ``workdir``, which is made, while the block lasts.

    The directory itself is locked, so nothing is left behind, and a process that dies lets go. Where a file system
    locks no directories (NFS), nobody is kept out. Raises ``SycojaxError`` where another run works in it, and when it cannot
    be made.
    """
    with contextlib.ExitStack() as held:

        def lock() -> None:
            try:
                workdir.mkdir(parents=True, exist_ok=True)
                handle = os.open(workdir, os.O_RDONLY)
            except OSError as error:
                raise SycojaxError(f"cannot create {workdir}: {error.strerror or error}") from error
            held.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SycojaxError(
                    f"another run works in {workdir}: wait for its end, or choose another --workdir"
                ) from error
            except OSError:
                pass

        on_first(lock)
        yield


def claim(workdir: Path, config: StudyConfig) -> None:
    """Take ``workdir`` for this study. Raises ``SycojaxError`` as ``check_free`` does, and when it cannot be written."""
    check_free(workdir, "study", config.name)
    description = workdir / "study.json"
    if not description.exists():
        describe(workdir, config, {})
    for file in evaluations(config.data.probes).files:
        atomic_write(workdir / "probes" / f"{file.evaluation.name}.py", file.source)


def probe_files(config: StudyConfig) -> dict[str, dict[str, str]]:
    """Name and SHA-256 of a user's files, by what they define. A study keeps copies, to be read, never to be run."""
    return {
        file.evaluation.name: {"file": file.path.name, "sha256": file.sha256}
        for file in evaluations(config.data.probes).files
    }


def base_before(workdir: Path) -> str:
    """The fingerprint of the base that the last run had; "" where there was none."""
    return read_json(workdir / "study.json").get("base_fingerprint", "")


def describe(workdir: Path, config: StudyConfig, found: dict[str, Any]) -> None:
    """Write ``study.json``: resolved config, configurations, provenance, and the given findings."""
    description = workdir / "study.json"
    old = read_json(description) if description.exists() else {}
    configurations: list[dict[str, Any]] = [{"name": BASE}]
    for adapter in config.train.adapters:
        for seed in config.train.seeds:
            name = configuration_name(adapter, seed)
            configurations.append({"name": name, "adapter": adapter, "seed": seed})
    configurations += [e.configuration for e in external_adapters(config)]
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(
        description,
        {
            "format": FORMAT,
            "name": config.name,
            "created": old.get("created", now),
            "updated": now,
            "config": config.to_dict(),
            "configurations": configurations,
            "probes": probe_files(config),
            "command": found.get("command", old.get("command", "")),
            "versions": versions(),
            "commit": commit(),
            "base_fingerprint": found.get("base_fingerprint", old.get("base_fingerprint", "")),
            "basis": found.get("basis", old.get("basis", {})),
            "base_weights": found.get("base_weights", old.get("base_weights", "")),
            "template": found.get("template", old.get("template", {})),
            "devices": sorted({d.device_kind for d in jax.devices()}),
            "device_count": jax.device_count(),
            "attention": found.get("attention", old.get("attention", "")),
            "layout": found.get("layout", old.get("layout", {})),  # what was chosen for the devices
            "data": found.get("data", old.get("data", {})),
            "training": found.get("training", old.get("training", {})),
            "readouts": found.get("readouts", old.get("readouts", {})),
            "asked": found.get("asked", old.get("asked", {})),
            "scoring": found.get("scoring", old.get("scoring", {})),
            # Of scoring, and what it left out.
            "budget": found.get("budget", old.get("budget", {})),
            "estimate": {**old.get("estimate", {}), **found.get("estimate", {})},  # seconds, before
            "product_flops": found.get("product_flops", old.get("product_flops", 0.0)),
            "work": {**old.get("work", {}), **found.get("work", {})},  # of stages that one run did
            "seconds": {**old.get("seconds", {}), **found.get("seconds", {})},
            "notes": found.get("notes", old.get("notes", [])),
        },
    )


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Installed versions of Python and of packages: those that a study's numbers rest on."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of the source tree, with ``+changes`` when it is modified; empty outside a checkout."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+changes" if dirty else "")
