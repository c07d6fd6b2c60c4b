"""The commands of a sweep for Slurm, Kubernetes and TPU VMs: every cell once, and each taken by its launcher."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from sweep_cases import write_sweep

from launch import kubernetes, tpu
from sycojax.cli import main
from sycojax.cli.dispatch import find, parse
from sycojax.cli.sweep import cells_of, choose
from sycojax.config import StudyConfig

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIG = "--config=configs/sweeps/toy.py"
OVERRIDE = "--config.train.epochs=1.0"
LAUNCH = {
    "slurm": "--partition=gpu --time=8:00:00",
    "jobset": "--topology=v5e:2x4 --image=registry.example/sycojax:tpu --claim=studies",
    "tpu": "--zone=us-west4-a --type=v5litepod-8 --bucket=gs://studies/toy",
}


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def names() -> list[str]:
    return [
        cell.name
        for cell in cells_of(parse(*find(["sweep", CONFIG, "--workdir=w"]))["settings"])[1]
    ]


def emitted(capsys: pytest.CaptureFixture[str], kind: str, *flags: str) -> str:
    arguments = [CONFIG, "--workdir=runs/toys", f"--emit={kind}", f"--launch={LAUNCH[kind]}"]
    # A switch, which takes no value, and a key that is a word of its own.
    keys = ["--config.mesh.bank_over_data", "--config.train.epochs", "1.0"]
    assert main(["sweep", *arguments, *keys, "--quiet", *flags]) == 0
    assert not Path("runs/toys").exists()
    return capsys.readouterr().out


def check_sweep(arguments: list[str], cell: str, workdir: str = "runs/toys") -> None:
    """What a launcher would give to ``sycojax`` runs that cell with these settings."""
    assert arguments[0] == "sweep"
    values = parse(*find([*arguments, *(() if workdir else ("--workdir=w",))]))
    study, cells = cells_of(values["settings"])
    assert study.train.epochs == 1.0
    assert study.mesh.bank_over_data
    assert [c.name for c in choose(cells, values["cell"])] == [cell]


def test_slurm_array(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = emitted(capsys, "slurm")
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
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "slurm.sh").write_text('printf "%s\\n" "$@"\n')
    (tmp_path / "sweep.sh").write_text(script)
    done = subprocess.run(
        ["bash", "sweep.sh"], cwd=tmp_path, env={"SLURM_ARRAY_TASK_ID": "4", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    check_sweep(done.stdout.splitlines(), names()[4])


def test_jobsets(capsys: pytest.CaptureFixture[str]) -> None:
    lines = emitted(capsys, "jobset").splitlines()
    made = set()
    for line, name in zip(lines, names(), strict=True):
        ours, theirs = line.split(" | ")
        assert theirs == "kubectl create --filename=-"
        words = shlex.split(ours)
        assert words[:3] == ["python", "-m", "launch.kubernetes"]
        manifest = kubernetes.job_set(kubernetes.options_of(words[3:]))
        made.add(manifest["metadata"]["name"])
        pod = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        arguments = pod["containers"][0]["args"]
        assert "--workdir=/workdir/toys" in arguments, "one for all cells, on the claim"
        check_sweep([a for a in arguments if not a.startswith("--process")], name)
    assert len(made) == len(lines)


@pytest.mark.parametrize("keep", ["--bucket=gs://studies/toy", "--share=10.0.0.2:/studies"])
def test_tpu_vms(capsys: pytest.CaptureFixture[str], keep: str) -> None:
    launch = f"--launch=--zone=us-west4-a --type=v5litepod-8 {keep}"
    lines = emitted(capsys, "tpu", launch).splitlines()
    options = []
    for line, name in zip(lines, names(), strict=True):
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "launch.tpu"]
        found = tpu.arguments_of(words[3:])
        tpu.check(found)
        check_sweep(found.study, name, "")
        options.append(found)
    assert len({o.name for o in options}) == len(lines)
    if "bucket" in keep:
        assert len({o.bucket for o in options}) == len(lines), (
            "a bucket keeps one machine's workdir"
        )
        assert {o.to for o in options} == {"runs/toys"}, "fetched, the cells come together"
    else:
        assert {o.workdir for o in options} == {"/mnt/sycojax/toys"}
        assert len({o.to for o in options}) == len(lines)


def test_one_cell_and_an_option_of_several_words(capsys: pytest.CaptureFixture[str]) -> None:
    script = emitted(capsys, "slurm", f"--cell={names()[2]}", "--launch=--comment='doses, again'")
    assert "#SBATCH --array=0-0" in script
    assert "#SBATCH '--comment=doses, again'" in script
    assert [name in script for name in names()] == [name == names()[2] for name in names()]


@pytest.mark.parametrize("kind", ["jobset", "tpu"])
def test_a_cell_keeps_its_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    """By itself, and in a sweep that has grown; another machine of that name would do another cell."""
    together = emitted(capsys, kind).splitlines()
    alone = [emitted(capsys, kind, f"--cell={name}").strip() for name in names()]
    assert alone == together
    taken = []
    for rates in ([1e-3], [4e-3, 1e-3]):
        flag = write_sweep(tmp_path / "2_Rates_.py", StudyConfig(), {"train.learning_rate": rates})
        flags = [flag, f"--launch={LAUNCH[kind]}", f"--emit={kind}"]
        for workdir in ("runs/one", "runs/two"):
            assert main(["sweep", *flags, f"--workdir={workdir}"]) == 0
            line = capsys.readouterr().out.splitlines()[-1]
            assert "learning_rate=0.001" in line
            taken += re.findall(r"sweep-2-rates-[0-9a-f]{6}(?= --)", line)
    assert taken[:2] == taken[2:]
    assert len(set(taken)) == 2, "a machine for each workdir"


def test_what_a_launcher_lacks_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", CONFIG, "--workdir=w", "--emit=jobset", "--launch=--image=i"]) == 2
    assert "needs --launch with --topology=, --claim=" in capsys.readouterr().err
    assert main(["sweep", CONFIG, "--workdir=w", "--emit=tpu", "--launch='--zone=z"]) == 2
    assert "No closing quotation" in capsys.readouterr().err


def test_slurm_needs_the_checkout(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = REPOSITORY / "configs" / "sweeps" / "toy.py"
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", f"--config={config}", "--workdir=w", "--emit=slurm"]) == 2
    assert "launch/slurm.sh is not here" in capsys.readouterr().err
