"""Every command of README.md, docs/ and the notebook runs, in order. What the launching pages show: test_launch_docs.py."""

from __future__ import annotations

import ast
import csv
import importlib.util
import json
import shlex
import shutil
import sys
import venv
from pathlib import Path

import pytest
from docs_pages import NOTEBOOK, PAGES, REPOSITORY, RUNNABLE, blocks, lines, with_commands
from launch_cases import Place, works

PROGRAMS = Path(__file__).with_name("docs_programs.py")
BASE = "sycojax/toy/base"
STUDY = "sycojax study --config=configs/toy.py --workdir=runs/toy --quiet"
# What pages leave for the reader to put in; "runs/toy" is a study that is there already.
PLACEHOLDERS = {
    "adapters.md": {"BASE": BASE, "ADAPTER": "runs/toy/adapters/gsm8k-s0", "OWNER/": "me/"},
    "harness.md": {
        "DIR_OR_HUB_ID": BASE,
        "adapter=DIR": "adapter=runs/toy/adapters/gsm8k-s0",
        '"path/or/hub-id"': f'"{BASE}"',
        "mmlu-s0": "gsm8k-s0",
        "MODEL": BASE,
        'tasks=["hellaswag"]': 'tasks=["hellaswag"], limit=2',
    },
}
STUDIED = ("adapters.md", "harness.md", "logs.md")
STAND_INS = {
    "adapters.md": "push", "data_hub.md": "hub", "harness.md": "hub", "logs.md": "wandb",
    "sweeps.md": "wandb",
}  # fmt: skip


