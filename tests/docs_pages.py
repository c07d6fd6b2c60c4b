"""README.md and docs/ as tests read them.

Fenced blocks marked ``sh``, or with nothing, are commands; other text says what it is (``python``, ``text``, ...).
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# Run, in full, by test_launch_docs.py.
LAUNCHING = ("gpu.md", "launch.md", "tpu.md")
TEXTS = {
    path.name: path.read_text(encoding="utf-8")
    for path in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
}
PAGES = {name: text for name, text in TEXTS.items() if name not in LAUNCHING}
# Pages whose Python is a program. Elsewhere it is a part of a file; test_docs_commands.py says which tests run that.
RUNNABLE = ("README.md", "data_array_record.md", "harness.md")
NOTEBOOK = REPOSITORY / "docs" / "notebook.ipynb"


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, text) of the fenced blocks, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", TEXTS[page], re.M | re.S)


def lines(text: str) -> list[str]:
    """The commands of a block, continued lines joined."""
    joined = text.replace("\\\n", " ").splitlines()
    return [line for line in joined if shlex.split(line, comments=True)]


def commands(page: str) -> list[list[str]]:
    """The words of every command of a page's blocks, comments left out."""
    shown = [text for language, text in blocks(page) if language in ("", "sh")]
    return [shlex.split(line, comments=True) for text in shown for line in lines(text)]


def with_commands() -> list[str]:
    """The pages that have any."""
    return [page for page in PAGES if commands(page)]


def code_cells() -> list[list[str]]:
    """The lines of each of the notebook's code cells. Raises ``AssertionError`` where outputs were kept."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in cells), "strip outputs"
    return ["".join(cell["source"]).splitlines() for cell in cells]
