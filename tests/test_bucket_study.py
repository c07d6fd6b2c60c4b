"""A study whose machine dies, continued on another from the bucket."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STUDY = (
    "study", "--config=configs/toy.py", "--config.data.train_limit=400", "--config.data.test_limit=4",
    "--config.data.probe_limit=4", "--config.train.epochs=12", "--config.train.seeds=0",
    "--config.train.adapters=gsm8k", "--config.train.checkpoint_every=5", "--config.score.audit_items=0", "--config.score.readout_items=0",
    "--config.score.max_new_tokens=4", "--quiet",
)  # fmt: skip
# The command line, with a second in place of ten minutes.
COMMAND = (
    "import sys; from sycojax.cli import bucket, main; "
    "bucket.kept.__wrapped__.__kwdefaults__['every'] = 1.0; sys.exit(main())"
)


@pytest.mark.slow
def test_it_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    stored = tmp_path / "bucket"
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "one"),
        "XLA_FLAGS": "",  # one device, as its rows are
        "FSSPEC_FILE_AUTO_MKDIR": "true",
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
    }
    command = [sys.executable, "-c", COMMAND, *STUDY]
    bucket = f"--workdir=file://{stored}/study"
    first = subprocess.Popen([*command, bucket], env=environment, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 300
        while not (step := saved(stored / "study")):
            assert first.poll() is None, "it ended before anything was copied"
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first.pid, signal.SIGKILL)
        first.wait()
    shutil.rmtree(tmp_path / "one")
    environment["XDG_CACHE_HOME"] = str(tmp_path / "two")
    second = subprocess.run([*command, bucket], env=environment, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "files from file://" in second.stderr
    whole = stored / "study" / (stored / "study/LATEST").read_text()
    log = next(whole.rglob("metrics.jsonl")).read_text()
    assert len(log.splitlines()) > step
    plain = tmp_path / "plain"
    subprocess.run([*command, f"--workdir={plain}"], env=environment, check=True, capture_output=True)  # fmt: skip
    for part in ("adapters", "records"):
        expected = {p.relative_to(plain): p.read_bytes() for p in (plain / part).rglob("*.*")}
        assert expected
        assert {
            p.relative_to(whole): p.read_bytes() for p in (whole / part).rglob("*.*")
        } == expected


def saved(place: Path) -> int:
    """The last step in the copy that is whole; 0 where there is none, or its name is just being written."""
    if not (place / "LATEST").is_file() or not (half := (place / "LATEST").read_text()):
        return 0
    whole = place / half
    return max((int(path.name) for path in whole.glob("**/checkpoints/[0-9]*")), default=0)
