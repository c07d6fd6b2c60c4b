"""Several processes as one run: start-up, and who may touch the disk.

Every process executes the same program on the same global arrays. Decisions that depend on the disk and
everything that writes to it belong to process 0, by ``on_first``; the others read what it wrote, so all
processes must see the same file system at the same paths.

A process reads those parts of the weights that its devices hold (``weights.huggingface``), but all of the texts, so
that no process has to ask another for rows. On the study's data that takes 3 s of CPU time for all training examples,
0.3 ms to pack the rows of a step, and 28 s, spread over the machine's cores, to encode the 121,631 scored candidates.
"""

from __future__ import annotations

import glob
import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from sycojax.errors import SycojaxError

FLAGS = "--coordinator=HOST:PORT --processes=N --process=I"


def initialize(
    coordinator: str = "", processes: int | None = None, process: int | None = None
) -> None:
    """Join the other processes of this run; must come before anything that asks JAX for a device.

    With all three values given, those are used. With none, the launcher's are (Slurm, Open MPI, a TPU slice or
    a Kubernetes job, as ``jax.distributed.initialize`` reads them), and without a launcher, or for
    ``processes`` = 1, nothing happens. Raises ``SycojaxError`` when values are missing, contradict each
    other or the other processes cannot be reached.
    """
    if processes == 1 and not coordinator and not process:
        return
    if coordinator or processes is not None or process is not None:
        if not coordinator or processes is None or process is None:
            given = coordinator or None, processes, process
            missing = [n for n, value in zip(FLAGS.split(), given, strict=True) if value is None]
            raise SycojaxError(
                f"{' and '.join(missing)} missing: several processes need all of {FLAGS}, each process "
                "its own I from 0 to N - 1"
            )
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise SycojaxError(
                f"--coordinator={coordinator} must be HOST:PORT, where process 0 runs"
            )
        if processes < 1 or not 0 <= process < processes:
            raise SycojaxError(
                f"--processes={processes} --process={process}: processes are numbered from 0 to "
                "their number minus 1"
            )
        _join(coordinator, processes, process)
        return
    launcher = detected(os.environ)
    if launcher:
        _join(launcher=launcher)
    elif _on_tpu_host():
        try:
            jax.distributed.initialize()
        except ValueError:
            return  # a host of its own, as far as the machine's metadata say


def detected(environment: Mapping[str, str]) -> str:
    """The launcher that started this as one of several processes, by its variables; empty for none."""

    def count(name: str) -> int:
        value = environment.get(name, "")
        return int(value) if value.isdigit() else 0

    if "SLURM_STEP_NODELIST" in environment and count("SLURM_NTASKS") > 1:
        return "Slurm"
    if "OMPI_MCA_orte_hnp_uri" in environment and count("OMPI_COMM_WORLD_SIZE") > 1:
        return "Open MPI"
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES", "")
    if "," in hosts or count("MEGASCALE_NUM_SLICES") > 1:
        return "TPU"
    if "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment:
        return "Kubernetes"
    return ""


def shutdown() -> None:
    """Leave the other processes; call when the last joint step is done. Nothing happens in a single process."""
    if jax.distributed.is_initialized():
        jax.distributed.shutdown()


def is_first() -> bool:
    """Whether this process writes files and talks to the user."""
    return jax.process_index() == 0


def by_first(say: Callable[[str], None]) -> Callable[[str], None]:
    """``say`` on the process that talks to the user, and silence on the others."""
    return say if is_first() else lambda line: None


def on_first(function: Callable[[], Any]) -> Any:
    """Run ``function`` on process 0 and return its result (JSON values) on every process.

    The others wait, so they see what it wrote. A ``SycojaxError`` of it is raised on all of them.
    """
    if jax.process_count() == 1:
        return function()
    error, answer = None, b""
    if is_first():
        try:
            answer = json.dumps({"result": function()}).encode()
        except SycojaxError as problem:
            error, answer = problem, json.dumps({"error": str(problem)}).encode()
    # Two broadcasts, as shapes must agree beforehand; powers of two, so that few are compiled.
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(answer))))
    buffer = np.zeros(1 << max(size - 1, 255).bit_length(), np.uint8)
    buffer[: len(answer)] = np.frombuffer(answer, np.uint8)
    document = json.loads(multihost_utils.broadcast_one_to_all(buffer)[:size].tobytes())
    if "error" in document:
        raise error or SycojaxError(document["error"])
    return document["result"]


def _join(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    launcher: str = "",
) -> None:
    # It would take SIGTERM for itself; `parallel.preemption` answers it in training, and elsewhere it ends us.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        where = f"{launcher} started several processes, which" if launcher else "the processes"
        raise SycojaxError(
            f"{where} cannot be joined ({reason}); "
            + (
                f"give {FLAGS}, or --processes=1 for a run of its own"
                if launcher
                else f"is process 0 running, and can it be reached at {coordinator}?"
            )
        ) from error


def _on_tpu_host() -> bool:
    """A machine with TPU chips and the means to use them; its metadata know the slice, its variables may not."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    chips = glob.glob("/dev/accel*") + glob.glob("/dev/vfio/[0-9]*")
    wanted = not platforms or "tpu" in platforms
    return wanted and bool(chips) and importlib.util.find_spec("libtpu") is not None
