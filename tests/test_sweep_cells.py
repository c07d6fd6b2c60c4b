"""What a sweep file means: its cells and their names, and one clear message for what cannot be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweep_cases import write_sweep

from sycojax.cli.dispatch import find, parse
from sycojax.cli.settings import Settings
from sycojax.cli.sweep import cells_of
from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.study.state import check_free
from sycojax.study.sweep import LONGEST_NAME, plan

REPOSITORY = Path(__file__).parent.parent
STUDY = StudyConfig()


def settings(command: str, *words: str) -> Settings:
    return parse(*find([command, *words]))["settings"]


def test_a_grid_is_every_combination() -> None:
    cells = plan(STUDY, {"train.learning_rate": [1e-4, 1], "train.seeds": [0, (1, 2)]})
    assert [c.name for c in cells] == [
        "learning_rate=0.0001,seeds=0", "learning_rate=0.0001,seeds=1+2", "learning_rate=1,seeds=0",
        "learning_rate=1,seeds=1+2",
    ]  # fmt: skip
    assert [c.config.train.seeds for c in cells] == [(0,), (1, 2)] * 2
    assert cells[2].config.train.learning_rate == 1.0
    assert cells[3].settings == {"train.learning_rate": 1.0, "train.seeds": (1, 2)}
    assert all(c.config.lora == STUDY.lora for c in cells)


def test_a_list_is_the_cells_themselves() -> None:
    """What a cell leaves out is the study's own, and its name says so."""
    cells = plan(STUDY, [{"lora.rank": 4, "lora.alpha": 8.0}, {"train.adapters": "gsm8k"}])
    assert (
        cells[0].name == "rank=4,alpha=8,adapters=gsm8k+mmlu+hellaswag+truthfulqa+combined+placebo"
    )
    assert cells[1].name == "rank=16,alpha=32,adapters=gsm8k"
    assert cells[1].config.train.adapters == ("gsm8k",)


def test_arguments_of_the_chat_template_are_swept() -> None:
    cells = plan(StudyConfig(), {"base.template_args.enable_thinking": [True, False]})
    assert [c.config.base.template_args for c in cells] == [
        {"enable_thinking": True},
        {"enable_thinking": False},
    ]
    assert [c.settings["base.template_args.enable_thinking"] for c in cells] == [True, False]


def test_paths_may_hold_commas(tmp_path: Path) -> None:
    """As those of a sweep's own cells do."""
    path = "w/cells/learning_rate=0.001,train_limit=60/adapters/mmlu-s0"
    flag = write_sweep(tmp_path / "s.py", STUDY, {"train.epochs": [1, 2]})
    flags = [flag, f"--workdir={tmp_path}", f"--adapter=theirs={path}", f"--adapter=other={path}"]
    _, cells = cells_of(settings("sweep", *flags))
    assert [c.config.score.adapters for c in cells] == 2 * [(f"theirs={path}", f"other={path}")]
    (cell,) = plan(STUDY, {"score.adapters": [f"theirs={path}"]})
    assert cell.config.score.adapters == (f"theirs={path}",)


def test_names_are_file_names_and_differ() -> None:
    paths = ["org/model-a", "org model-a", "/x/" + 200 * "y"]
    cells = plan(STUDY, {"base.path": paths, "data.seed": [1], "train.seeds": [3]})
    names = [c.name for c in cells]
    assert len(set(names)) == 3, "the same after cleaning"
    for name in names:
        assert len(name) <= LONGEST_NAME
        assert not set(name) & set("/ '\"\\$")
    # Two keys that end alike are told apart.
    assert plan(STUDY, {"data.seed": [1], "train.epochs": [2], "data.world_seed": [3]})[0].name == (
        "seed=1,epochs=2,world_seed=3"
    )


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({}, "the sweep is empty"),
        ([], "the sweep is empty"),
        ({"train.seeds": []}, "the sweep is empty: its key train.seeds has no values"),
        ({"train.lr": [1e-3]}, "cell 1 of the sweep: unknown config key train.lr (known: "),
        ([{"train.epochs": 1.0}, {"trian.epochs": 1.0}], "cell 2 of the sweep: unknown config key trian"),
        ({"train": [{"epochs": 1.0}]}, "unknown config key train (a key looks like train.epochs)"),
        ({"score.budget_minutes": [0, 5]}, "cell 2 of the sweep: score.budget_minutes is for one study"),
        ({"name.x": [1]}, "unknown config key name.x"),
        ({"name": ["a"]}, "cannot change the key name"),
        ({"train.epochs": 1.0}, "key train.epochs must have a list of values, got 1.0"),
        ({"data.recipe": "published"}, "must have a list of values, got 'published'"),
        ({"train.learning_rate": [1e-3, -1]}, "cell 2 of the sweep: learning_rate=-1.0 must be positive"),
        ({"train.epochs": [1.0, 2.0, 1]}, "cells 1 and 3 of the sweep are the same study: train.epochs=1.0"),
        ([{"train.epochs": 3.0}, {"train.seeds": (0, 1)}], "are the same study"),
        (3, "a sweep is a dict of lists (a grid) or a list of dicts (its cells)"),
        ([3], "a sweep is a dict of lists"),
        ({"score.adapters": ["nameless"]}, "cell 1 of the sweep: adapter 'nameless': write NAME=PATH"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(sweep: Any, message: str) -> None:
    with pytest.raises(SycojaxError) as error:
        plan(STUDY, sweep)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("sweep", "flags", "message"),
    [
        ({"train.epochs": [1, 2]}, ("--cell=epochs=3",), "no cell 'epochs=3' (there: epochs=1, epochs=2)"),
        ({"train.epochs": [1, 2]}, ("--emit=cloud",), "argument --emit: invalid choice: 'cloud'"),
        ({"train.epochs": [1, 2]}, ("--config.train.epochs=3",), "--config.train.epochs would change nothing: every cell"),
        ({"train.epochs": [1, 2]}, ("--config.train.epochs", "3"), "--config.train.epochs would change nothing: every cell"),
        ({"score.adapters": ["a=/a", "a=/b"]}, ("--adapter=b=/c",), "--adapter would change nothing: every cell"),
        ({"train.epochs": [1, 2]}, ("--wandb=p",), "sycojax report --workdir=WORKDIR/cells/NAME --wandb=PROJECT"),
        ({"train.epochs": [1, 2]}, ("--launch=--zone=z",), "it needs --emit=ENGINE"),
        ({"train.epochs": [1, 2]}, ("--config.base.path=/no/such/base",), "sycojax: /no/such/base does not exist"),
        ({"base.path": ["/no/a", "/no/b"]}, (), "path=-no-b: /no/b does not exist"),
        ({"train.epochs": [1, 2]}, ("--adapter=theirs=/no/such/adapter",), "/no/such/adapter does not exist"),
        ({"train.epochs": [1, 2]}, ("--config.data.source=files", "--config.data.path=/no/rows"), "/no/rows"),
    ],
)  # fmt: skip
def test_nothing_is_created(
    tmp_path: Path, refused: Callable[..., str], sweep: Any, flags: tuple[str, ...], message: str
) -> None:  # fmt: skip
    flag = write_sweep(tmp_path / "s.py", STUDY, sweep)
    assert message in refused("sweep", flag, f"--workdir={tmp_path / 'w'}", *flags)
    assert not (tmp_path / "w").exists()


