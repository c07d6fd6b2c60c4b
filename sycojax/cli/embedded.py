"""``toy`` in a config stands for the embedded world and base; here it becomes plain paths."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sycojax.config import StudyConfig
from sycojax.parallel.distributed import on_first
from sycojax.study.inputs import read_inputs
from sycojax.study.stages import Stamps, fingerprint
from sycojax.study.workdir import check_free, claim


def base_path(path: str) -> str:
    """``base.path`` with ``toy`` replaced by the directory of the embedded base."""
    from sycojax import toy

    return str(toy.base_directory()) if path == "toy" else path


def resolve_toy(config: StudyConfig, workdir: Path) -> StudyConfig:
    """Write the embedded world into ``workdir/data`` where the config asks for it, and name its paths.

    Raises ``SycojaxError`` as ``read_inputs`` does before anything is written.
    """
    base, data = config.base, config.data
    base = dataclasses.replace(base, path=base_path(base.path))
    if data.source == "toy":
        directory, seed = workdir / "data", data.world_seed
        on_first(lambda: check_free(workdir, config))
        read_inputs(dataclasses.replace(config, base=base))

        def write() -> None:
            claim(workdir, config)
            write_world(workdir, directory, seed)

        on_first(write)
        data = dataclasses.replace(data, source="files", path=str(directory))
    return dataclasses.replace(config, base=base, data=data)


def write_world(workdir: Path, directory: Path, seed: int) -> None:
    """Write the embedded world of a seed to ``directory`` inside ``workdir``, unless it is there already."""
    from sycojax import toy

    stamps, inputs = Stamps(workdir), fingerprint("toy world", toy.VERSION, seed)
    if not stamps.current(directory, inputs):
        toy.write_world(directory, seed)
        stamps.mark(directory, inputs)


@contextlib.contextmanager
def toy_files(config: StudyConfig) -> Iterator[StudyConfig]:
    """``config`` with the embedded world, where it asks for that, in files that are gone afterwards."""
    from sycojax import toy

    if config.data.source != "toy":
        yield config
        return
    with tempfile.TemporaryDirectory() as directory:
        toy.write_world(Path(directory), config.data.world_seed)
        data = dataclasses.replace(config.data, source="files", path=directory)
        yield dataclasses.replace(config, data=data)
