"""Every command of the launching pages runs, against stand-ins; what they say of meshes fits the chips."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from launch_cases import Place

from sycojax.cli.dispatch import find, parse
from sycojax.planning.slices import slice_of_topology, slice_of_type

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = {
    name: (REPOSITORY / "docs" / name).read_text() for name in ("launch.md", "tpu.md", "gpu.md")
}


def blocks(page: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", PAGES[page], re.M | re.S)


def commands() -> list[str]:
    return [line for page in PAGES for block in blocks(page) for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs(page: str, tmp_path: Path) -> None:
    """In order and in one shell, as a reader would."""
    place = Place(tmp_path)
    place.environment["SYCOJAX"] = "sycojax"
    token = tmp_path / ".cache/huggingface/token"
    token.parent.mkdir(parents=True)
    token.write_text("token")
    done = place.run("bash", "-xc", "set -euo pipefail\n" + "\n".join(blocks(page)))
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
        assert {path.name for path in place.world.glob("job-*")} == {"job-llama.yaml", "job-big.yaml"}  # fmt: skip
    if page == "tpu.md":
        assert not list((place.world / "vms").iterdir())
        assert (place.checkout / "runs/llama/study.json").is_file()


def test_pages_have_commands() -> None:
    assert {page: len(blocks(page)) for page in PAGES} == {"launch.md": 5, "tpu.md": 4, "gpu.md": 5}


def chips_and_study() -> list[tuple[int, list[str]]]:
    """How many chips each documented study gets, and its arguments."""
    found = []
    for line in commands():
        words = shlex.split(line.split(" | ")[0])
        flags = dict(w.removeprefix("--").partition("=")[::2] for w in words if w.startswith("--"))
        study = [w for w in words if w.startswith("--config")]
        if not study:
            continue
        kind = flags.get("type", flags.get("accelerators", "")).removeprefix("tpu-")
        if ":" in kind:
            chips = int(flags.get("nodes", "1")) * int(kind.partition(":")[2])
        elif kind or "try" in words:
            chips = slice_of_type(kind or "v5litepod-8").chips
        elif flags.get("topology", "").startswith("gpu:"):
            nodes, per_node = flags["topology"].removeprefix("gpu:").split("x")
            chips = int(nodes) * int(per_node)
        elif "topology" in flags:
            chips = slice_of_topology(flags["topology"]).chips
        elif "gpus-per-node" in flags:
            chips = int(flags.get("nodes", "1")) * int(flags["gpus-per-node"])
        else:
            chips = 1
        found.append((chips, study))
    return found


def test_documented_meshes_fit_their_chips(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run against stand-ins, which take any mesh; here the real configs say what they ask for."""
    monkeypatch.chdir(REPOSITORY)
    studies = chips_and_study()
    assert {chips for chips, _ in studies} == {1, 4, 8, 16}
    for chips, arguments in studies:
        config = parse(*find(["study", *arguments, "--workdir=unused"]))["settings"].study_config()
        sizes = [config.mesh.data, config.mesh.fsdp, config.mesh.tensor]
        fixed = sizes[1] * sizes[2]
        assert sizes[0] == -1, arguments
        assert chips % fixed == 0, (chips, arguments)
        assert config.train.micro_batch_rows % (chips // sizes[2]) == 0, (chips, arguments)
