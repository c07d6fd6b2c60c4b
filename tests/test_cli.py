"""The command line: one readable line and a non-zero exit for everything the user can mend."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from sycojax.cli import commands, dispatch, main
from sycojax.cli.dispatch import find, parse
from sycojax.cli.export import export
from sycojax.cli.flags import COMMANDS, Command
from sycojax.cli.sweep import sweep

REPOSITORY = Path(__file__).parent.parent
TOY = f"--config={REPOSITORY / 'configs' / 'toy.py'}"


def test_unknown_command(refused: Callable[..., str]) -> None:
    assert "unknown command 'stduy' (known: study" in refused("stduy")


def test_missing_config(refused: Callable[..., str], tmp_path: Path) -> None:
    message = refused("study", f"--workdir={tmp_path / 'w'}")
    assert "the following arguments are required: --config (`sycojax study --help`)" in message
    assert not (tmp_path / "w").exists()
    assert "--config=FILE is missing" in refused("doctor", "--config.train.epochs=1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("plan --toplogy=v5e:2x4", "unknown flag --toplogy of `sycojax plan`: did you mean --topology?"),
        ("plan --toplogy v5e:2x4", "unknown flag --toplogy of `sycojax plan`: did you mean --topology?"),
        ("study --noquiet", "unknown flag --noquiet of `sycojax study`: did you mean --quiet?"),
        ("study help", "unexpected argument 'help'"),
        ("plan --config=c --adapters=5", "--adapters=N is a number of adapters on a --topology=NAME"),
        ("plan --config=c --shape=llama2_7b", "--shape=NAME is planned for a --topology=NAME"),
        ("plan --config=c --topology=cpu:1 --adapters=-5", "--adapters=N is a number of adapters"),
        ("report --zzz", "unknown flag --zzz of `sycojax report` (`sycojax report --help` lists its"),
        ("study --merged", "--merged is a flag of export, not of study"),
        ("report --topology=v5e:2x4 --merged", "--topology is a flag of plan, not of report"),
        ("export --config.train.epochs=1", "data show, doctor, not of export"),
        ("config --workdir=w", "doctor, not of config"),
        ("data check --index=3", "--index is a flag of data show, not of data check"),
        ("data chek --index=3", "unknown command 'data chek' (known: data prepare, data check, data show)"),
        ("data --index=3", "unknown command 'data --index=3' (known: data prepare, data check, data show)"),
        ("data", "unknown command 'data' (known: data prepare, data check, data show)"),
        ("study --quiet=yes", "argument --quiet: ignored explicit argument 'yes'"),
        ("calibrate --processes=two", "argument --processes: invalid int value: 'two'"),
        ("report --workdir", "argument --workdir: expected one argument"),
        ("report --workdir --wandb=p", "argument --workdir: expected one argument"),
        ("report --workdir=w --work=v", "unknown flag --work of `sycojax report`: did you mean --workdir?"),
    ],
)  # fmt: skip
def test_flags_of_other_commands_and_of_none(
    refused: Callable[..., str], words: str, message: str
) -> None:
    assert message in refused(*words.split())


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_gets_what_its_help_lists(
    capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    assert main([*command.name.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert f"usage: sycojax {command.name} " in said
    assert " ".join(said.split()).count(command.summary) == 1
    assert set(re.findall(r"^  (--\S+)", said, re.M)) == set(command.flags)
    # And its function takes those.
    words = [f"{name}=7" for name, flag in command.flags.items() if flag.settings.get("required")]
    values = parse(command, words)
    if "coordinator" in values:
        values = {
            k: v for k, v in values.items() if k not in ("coordinator", "processes", "process")
        }
        values["start"] = print
    inspect.signature(command.run).bind(**values)
    if command.name in ("study", "train", "evaluate"):
        inspect.signature(commands._study).bind(command.name, **values)
    if command.name == "sweep":
        del values["emit"], values["launch"]  # with which it is written down, not run
        inspect.signature(sweep).bind(**values)
    if command.name == "export":
        inspect.signature(export).bind(**values)


@pytest.mark.parametrize("equals", [True, False])
def test_a_value_may_be_a_word_of_its_own(equals: bool) -> None:
    pairs = [
        ("--config", TOY[9:]), ("--config.train.epochs", "3"), ("--config.mesh.data", "-1"), ("--workdir", "w"),
        ("--launch", "--zone=z --type=t"), ("--process", "1"), ("--adapter", "mine=a/path"),
    ]  # fmt: skip
    words = [word for pair in pairs for word in (["=".join(pair)] if equals else pair)]
    values = parse(*find(["sweep", "--config.mesh.bank_over_data", *words, "--quiet"]))
    assert (values["workdir"], values["launch"], values["process"]) == ("w", "--zone=z --type=t", 1)
    config = values["settings"].study_config()
    assert (config.train.epochs, config.mesh.data, config.mesh.bank_over_data) == (3.0, -1, True)
    assert config.score.adapters == ("mine=a/path",)
    assert values["quiet"]


def test_missing_config_file(refused: Callable[..., str], tmp_path: Path) -> None:
    message = refused("study", f"--config={tmp_path}/no.py", f"--workdir={tmp_path}")
    assert "no.py: " in message
    assert "No such file" in message


NO_CONFIG = "get_config(), which returns an ml_collections.ConfigDict"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def get_config():\n    return defautl_config()", ["name 'defautl_config' is not defined"]),
        ("x = 1", ["has no attribute 'get_config'", NO_CONFIG]),
        ("def get_config():\n    return {}", ["get_config() of the config file returns a dict", NO_CONFIG]),
        ("def get_config():\n    return {}['x']", ["the config file fails: KeyError: x", NO_CONFIG]),
        ("def get_config():\n    return {}.no", ["AttributeError: 'dict' object has no attribute 'no'", NO_CONFIG]),
        ("import os\ndef get_config():\n    return os.no", ["module 'os' has no attribute 'no'", NO_CONFIG]),
    ],
)  # fmt: skip
def test_a_file_that_is_no_config(
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str,
    said: list[str],
) -> None:
    # ml-collections runs a file as this module, with what an earlier one left there.
    monkeypatch.delitem(sys.modules, "config_config", raising=False)
    (tmp_path / "c.py").write_text(text + "\n")
    message = refused("doctor", f"--config={tmp_path}/c.py")
    assert all(words in message for words in said)
    assert "unknown config key" not in message


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.train.lr=1e-3", "unknown config key 'lr'"),
        ("--config.trian.epochs=1", "unknown config key 'trian' in --config.trian.epochs=1"),
        (
            "--config.train.epochz=1",
            '--config.train.epochz=1 (Did you mean "epochs" instead of "epochz"?)',
        ),
        (
            "--config.train.epochs.x=1",
            "unknown config key Attribute <class 'float'>.x does not exist",
        ),
        ("--config.train.seeds[7]=1", "out of range in --config.train.seeds[7]=1"),
        ("--config.train.epochs=many", "--config.train.epochs=many"),
        ("--config.data.source=files", "needs data.path"),
        ("--config.base.path=/no/such/model", "/no/such/model"),
        ("--adapter=a/path", "adapter 'a/path': write NAME=PATH"),
        ("--epochs=3", "unknown flag --epochs of `sycojax study`"),
        ("epochs=3", "unexpected argument 'epochs=3'"),
        ("-config=x", "unexpected argument '-config=x' (flags are written --name=value)"),
    ],
)
def test_bad_settings(refused: Callable[..., str], tmp_path: Path, flag: str, message: str) -> None:
    assert message in refused("study", TOY, f"--workdir={tmp_path / 'w'}", flag)
    assert not (tmp_path / "w" / "study.json").exists() or "no/such" in flag


def test_a_file_that_fails_is_not_blamed_on_what_is_overridden(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "c.py").write_text("def get_config():\n    return {}['train']\n")
    flags = (f"--config={tmp_path}/c.py", "--config.train.epochs=1")
    assert "the config file fails: KeyError: train" in refused("doctor", *flags)


def test_report_without_a_study(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "holds no study" in refused("report", f"--workdir={tmp_path}")


def test_workdir_of_another_study(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"name": "other"}')
    message = refused("study", TOY, f"--workdir={tmp_path}")
    assert "holds the study 'other', not 'toy'" in message
    assert [p.name for p in tmp_path.iterdir()] == ["study.json"]


def test_workdir_with_foreign_files(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    assert "is not empty and holds no study" in refused("study", TOY, f"--workdir={tmp_path}")


def test_config_prints_what_will_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", TOY, "--config.train.seeds=3,4"]) == 0
    assert json.loads(capsys.readouterr().out)["train"]["seeds"] == [3, 4]


@pytest.mark.parametrize(
    "flags",
    [
        ("--config.train.seeds=0", "--config.train.seeds=1,2"),
        ("--config.train.seeds", "0", "--config.train.seeds", "1"),
    ],
)
def test_a_list_given_twice(
    refused: Callable[..., str], capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    """One of them could be meant to replace the other, or to add to it."""
    said = refused("config", TOY, *flags)
    assert "--config.train.seeds is given 2 times: write its list once" in said
    assert main(["config", TOY, "--config.train.epochs=1", "--config.train.epochs=2"]) == 0
    assert json.loads(capsys.readouterr().out)["train"]["epochs"] == 2


@pytest.mark.parametrize(
    "words",
    [("data", "check", TOY, TOY), ("study", TOY, "--workdir=a", "--quiet", "--workdir", "b")],
)
def test_a_flag_given_twice(refused: Callable[..., str], words: tuple[str, ...]) -> None:
    """Else the first would be forgotten without a word."""
    assert " is given twice" in refused(*words)


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, sycojax.cli\n"
        "for words in ([], ['help'], ['--help'], ['study', '--help'], ['data', '-h'], ['data', 'show', '-h']):\n"
        "    assert sycojax.cli.main(words) == 0\n"
        "assert sycojax.cli.main(['study', '--merged']) == 2\n"
        "heavy = {'jax', 'numpy', 'absl', 'ml_collections', 'matplotlib', 'analysis', 'fsspec'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("usage: sycojax COMMAND") == 3
    assert done.stdout.count("  data show") == 4
    assert done.stdout.count("usage: sycojax data show") == 1


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(dispatch, "find", Mock(side_effect=KeyboardInterrupt))
    assert main(["study"]) == 130
    assert capsys.readouterr().err == (
        "sycojax: interrupted; run the same command again to continue\n"
    )


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