class Page(Place):
    """A checkout on whose PATH sycojax, the harness and Python are this checkout's, with little work to do."""

    def __init__(self, directory: Path, stand_ins: str = "") -> None:
        super().__init__(directory)
        (self.checkout / ".venv/bin").mkdir(parents=True)
        (self.checkout / ".venv/bin/activate").touch()
        for name in ("sycojax", "sycojax-lm-eval", "lm_eval", "python"):
            self.program(name, f'exec "{sys.executable}" "{PROGRAMS}" {name} "$@"')
        # `make test` would be these tests again.
        self.program("make", f'[ "$1" = test ] || {{ [ "$1" = study ] && {STUDY}; }}')
        found = 'find "${1#--logdir=}" -name "events.out.tfevents.*" | grep -q .'
        self.program("tensorboard", found)
        self.program("wandb", ":")
        self.environment |= {
            "PYTHONPATH": f"{REPOSITORY}:{PROGRAMS.parent}",
            "HF_HOME": str(directory / "hub"),
            "XLA_FLAGS": "",
            "STAND_INS": stand_ins,
            # Pages ask for the same small programs again and again.
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": str(directory / "compiled"),
        }
        self.environment.pop("WANDB_MODE", None)

    def line(self, script: str) -> str:
        """Run one line of a shell; it must succeed. Returns what it printed."""
        return works(self.run("bash", "-euc", script))


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Where the first study of README.md has run."""
    place = Page(tmp_path_factory.mktemp("studied"))
    place.line(STUDY)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("page", with_commands())
def test_every_command_runs(page: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """In the order of the page, each in its turn, as small as docs_programs.py makes it."""
    if page == "harness.md" and importlib.util.find_spec("lm_eval") is None:
        pytest.skip("lm-evaluation-harness is not installed: pip install 'sycojax[harness]'")
    place = Page(tmp_path, STAND_INS.get(page, ""))
    if page in STUDIED:
        done: Page = request.getfixturevalue("studied")
        shutil.copytree(done.checkout / "runs", place.checkout / "runs")
    if page == "logs.md":  # whose study is to be tracked while it trains
        shutil.rmtree(place.checkout / "runs/toy/adapters")
    for language, text in blocks(page):
        for placeholder, value in PLACEHOLDERS.get(page, {}).items():
            text = text.replace(placeholder, value)
        if language == "python" and page in RUNNABLE:
            place.line(f"python -c {shlex.quote(text)}")
        elif language == "python" and page == "extending.md":
            (place.checkout / "sums.py").write_text(text, encoding="utf-8")
            rows = [json.dumps({"a": n, "b": n + 3, "claimed": 2 * n + 4}) for n in range(1, 9)]
            (place.checkout / "sums.jsonl").write_text("\n".join(rows), encoding="utf-8")
        elif language in ("", "sh"):
            for line in lines(text):
                place.line(line)
    if page in SEEN:
        SEEN[page](place)


def adapters_are_there(place: Page) -> None:
    runs = place.checkout / "runs"
    assert (runs / "mine/report/index.html").is_file()
    assert (runs / "gsm8k-adapter/adapter_model.safetensors").is_file()
    assert (runs / "gsm8k-merged/model.safetensors").is_file()
    assert "me/NAME" in (runs / "gsm8k-pushed/README.md").read_text()


def numbers_were_sent(place: Page) -> None:
    home = Path(place.environment["HOME"])
    (run,) = json.loads((home / "wandb-study.json").read_text()).values()
    assert [line["gsm8k-s0/step"] for line in run["logged"] if "gsm8k-s0/step" in line]
    (run,) = json.loads((home / "wandb-report.json").read_text()).values()
    assert any(key.startswith("shift/gsm8k/answer/") for key in run["summary"])
    assert len(list((place.checkout / "runs/profiled/profile").rglob("*.trace.json.gz"))) == 1


def harness_measured(place: Page) -> None:
    (found,) = (place.checkout / "out").rglob("results_*.json")
    assert {"hellaswag", "gsm8k"} == set(json.loads(found.read_text())["results"])


def cells_were_emitted_and_run(place: Page) -> None:
    with (place.checkout / "runs/sweep/report/tables/numbers.csv").open(encoding="utf-8") as stream:
        settings = {(row["learning_rate"], row["train_limit"]) for row in csv.DictReader(stream)}
    assert len(settings) == 6
    assert "--array=0-9" in (place.checkout / "seeds.sh").read_text()
    assert (place.checkout / "seeds.yaml").read_text().count("kind: JobSet") == 10
    assert (place.checkout / "sky.sh").read_text().count("\nlaunch seeds-") == 10
    (run,) = json.loads(
        (Path(place.environment["HOME"]) / "wandb-report.json").read_text()
    ).values()
    assert any(key.startswith("shift/truthfulqa/answer/") for key in run["summary"])


SEEN = {
    "adapters.md": adapters_are_there,
    "harness.md": harness_measured,
    "logs.md": numbers_were_sent,
    "sweeps.md": cells_were_emitted_and_run,
}

# What the notebook's %pip runs: it writes down what it was asked for.
PIP = """
import os, pathlib, sys
pathlib.Path(os.environ["HOME"], "pip").write_text(" ".join(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    """By Jupyter's own kernel, started like a desktop's: by the path of an environment that nobody activated."""
    for module in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'sycojax[parity]'")
    place, kernel = Page(tmp_path), tmp_path / "kernel"
    venv.create(kernel, symlinks=True)
    (packages,) = kernel.glob("lib/*/site-packages")
    (packages / "these.pth").write_text("\n".join(filter(None, sys.path)))
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()  # before any pip of a later directory
    (packages / "pip" / "__main__.py").write_text(PIP)
    shutil.copy(place.world / "bin/sycojax", kernel / "bin")
    (place.checkout / "docs").mkdir()
    notebook = Path(shutil.copy(NOTEBOOK, place.checkout / "docs"))
    place.environment["PATH"] = "/usr/bin:/bin"
    execute = "from nbclient.cli import main; main()"
    place.line(f"{kernel}/bin/python -c {shlex.quote(execute)} --inplace {notebook}")
    outputs = {
        cell["id"]: cell["outputs"]
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    }
    assert (tmp_path / "pip").read_text() == "install -q -e ."

    def shown(cell: str, kind: str) -> list[str]:
        return ["".join(out["data"][kind]) for out in outputs[cell] if kind in out.get("data", ())]

    printed = "".join("".join(out["text"]) for out in outputs["c4"] + outputs["c6"])
    assert "devices" in printed
    assert "notebook/report/index.html" in printed
    (table,) = shown("c7", "text/markdown")
    assert table.startswith("| adapter | answer, uptake | answer, siding | are_you_sure, uptake |")
    assert len(shown("c8", "image/png")) == 2
    (table,) = shown("c11", "text/markdown")
    assert "| mine |" in table
    (numbers,) = shown("c13", "text/plain")
    assert len(ast.literal_eval(numbers)) == 2


def test_every_page_is_either_run_or_has_no_command() -> None:
    """A placeholder that a page lost, or a page that was renamed, would leave a test without its subject."""
    named = {*PLACEHOLDERS, *STUDIED, *STAND_INS, *SEEN, *RUNNABLE}
    assert named <= set(with_commands())
    for page, values in PLACEHOLDERS.items():
        assert all(placeholder in PAGES[page] for placeholder in values), page
