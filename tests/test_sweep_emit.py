"""A sweep's cells as files for Slurm, Kubernetes and SkyPilot: every cell once, and each as it was asked for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from docs_pages import blocks
from launch_cases import Place, works

from sycojax.cli import main
from sycojax.cli.dispatch import find, parse
from sycojax.cli.sweep import cells_of, choose

CONFIG = "--config=configs/sweeps/toy.py"
LAUNCH = {
    "slurm": "--partition=gpu --time=8:00:00",
    "jobset": "--topology=v5e:2x4 --image=registry.example/sycojax:tpu --claim=studies",
    "skypilot": "--accelerators=tpu-v5litepod-8 --spot",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.chdir(place.checkout)
    return place


def names() -> list[str]:
    values = parse(*find(["sweep", CONFIG, "--workdir=w"]))
    return [cell.name for cell in cells_of(values["settings"])[1]]


def printed(
    capsys: pytest.CaptureFixture[str], kind: str, *flags: str, workdir: str = "runs/toys"
) -> str:
    arguments = [CONFIG, f"--workdir={workdir}", f"--emit={kind}"]
    if not any(flag.startswith("--launch=") for flag in flags):
        arguments.append(f"--launch={LAUNCH[kind]}")
    # A switch, which takes no value, and a key that is a word of its own.
    keys = ["--config.mesh.bank_over_data", "--config.train.epochs", "1.0"]
    assert main(["sweep", *arguments, *keys, "--quiet", *flags]) == 0
    assert not Path("runs/toys").exists()
    return capsys.readouterr().out


def check_sweep(arguments: list[str], cell: str, workdir: str) -> None:
    """What an engine would give to ``sycojax`` runs that cell with these settings."""
    assert arguments[0] == "sweep"
    assert f"--workdir={workdir}" in arguments
    values = parse(*find(arguments))
    study, cells = cells_of(values["settings"])
    assert study.train.epochs == 1.0
    assert study.mesh.bank_over_data
    assert [c.name for c in choose(cells, values["cell"])] == [cell]


def test_slurm_array(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    script = printed(capsys, "slurm")
    lines = script.splitlines()
    for name in names():
        assert script.count(f"  {name}\n") == 1
    assert "#SBATCH --array=0-5" in lines
    assert "#SBATCH --partition=gpu" in lines
    assert "#SBATCH --signal=B:USR1@300" in lines, "what launch/slurm.sh relies on"
    assert "#SBATCH --requeue" in lines
    assert len([line for line in lines if "--output" in line]) == 1, "tasks have logs of their own"
    assert max(i for i, x in enumerate(lines) if x.startswith("#SBATCH")) < lines.index("cells=(")
    # As Slurm would run task 4, with a stand-in for the rest of the way.
    Path("launch/slurm.sh").write_text('printf "%s\\n" "$@"\n')
    place.environment["SLURM_ARRAY_TASK_ID"] = "4"
    said = works(place.run("bash", "-c", script))
    check_sweep(said.splitlines(), names()[4], "runs/toys")


def test_jobsets(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    manifests = list(yaml.safe_load_all(printed(capsys, "jobset")))
    assert len({manifest["metadata"]["name"] for manifest in manifests}) == len(manifests)
    for manifest, name in zip(manifests, names(), strict=True):
        pod = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        arguments = [a for a in pod["containers"][0]["args"] if not a.startswith("--process")]
        check_sweep(arguments, name, "/workdir/runs/toys")  # one for all cells, on the claim


def test_managed_jobs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    script = printed(capsys, "skypilot", workdir="gs://studies/toys")
    works(place.run("bash", "-c", script))
    launched = place.calls("sky", "jobs", "launch")
    assert len({re.findall("--name=toys-[0-9a-f]{6}", shlex.join(c))[0] for c in launched}) == 6
    task = yaml.safe_load(script[script.index("name: ") : script.index("TASK\nlaunch()")])
    program = task["run"].removeprefix("cd ~/sycojax && .venv/bin/sycojax ")
    for call, name in zip(launched, names(), strict=True):
        [cell] = [word.removeprefix("--env=CELL=") for word in call if "CELL" in word]
        words = [word.replace("$CELL", cell) for word in shlex.split(program)]
        check_sweep(words, name, f"gs://studies/toys/{name}")  # a bucket keeps one machine's


def test_cells_in_a_bucket_come_together(place: Place) -> None:
    """By the lines that docs/sweeps.md shows."""
    bucket = place.world / "buckets/my-studies/seeds"
    for cell, half in (("seeds=0", "a"), ("seeds=1", "b")):
        (bucket / cell / half / "cells" / cell).mkdir(parents=True)
        (bucket / cell / half / "cells" / cell / "study.json").touch()
        (bucket / cell / "LATEST").write_text(half)
    [gather] = [text for kind, text in blocks("sweeps.md") if kind == "text"]
    works(place.run("bash", "-euc", gather))
    found = sorted(path.parent.name for path in Path("runs/seeds").rglob("study.json"))
    assert found == ["seeds=0", "seeds=1"]


def test_one_cell_and_an_option_of_several_words(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    script = printed(capsys, "slurm", f"--cell={names()[2]}", "--launch=--comment='doses, again'")
    assert "#SBATCH --array=0-0" in script
    assert "#SBATCH '--comment=doses, again'" in script
    assert [name in script for name in names()] == [name == names()[2] for name in names()]


@pytest.mark.parametrize(
    ("launch", "said"),
    [("--comment='i", "No closing quotation"), ("-- report", "launch='-- report': which study?")],
)
def test_what_a_writer_lacks_is_said(
    place: Place, refused: Callable[..., str], launch: str, said: str
) -> None:
    emit = ("--emit=slurm", f"--launch={launch}")
    assert said in refused("sweep", CONFIG, "--workdir=w", *emit)


def test_writing_needs_the_checkout(
    place: Place, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    monkeypatch.chdir(place.world)
    config = f"--config={place.checkout}/configs/sweeps/toy.py"
    said = refused("sweep", config, "--workdir=w", "--emit=slurm")
    assert "launch/slurm.py is not here" in said
