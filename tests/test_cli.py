"""The command line: one readable line and a non-zero exit for everything the user can mend."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sycojax.cli import main

REPOSITORY = Path(__file__).parent.parent
TOY = f"--config={REPOSITORY / 'configs' / 'toy.py'}"


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a failing command prints."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("sycojax: ")
    assert "Traceback" not in captured.err
    return captured.err


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown command 'stduy' (known: study" in failure(capsys, "stduy")


def test_missing_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "--config=FILE is missing" in failure(capsys, "study", f"--workdir={tmp_path / 'w'}")
    assert not (tmp_path / "w").exists()


def test_missing_config_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    message = failure(capsys, "study", f"--config={tmp_path}/no.py", f"--workdir={tmp_path}")
    assert "no.py" in message
    assert "No such file" in message


def test_config_file_with_a_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "c.py").write_text("def get_config():\n    return defautl_config()\n")
    message = failure(capsys, "study", f"--config={tmp_path}/c.py", f"--workdir={tmp_path / 'w'}")
    assert "name 'defautl_config' is not defined" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "has no attribute 'get_config'"),
        ("def get_config():\n    return {}", "get_config() of the config file returns a dict"),
        ("import os\ndef get_config():\n    return os.no", "module 'os' has no attribute 'no'"),
    ],
)
def test_a_file_that_is_no_config(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str,
    said: str,
) -> None:
    # ml-collections runs a file as this module, with what an earlier one left there.
    monkeypatch.delitem(sys.modules, "config_config", raising=False)
    (tmp_path / "c.py").write_text(text + "\n")
    message = failure(capsys, "doctor", f"--config={tmp_path}/c.py")
    assert said in message
    assert "unknown config key" not in message
    assert "get_config(), which returns an ml_collections.ConfigDict" in message


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.train.lr=1e-3", "unknown config key 'lr'"),
        ("--config.train.epochs=many", "--config.train.epochs=many"),
        ("--config.train.learning_rate=-1e-3", "learning_rate=-0.001 must be positive"),
        ("--config.train.adapters=gsm9k", "unknown adapter 'gsm9k'"),
        ("--config.data.source=files", "needs data.path"),
        ("--config.base.path=/no/such/model", "/no/such/model"),
        ("--adapter=a/path", "adapter 'a/path': write NAME=PATH"),
        ("--adapter=mmlu-s0=a/path", "adapter 'mmlu-s0': the name is taken"),
        ("--epochs=3", "Unknown command line flag 'epochs'"),
        ("epochs=3", "unexpected argument 'epochs=3'"),
    ],
)
def test_bad_settings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flag: str, message: str
) -> None:
    assert message in failure(capsys, "study", TOY, f"--workdir={tmp_path / 'w'}", flag)
    assert not (tmp_path / "w" / "study.json").exists() or "no/such" in flag


def test_report_without_a_study(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "holds no study" in failure(capsys, "report", f"--workdir={tmp_path}")


def test_workdir_of_another_study(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"name": "other"}')
    message = failure(capsys, "study", TOY, f"--workdir={tmp_path}")
    assert "holds the study 'other', not 'toy'" in message
    assert [p.name for p in tmp_path.iterdir()] == ["study.json"]


def test_workdir_with_foreign_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    assert "is not empty and holds no study" in failure(
        capsys, "study", TOY, f"--workdir={tmp_path}"
    )


def test_export_names_what_is_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "adapters" / "mmlu-s0").mkdir(parents=True)
    message = failure(
        capsys, "export", f"--workdir={tmp_path}", "--adapter=mmlu", f"--to={tmp_path / 'x'}"
    )
    assert "no adapter 'mmlu' (there: mmlu-s0)" in message
    assert not (tmp_path / "x").exists()


def test_config_prints_what_will_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", TOY, "--config.train.seeds=3,4"]) == 0
    assert json.loads(capsys.readouterr().out)["train"]["seeds"] == [3, 4]


@pytest.mark.parametrize(
    "flags",
    [
        ("--config.train.seeds=0", "--config.train.seeds=1,2"),
        ("--config.train.seeds", "0", "-config.train.seeds", "1"),
    ],
)
def test_a_list_given_twice(capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]) -> None:
    """One of them could be meant to replace the other, or to add to it."""
    assert "--config.train.seeds is given 2 times: write its list once" in failure(
        capsys, "config", TOY, *flags
    )
    assert main(["config", TOY, "--config.train.epochs=1", "--config.train.epochs=2"]) == 0
    assert json.loads(capsys.readouterr().out)["train"]["epochs"] == 2


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, sycojax.cli\n"
        "assert sycojax.cli.main(['--help']) == 0\n"
        "heavy = {'jax', 'numpy', 'absl', 'ml_collections', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "usage: sycojax COMMAND" in done.stdout


def test_output_that_nobody_reads_to_its_end() -> None:
    """``sycojax config ... | head -n 1``: no traceback, and the status of any program that a closed pipe ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sycojax", "config", TOY],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
