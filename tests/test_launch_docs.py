"""Every command of the launching pages runs, against stand-ins; none says how to use the chips."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from docs_pages import LAUNCHING, REPOSITORY, blocks
from launch_cases import Place

from sycojax.cli.dispatch import find, parse
from sycojax.config import MeshConfig


def shown(page: str) -> list[str]:
    """The blocks of commands."""
    return [text for language, text in blocks(page) if language == "sh"]


@pytest.mark.slow
@pytest.mark.parametrize("page", LAUNCHING)
def test_every_command_runs(page: str, tmp_path: Path) -> None:
    """In order and in one shell, as a reader would."""
    place = Place(tmp_path)
    place.environment["SYCOJAX"] = "sycojax"
    token = tmp_path / ".cache/huggingface/token"
    token.parent.mkdir(parents=True)
    token.write_text("token")
    done = place.run("bash", "-xc", "set -euo pipefail\n" + "\n".join(shown(page)))
    assert done.returncode == 0, done.stderr[-3000:]
    called = {call[0] for call in place.calls()}
    expected = {
        "launch.md": {"sycojax", "sky", "gcloud", "docker", "kubectl"},
        "tpu.md": {"gcloud", "systemd-run", "sycojax"},
        "gpu.md": {"nvidia-smi", "pip", "sycojax", "docker", "sbatch", "srun", "squeue"},
    }
    assert expected[page] <= called
    if page == "launch.md":
        kept = place.world / "buckets/my-studies/toy"
        assert (kept / (kept / "LATEST").read_text() / "study.json").is_file()
        assert [call[-1] for call in place.calls("sky", "jobs", "launch")] == ["llama.yaml", "big.yaml"]  # fmt: skip
    if page == "tpu.md":
        assert not list((place.world / "vms").iterdir())
        assert (place.checkout / "runs/llama/study.json").is_file()


@pytest.mark.parametrize("page", LAUNCHING)
def test_documented_commands_leave_the_layout_to_the_machine(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands run against stand-ins; here the real configs are read, which fit any number of chips."""
    monkeypatch.chdir(REPOSITORY)
    for line in (x for block in shown(page) for x in block.splitlines() if "--config=" in x):
        words = [word for word in shlex.split(line) if word.startswith("--config")]
        config = parse(*find(["study", *words, "--workdir=unused"]))["settings"].study_config()
        assert config.mesh == MeshConfig(), line
        assert config.train.micro_batch_rows == 0, line