def test_overrides_reach_every_cell_that_has_no_value_of_its_own(tmp_path: Path) -> None:
    sweep = [{"train.epochs": 1.0}, {"lora.rank": 4}]
    flag = write_sweep(tmp_path / "s.py", STUDY, sweep)
    _, cells = cells_of(settings("sweep", flag, "--config.train.epochs=7", f"--workdir={tmp_path}"))
    assert [c.config.train.epochs for c in cells] == [1.0, 7.0]


def test_a_file_without_a_sweep(tmp_path: Path, refused: Callable[..., str]) -> None:
    toy = f"--config={REPOSITORY / 'configs' / 'toy.py'}"
    said = refused("sweep", toy, f"--workdir={tmp_path / 'w'}")
    assert "toy.py describes no sweep: it needs a function get_sweep()" in said
    broken = tmp_path / "s.py"
    write_sweep(broken, STUDY, {})
    broken.write_text(broken.read_text().replace("return {}", "return {}['rates']"))
    assert "get_sweep() of" in refused("sweep", f"--config={broken}", f"--workdir={tmp_path / 'w'}")
    assert not (tmp_path / "w").exists()


def test_the_report_of_a_sweep_is_not_tracked(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "sweep.json").write_text("{}")
    said = refused("report", f"--workdir={tmp_path}", "--wandb=p")
    assert "holds a sweep, which --wandb does not take: each cell" in said


@pytest.mark.parametrize("name", ["study.json", "thesis.tex"])
def test_a_directory_of_something_else(
    tmp_path: Path, refused: Callable[..., str], name: str
) -> None:
    flag = write_sweep(tmp_path / "s.py", STUDY, {"train.epochs": [1, 2]})
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / name).write_text("{}")
    command = ("sweep", flag, f"--workdir={tmp_path / 'w'}")
    assert "is not empty and holds no sweep" in refused(*command)
    (tmp_path / "w" / name).rename(tmp_path / "w" / ".sweep.json.k3x9")
    check_free(tmp_path / "w", "sweep", "s")  # that another cell is about to write
    (tmp_path / "w" / "sweep.json").write_text('{"name": "other"}')
    assert "holds the sweep 'other', not 's'" in refused(*command)


SHIPPED = {
    "toy": 6, "learning_rate": 5, "steps": 5, "rank": 3, "recipe": 2, "base_model": 3, "seeds": 10,
}  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sweeps(name: str) -> None:
    file = REPOSITORY / "configs" / "sweeps" / f"{name}.py"
    _, cells = cells_of(settings("sweep", f"--config={file}", "--workdir=w"))
    assert len(cells) == SHIPPED[name]


def test_every_shipped_sweep_is_told_of() -> None:
    page = (REPOSITORY / "docs" / "sweeps.md").read_text(encoding="utf-8")
    files = sorted((REPOSITORY / "configs" / "sweeps").glob("*.py"))
    assert {file.stem for file in files} == set(SHIPPED)
    assert all(f"| `configs/sweeps/{file.name}` |" in page for file in files)


def test_the_published_recipe_is_swept_as_it_is_run() -> None:
    """The cell is configs/llama2_7b_published.py but for what a comparison holds fixed: base, adapters and seeds."""
    sweep = REPOSITORY / "configs" / "sweeps" / "recipe.py"
    _, (_, cell) = cells_of(settings("sweep", f"--config={sweep}", "--workdir=w"))
    file = REPOSITORY / "configs" / "llama2_7b_published.py"
    alone = settings("study", f"--config={file}", "--workdir=w").study_config()
    assert cell.config.data == alone.data
    assert cell.config.lora == alone.lora
    train = cell.config.train
    same = dataclasses.replace(alone.train, seeds=train.seeds, adapters=train.adapters)
    assert train == same
