"""What every launcher asks about the study, and the slices that they know."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from launch_cases import REPOSITORY, fails, works
from own_probe import write_probe

import launch.study
from launch import slurm, tpu_vm
from launch.study import Parser, Study, options_of
from sycojax.cli.dispatch import COMMANDS
from sycojax.errors import SycojaxError
from sycojax.planning.slices import GENERATIONS, Slice, slice_of_topology, slice_of_type

CONFIG = "--config=configs/toy.py"
STUDY = ("study", CONFIG, "--workdir=runs/toy")


def study(*words: str) -> Study:
    return options_of(Parser("engine", ""), words).study


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which study?"),
        (("--",), "which study?"),
        (("--", "report", "--workdir=w"), "which study?"),
        (("--", "study", CONFIG), "--config=FILE and --workdir=DIR are needed"),
        (("--", "study", "--workdir=w"), "--config=FILE and --workdir=DIR are needed"),
        (("--", "study", CONFIG, "--workdir="), "--config=FILE and --workdir=DIR are needed"),
        (("--", *STUDY, CONFIG), "once each"),
        (("--cell=a", "--", *STUDY), "--cell names a cell of a sweep"),
        (("--cel=a", "--", *STUDY), "unrecognized arguments: --cel=a"),
        (("build", "--", *STUDY), "unrecognized arguments: build"),
    ],
)  # fmt: skip
def test_what_is_no_study(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(SycojaxError, match=said):
        study(*words)


@pytest.mark.parametrize(
    ("workdir", "name"),
    [("gs://b/Llama2_7b/", "llama2-7b"), ("runs/2_Rates_", "study-2-rates"), ("x" * 60, "x" * 33)],
)
def test_names_of_jobs(workdir: str, name: str) -> None:
    assert study("--", "study", CONFIG, f"--workdir={workdir}").jobs() == {name: ""}


def test_a_cell_keeps_its_name() -> None:
    """By itself, and in a sweep that has grown; another job of that name would do another cell."""
    sweep = ("--", "sweep", CONFIG, "--workdir=runs/rates")
    two = study("--cell=rate=1", "--cell=rate=2", *sweep).jobs()
    assert list(two.values()) == ["rate=1", "rate=2"]
    assert all(name.startswith("rates-") for name in two)
    assert study("--cell=rate=2", *sweep).jobs().items() <= two.items()


@pytest.mark.parametrize(
    ("workdir", "share", "hosts", "found"),
    [
        ("gs://bkt/x", "", 1, "gs://bkt/x"), ("runs/x", "", 1, "runs/x"), ("runs/x", "h:/s", 4, "/mnt/sycojax/runs/x"),
        ("gs://bkt/x", "h:/s", 1, "must be a relative path"), ("/x", "h:/s", 1, "must be a relative path"),
        ("a/../../x", "h:/s", 1, "must be a relative path"), ("runs/x", "nfs", 1, "must be HOST:/PATH"),
        ("runs/x", "", 4, "4 hosts must see one file system"), ("gs://bkt/x", "", 2, "2 hosts must see"),
        ("gs://bkt", "", 1, "must be gs://BUCKET/PATH"), ("s3://b/x", "", 1, "must be gs://BUCKET/PATH"),
    ],
)  # fmt: skip
def test_where_a_workdir_lies(workdir: str, share: str, hosts: int, found: str) -> None:
    work = study("--", "study", CONFIG, f"--workdir={workdir}")
    if found.startswith(("gs://", "runs", "/")):
        assert work.place(share, hosts) == found
    else:
        with pytest.raises(SycojaxError, match=found):
            work.place(share, hosts)


@pytest.mark.parametrize(
    "flags",
    [
        ("--config=configs/no.py",), (f"--config={__file__}",), (CONFIG, "--probe=no.py"),
        (f"--config={os.path.relpath(os.__file__, REPOSITORY)}",),
    ],
)  # fmt: skip
def test_a_file_that_machines_would_not_have(flags: tuple[str, ...]) -> None:
    work = study("--", "study", *flags, "--workdir=gs://bkt/x")
    with pytest.raises(SycojaxError, match="is no file of the checkout"):
        work.place("", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*STUDY, "--config.train.lr=1"), "study: unknown config key 'lr'"),
        ((*STUDY, "--frobnicate"), "study: unknown flag --frobnicate"),
        (("sweep", "--config=configs/sweeps/toy.py", "--workdir=w", "--wandb=x"), "sweep: --wandb"),
    ],
)
def test_settings_are_read_as_sycojax_reads_them(
    refused: Callable[..., str], words: tuple[str, ...], said: str
) -> None:
    assert refused("--", *words, main=slurm.main).startswith(f"launch: {said}")


def test_a_probe_that_the_config_names_must_be_there_too(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    file = write_probe(tmp_path)
    study = ("study", CONFIG, f"--config.data.probes={file}", "--workdir=gs://bkt/x")
    said = refused("--type=v4-8", "--", *study, main=tpu_vm.main)
    assert f"{file} is no file of the checkout" in said


def test_every_command_that_several_processes_share_is_launched() -> None:
    assert set(launch.study.COMMANDS) == {
        name for name, command in COMMANDS.items() if "--coordinator" in command.flags
    }


def test_a_laptop_that_only_launches(tmp_path: Path) -> None:
    """Its Python has no package that sycojax needs: a study's settings are checked where it runs."""
    venv.create(tmp_path, symlinks=True)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def written(engine: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [tmp_path / "bin/python", "-m", f"launch.{engine}", *words]
        return subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
        )

    study = ("--", *STUDY, "--config.train.lr=1")
    assert "--config.train.lr=1" in works(written("slurm", *study))
    assert works(written("tpu_vm", "--type=v4-8", *study)) == "tpu-ubuntu2204-base\n"
    claim = ("--topology=v5e:2x4", "--image=i", "--claim=c")
    fails(written("jobset", *claim, *study), "the YAML package is missing: pip install pyyaml")


def test_every_slice_has_one_type() -> None:
    every = [Slice(g, topology) for g in GENERATIONS.values() for topology in g.topologies]
    assert len({s.type for s in every}) == len(every)
    for one in every:
        assert slice_of_type(one.type) == one
        assert one.hosts * 4 == one.chips or one.hosts == 1


@pytest.mark.parametrize(
    ("topology", "kind", "hosts"),
    [
        ("v5e:2x4", "v5litepod-8", 1), ("v5e:4x4", "v5litepod-16", 4), ("v6e:16x16", "v6e-256", 64),
        ("v4:2x2x1", "v4-8", 1), ("v4:2x2x2", "v4-16", 2), ("v5p:4x4x4", "v5p-128", 16),
    ],
)  # fmt: skip
def test_known_slices(topology: str, kind: str, hosts: int) -> None:
    assert slice_of_topology(topology).type == kind
    assert slice_of_type(kind).hosts == hosts
