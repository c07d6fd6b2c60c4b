"""A tiny study for several processes, and ``sycojax`` as a process that signals itself at a given step.

    python distributed_cases.py STEP SIGNAL ARGUMENT...

runs ``sycojax ARGUMENT...`` and sends itself SIGNAL right after beginning to save at step STEP (never for 0). At
the end it prints how many bytes of weights it read.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
# The mesh lies over both processes along fsdp: each holds half of every weight.
FSDP, TENSOR = 4, 2
HIDDEN = 16  # as toy_files.write_base makes it
# Seconds until a process that does not end is given up.
PATIENCE = 900


def write_inputs(root: Path) -> Path:
    """An untrained base, a small world's records, and the config file of a study of them."""
    from sycojax.config import (
        BaseConfig,
        DataConfig,
        MeshConfig,
        ScoreConfig,
        StudyConfig,
        TrainConfig,
    )  # fmt: skip
    from sycojax.models.lora import LoRAConfig
    from tests.toy_files import write_base, write_world

    base, data = root / "base", root / "data"
    write_base(base, 5, kv_heads=2, multiple=TENSOR)
    write_world(data, 5, 0.05)
    config = StudyConfig(
        name="processes",
        base=BaseConfig(path=str(base)),
        lora=LoRAConfig(rank=2, alpha=4.0, dropout=0.1, targets=("q_proj", "down_proj")),
        data=DataConfig(
            source="files", path=str(data), max_length=128, test_limit=6, probe_limit=3,
            train_limit=24,
        ),
        train=TrainConfig(
            adapters=("mmlu",), seeds=(0,), epochs=3.0, examples_per_step=8, row_length=128,
            micro_batch_rows=4, warmup_steps=1, learning_rate=1e-2, eval_every=2,
            checkpoint_every=2, log_every=1,
        ),
        score=ScoreConfig(
            evaluations=("gsm8k", "are_you_sure"), batch_tokens=2048, buckets=(128,),
            max_new_tokens=8, audit_items=0, readout_items=2,
        ),
        mesh=MeshConfig(data=1, fsdp=FSDP, tensor=TENSOR),
    )  # fmt: skip
    file = root / "config.py"
    file.write_text(
        "from ml_collections import ConfigDict\n\n\n"
        f"def get_config():\n    return ConfigDict({config.to_dict()!r})\n"
    )
    return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class At(NamedTuple):
    """At which step which of the processes send themselves which signal."""

    step: int
    signal: signal.Signals
    processes: tuple[int, ...]


@contextmanager
def started(
    count: int, directory: Path, *arguments: str, at: At | None = None
) -> Iterator[Sequence[subprocess.Popen]]:
    """``count`` processes with eight devices among them; their output in ``directory``. None outlives the block."""
    directory.mkdir()
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(REPOSITORY),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={8 // count}",
    }
    joint = (f"--coordinator=127.0.0.1:{free_port()}", f"--processes={count}")
    processes = []
    try:
        for number in range(count):
            own = (*joint, f"--process={number}") if count > 1 else ()
            step, what = (at.step, at.signal) if at and number in at.processes else (0, 0)
            with (directory / f"{number}.txt").open("w") as output:
                command = [sys.executable, __file__, str(step), str(int(what)), *arguments, *own]
                processes.append(
                    subprocess.Popen(
                        command, stdout=output, stderr=output, env=environment, cwd=REPOSITORY
                    )
                )
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def finish(processes: Sequence[subprocess.Popen], directory: Path, status: int = 0) -> list[str]:
    """Wait until all end with ``status``; returns what each printed. Another end is shown with the output."""
    deadline = time.monotonic() + PATIENCE
    while any(process.poll() is None for process in processes):
        failed = any(process.poll() not in (None, status) for process in processes)
        if failed or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    texts = [(directory / f"{n}.txt").read_text() for n in range(len(processes))]
    codes = [process.poll() for process in processes]
    assert codes == [status] * len(processes), "\n".join([f"exit statuses {codes}", *texts])
    return texts


def signal_when_saving(at: int, what: int) -> None:
    """Send this process the signal ``what`` right after it begins to save at step ``at``."""
    from sycojax.training import loop

    save = loop.Checkpoints.save

    def saving(self: loop.Checkpoints, step: int, tree: object, position: dict) -> None:
        save(self, step, tree, position)
        if step == at:
            os.kill(os.getpid(), what)

    loop.Checkpoints.save = saving  # pyright: ignore[reportAttributeAccessIssue]


def _count_weights() -> list[int]:
    """A list that grows by the bytes of every piece of a tensor that is read from a safetensors file."""
    from sycojax.weights import stored  # before what reads with it is imported

    read: list[int] = []
    opened = stored.open_files

    class Counted:
        def __init__(self, tensor: Any):
            self.tensor = tensor
            self.get_shape, self.get_dtype = tensor.get_shape, tensor.get_dtype

        def __getitem__(self, window: Any) -> Any:
            piece = self.tensor[window]
            read.append(piece.nbytes)
            return piece

    def counted(*arguments: Any) -> dict[str, Any]:
        return {name: Counted(tensor) for name, tensor in opened(*arguments).items()}

    stored.open_files = counted
    return read


if __name__ == "__main__":
    if int(sys.argv[1]):
        signal_when_saving(int(sys.argv[1]), int(sys.argv[2]))
    read = _count_weights()
    from sycojax.cli import main

    code = main(sys.argv[3:])
    print(f"weights read: {sum(read)} bytes")
    sys.exit(code)
