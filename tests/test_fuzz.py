"""Damaged and foreign files: every reader takes them with the right value or refuses them in one line (``fuzz.py``)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")

from fuzz import READERS

FUZZ = Path(__file__).parent / "fuzz.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_or_refuses_what_comes(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZ), name, "500", str(tmp_path / "found")],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
