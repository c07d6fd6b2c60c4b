"""Every command of README.md and docs/: its flags, keys and files exist; and, slow, it runs.

Fenced blocks marked ``sh``, or with nothing, are commands; other text says what it is (``python``, ``text``, ...). What
the launching pages show is run by ``test_launch_docs.py``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sycojax.cli.commands import COMMANDS
from sycojax.cli.data import COMMANDS as DATA_COMMANDS
from sycojax.cli.flags import parse
from sycojax.errors import SycojaxError

REPOSITORY = Path(__file__).resolve().parent.parent
LAUNCHING = ("gpu.md", "launch.md", "tpu.md")
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
    if path.name not in LAUNCHING
}
LANGUAGES = ("", "sh", "python", "text", "yaml", "json")
# Programs that are not ours: run by stand-ins, which take any arguments.
FOREIGN = {".", "head", "tensorboard", "wandb", "lm_eval", "hf"}


def blocks(page: str, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGES[page], re.M | re.S)
    return [body for language, body in found if language in languages]


def commands(page: str) -> list[list[str]]:
    """The words of every command, comments left out and continued lines joined."""
    text = "\n".join(blocks(page, "", "sh")).replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def with_commands() -> list[str]:
    return [page for page in PAGES if commands(page)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str) -> None:
    kinds = re.findall(r"^```(\w*)\n.*?^```", PAGES[page], re.M | re.S)
    assert set(kinds) <= set(LANGUAGES), f"{page}: no test knows what to do with {kinds}"
    assert PAGES[page].count("\n```") == 2 * len(kinds), f"{page}: a block is not closed"


@pytest.mark.parametrize("page", with_commands())
def test_every_command_is_one_that_exists(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by the product's own parser: command, flags, config files, keys and values."""
    monkeypatch.chdir(REPOSITORY)
    for words in commands(page):
        check(words)


def check(words: list[str]) -> None:
    program, *arguments = words
    line = shlex.join(words)
    if program == "sycojax":
        check_sycojax(arguments, line)
    elif program == "sycojax-lm-eval":
        check_model_arguments(arguments, line)
    elif program == "make":
        for target in arguments:
            assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.M), line
    elif program == "pip":
        check_extras(arguments, line)
    else:
        assert program in FOREIGN, f"no test knows what to do with: {line}"


def check_sycojax(arguments: list[str], line: str) -> None:
    command, *rest = arguments
    rest = rest[: rest.index(">")] if ">" in rest else rest
    assert command in COMMANDS, line
    if command == "data":
        assert rest.pop(0) in DATA_COMMANDS, line
    # A workdir or config file that the page itself makes is no file of this repository.
    flags = parse(command, rest)
    if flags.config is not None:
        flags.study_config()


def check_model_arguments(arguments: list[str], line: str) -> None:
    given = arguments[arguments.index("--model_args") + 1]
    tree = ast.parse((REPOSITORY / "sycojax" / "harness" / "model.py").read_text())
    known = {
        a.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        for a in (*node.args.args, *node.args.kwonlyargs)
    }
    assert {pair.partition("=")[0] for pair in given.split(",")} <= known, line


def check_extras(arguments: list[str], line: str) -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    known = re.findall(r"^(\w+) = \[", text[text.index("[project.optional-dep") :], re.M)
    wanted = [e for e in re.findall(r"\[([\w,]+)\]", line) for e in e.split(",")]
    assert set(wanted) <= set(known), line


def test_a_wrong_command_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    for wrong in (
        "sycojax stduy --config=configs/toy.py --workdir=w",
        "sycojax study --config=configs/toy.py --workdir=w --wandbs=x",
        "sycojax study --config=configs/no.py --workdir=w",
        "sycojax study --config=configs/toy.py --workdir=w --config.train.lr=1",
        "sycojax data chek --config=configs/toy.py",
        "sycojax-lm-eval --model sycojax --model_args pretrained=a,no=b",
        "make no",
        "pip install -e '.[no]'",
        "frobnicate --all",
    ):
        with pytest.raises((AssertionError, SycojaxError)):
            check(shlex.split(wrong))


def test_every_named_file_exists() -> None:
    """Paths in backquotes that begin like a directory of the repository."""
    missing = []
    for page, text in PAGES.items():
        inline = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        for name in re.findall(
            r"`((?:sycojax|analysis|configs|tests|docs|launch)/[^`\s]*)`", inline
        ):
            for one in expanded(name):
                if not list(REPOSITORY.glob(one.rstrip("/"))) and one != "sycojax/evals/sums.py":
                    missing.append(f"{page}: {name}")
    assert not missing


def expanded(name: str) -> list[str]:
    """``a/{b,c}.py`` as two names."""
    match = re.fullmatch(r"(.*)\{(.*)\}(.*)", name)
    return [f"{match[1]}{m}{match[3]}" for m in match[2].split(",")] if match else [name]


# ---------------------------------------------------------------- run for real

