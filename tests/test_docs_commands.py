"""Every command of README.md, docs/ and the notebook: its flags, keys and files exist. test_docs_run.py runs them."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import shutil
from pathlib import Path

import pytest
from docs_pages import (
    LAUNCHING,
    PAGES,
    REPOSITORY,
    RUNNABLE,
    TEXTS,
    blocks,
    code_cells,
    commands,
    with_commands,
)

from sycojax.cli import main
from sycojax.cli.dispatch import find, parse
from sycojax.cli.sweep import cells_of
from sycojax.errors import SycojaxError

LANGUAGES = ("", "sh", "python", "text", "yaml", "json")
# Programs that are not ours: run by stand-ins, which take any arguments.
FOREIGN = {".", "head", "tensorboard", "wandb", "lm_eval", "hf"}


@pytest.mark.parametrize("page", TEXTS)
def test_every_block_says_what_it_is(page: str) -> None:
    """And is one that tests find: no fence of another kind or inside a list, no block by indentation."""
    kinds = {language for language, _ in blocks(page)}
    known = {"sh", "yaml"} if page in LAUNCHING else set(LANGUAGES)
    assert kinds <= known, f"{page}: no test knows what to do with {kinds - known}"
    fences = re.findall(r"^[ \t>]*(?:```|~~~)(.*)$", TEXTS[page], re.M)
    assert fences == [word for language, _ in blocks(page) for word in (language, "")], page
    outside = re.sub(r"^```.*?^```$", "", TEXTS[page], flags=re.M | re.S)
    assert not re.findall(r"^(?: {4}|\t).*", outside, re.M), page


def test_every_python_block_is_run() -> None:
    """By test_docs_run.py, test_extending.py, and the test below."""
    with_python = {page for page in TEXTS if any(kind == "python" for kind, _ in blocks(page))}
    assert with_python == {*RUNNABLE, "extending.md", "sweeps.md"}


@pytest.mark.parametrize("number", [0, 1])
def test_the_sweeps_shown_are_sweeps(number: int, tmp_path: Path) -> None:
    """Saved beside those of configs/sweeps/; the second shows another end of the first."""
    shutil.copytree(REPOSITORY / "configs", tmp_path / "configs")
    first, second = (text for kind, text in blocks("sweeps.md") if kind == "python")
    text = first if number == 0 else first[: first.index("def get_sweep")] + second
    file = tmp_path / "configs" / "sweeps" / "mine.py"
    file.write_text(text, encoding="utf-8")
    _, cells = cells_of(parse(*find(["sweep", f"--config={file}", "--workdir=w"]))["settings"])
    assert len(cells) == (9, 3)[number]


@pytest.mark.parametrize("page", with_commands())
def test_every_command_is_one_that_exists(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by the product's own parser: command, flags, config files, keys and values."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    (probe,) = (text for kind, text in blocks("extending.md") if kind == "python")
    (tmp_path / "sums.py").write_text(probe, encoding="utf-8")
    for words in commands(page):
        check(words)


def in_passing() -> list[str]:
    """Whole commands inside the sentences of all pages, and at the head of config files."""
    sentences = [path.read_text(encoding="utf-8") for path in REPOSITORY.glob("docs/*.md")]
    found = re.findall(
        r"`((?:sycojax|make|pip) [^`]*)`", "\n".join([PAGES["README.md"], *sentences])
    )
    for path in REPOSITORY.glob("configs/**/*.py"):
        found += re.findall(r"^ *(sycojax .*)$", path.read_text(encoding="utf-8"), re.M)
    whole = [
        one
        for one in found
        if ("--" in one or not one.startswith("sycojax")) and " ... " not in one
    ]
    places = {"=FILE": "=configs/toy.py", "COMMAND": "study"}
    return [re.sub("=FILE|COMMAND", lambda m: places[m[0]], one) for one in dict.fromkeys(whole)]


@pytest.mark.parametrize("line", in_passing())
def test_commands_in_passing_exist_too(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    check(shlex.split(line))


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
    words = arguments[: arguments.index(">")] if ">" in arguments else arguments
    if words[-1] == "--help":
        assert main(words) == 0
        return
    settings = parse(*find(words)).get("settings")
    if settings is not None and settings.config:
        # A probe's file that a page shows is no file of this repository; test_extending.py has it.
        dataclasses.replace(settings, probes=()).study_config()


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
        "sycojax study --config=configs/toy.py --workdir=w --config.train.lr=1",
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
                if not list(REPOSITORY.glob(one.rstrip("/"))):
                    missing.append(f"{page}: {name}")
    assert not missing


def expanded(name: str) -> list[str]:
    """``a/{b,c}.py`` as two names."""
    match = re.fullmatch(r"(.*)\{(.*)\}(.*)", name)
    return [f"{match[1]}{m}{match[3]}" for m in match[2].split(",")] if match else [name]


def test_the_notebook_names_what_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    lines = [line for cell in code_cells() for line in cell if line.startswith(("!", "%"))]
    assert len(lines) == 5
    for line in lines:
        check(shlex.split(line[1:]))