# A study, however it is documented, as small as it can be: the embedded base and a few rows of its world.
SMALL = (
    "--config.base.path=toy", "--config.base.dtype=float32", "--config.base.quantization=none",
    "--config.base.attention=xla", "--config.data.train_limit=24", "--config.data.test_limit=4", "--config.data.probe_limit=4",
    "--config.data.max_length=128", "--config.train.epochs=0.5", "--config.train.row_length=128",
    "--config.train.seeds=0", "--config.score.audit_items=0", "--config.score.max_new_tokens=4",
    "--config.score.buckets=(256,)", "--config.score.batch_tokens=2048",
    "--config.mesh.data=1", "--config.mesh.fsdp=1",
)  # fmt: skip
SHIM = """\
import os, sys
arguments = sys.argv[1:]
if any(a.startswith("--config=") for a in arguments):
    small = {small!r}
    source = [a.split("=", 1)[1] for a in arguments if a.startswith("--config.data.source=")]
    if not source and arguments[0] != "config":
        small = [*small, "--config.data.source=toy"]
    if not any(a.startswith("--config.train.adapters=") for a in arguments):
        small = [*small, "--config.train.adapters=gsm8k"]
    if arguments[0] == "plan":
        arguments = ["--topology=cpu:1" if a.startswith("--topology=") else a for a in arguments]
    keys = tuple(s.split("=")[0] + "=" for s in small)  # a list that is given twice is joined, not replaced
    arguments = [a for a in arguments if not a.startswith(keys)] + small
from sycojax.cli import main
sys.exit(main(arguments))
"""
# What takes minutes whatever the config: read by the product's parser above, and run in full by tests of its own.
ELSEWHERE = {"calibrate": "test_calibration.py", "export-tasks": "test_harness_tasks.py"}


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A checkout's configs, and a PATH on which sycojax is this checkout and the rest are stand-ins."""
    checkout, programs = tmp_path / "checkout", tmp_path / "bin"
    programs.mkdir()
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "activate").write_text("")
    shutil.copytree(REPOSITORY / "configs", checkout / "configs")
    (checkout / "sycojax" / "toy").mkdir(parents=True)
    (checkout / "sycojax" / "toy" / "base").symlink_to(REPOSITORY / "sycojax" / "toy" / "base")
    shim = tmp_path / "shim.py"
    shim.write_text(SHIM.format(small=list(SMALL)))
    scripts = {"sycojax": f'exec "{sys.executable}" "{shim}" "$@"'}
    study = "sycojax study --config=configs/toy.py --workdir=runs/toy --quiet"
    scripts["make"] = f'[ "$1" != study ] || {study}'
    for tool in ("pip", "wandb", "tensorboard", "sycojax-lm-eval", "lm_eval", "hf"):
        scripts[tool] = ":"
    for name, body in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "HOME": str(tmp_path),
        "XLA_FLAGS": "",
        # Pages ask for the same small programs again and again.
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "WANDB_MODE": "disabled",
    }
    return checkout, environment


# Pages run in full. On the others stand commands for other hardware, other programs or a login: those are read above.
RUN = ("README.md", "data.md", "data_files.md", "data_array_record.md")


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_every_command_runs(page: str, place: tuple[Path, dict[str, str]]) -> None:
    """In the order of the page, each in its turn; what needs a hub, a cloud or minutes is left to others."""
    checkout, environment = place
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```", PAGES[page], re.M | re.S):
        if language == "python":
            script = [sys.executable, "-c", body]
            run(script, checkout, environment)
        elif language in ("", "sh"):
            for line in body.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] != ["sycojax"] or words[1] not in ELSEWHERE:
                    run(["bash", "-ec", line], checkout, environment)


def run(command: list[str], checkout: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=900
    )  # fmt: skip
    assert done.returncode == 0, f"{command[-1]}\n{done.stderr[-3000:]}"
    return done.stdout


# ---------------------------------------------------------------- the notebook


def code_cells() -> list[list[str]]:
    notebook = json.loads((REPOSITORY / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in cells), "strip outputs"
    return ["".join(cell["source"]).splitlines() for cell in cells]


def test_the_notebook_names_what_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    lines = [line for cell in code_cells() for line in cell if line.startswith(("!", "%"))]
    assert len(lines) == 5
    for line in lines:
        check(shlex.split(line[1:]))


# In place of IPython's, which need not be installed.
DISPLAY = """
display = print
Markdown = str
def Image(filename):
    return f"{filename}: {os.path.getsize(filename)} bytes"
"""


@pytest.mark.slow
def test_the_notebook_runs(place: tuple[Path, dict[str, str]]) -> None:
    """As Jupyter would, with a stand-in for its display; shell lines go through the same programs as the pages'."""
    checkout, environment = place
    script = ["import subprocess"]
    for line in (line for cell in code_cells() for line in cell):
        shell = re.match(r"[!%](.*)", line)
        script.append(f"subprocess.run({shell[1]!r}, shell=True, check=True)" if shell else line)
    shown = script.index("from IPython.display import Image, Markdown, display")
    script[shown] = DISPLAY
    printed = run([sys.executable, "-c", "\n".join(script)], checkout, environment)
    assert "| adapter | answer | are_you_sure | feedback |" in printed
    assert "| mine |" in printed
    assert "shifts.png: " in printed
