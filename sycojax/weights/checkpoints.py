"""Orbax behind one small class: asynchronous, crash-safe, and bound to one exact run by a fingerprint."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from sycojax.errors import SycojaxError
from sycojax.weights.fingerprint import checksum

# What tensorstore and the file system raise when a disk is full, read-only or damaged.
_DISK_ERRORS = (OSError, ValueError, RuntimeError)


class Checkpoints(contextlib.AbstractContextManager["Checkpoints"]):
    """The newest checkpoints of one run in ``directory``: an array tree and a small JSON position each.

    A checkpoint appears under its final name only when it is whole, so a killed process leaves the one
    before. The two newest stay on disk; what must outlive them, such as the best adapter so far, belongs into the tree.
    """

    def __init__(self, directory: Path, fingerprint: str):
        self.directory, self.fingerprint = Path(directory).absolute(), fingerprint
        # What goes wrong in their threads is raised here, and said in one line.
        for name in ("absl", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2, enable_async_checkpointing=True, cleanup_tmp_directories=True
        )
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(self.directory, options=options)
        except _DISK_ERRORS as error:
            raise SycojaxError(
                f"cannot keep checkpoints in {directory}: {_reason(error)}"
            ) from error
        self._copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        # An error of the run itself is the one to report.
        with self._writing() if error is None else contextlib.suppress(*_DISK_ERRORS):
            self._manager.close()

    def latest_step(self) -> int | None:
        """The newest complete checkpoint's step, or None."""
        return self._manager.latest_step()

    def save(self, step: int, tree: Any, position: dict[str, Any]) -> None:
        """Begin saving; returns when ``tree`` may be donated. ``position`` must be plain JSON values.

        Raises ``SycojaxError`` when this or the save before could not be written.
        """
        # The writer looks at both after we return, when the run has moved on and donated the arrays: copy.
        record = copy.deepcopy({**position, "step": step, "fingerprint": self.fingerprint})
        record["digest"] = _digest(tree, record)
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(self._copy(tree)), position=ocp.args.JsonSave(record)
        )
        with self._writing():
            self._manager.save(step, args=arguments, force=True)

    def writing(self) -> bool:
        """Whether a checkpoint is still being written; to save another now would wait for it."""
        return self._manager.is_saving_in_progress()

    def wait(self) -> None:
        """Block until what was saved is on disk. Raises ``SycojaxError`` when it could not be written."""
        with self._writing():
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def restore(self, abstract: Any) -> tuple[Any, dict[str, Any]] | None:
        """The newest tree and position, or None without a checkpoint.

        ``abstract`` holds a ``jax.ShapeDtypeStruct`` with sharding per leaf; the mesh may be another one than at
        saving. Raises ``SycojaxError`` when the checkpoint is damaged or belongs to another run.
        """
        step = self.latest_step()
        if step is None:
            return None
        try:
            position = self._manager.restore(
                step, args=ocp.args.Composite(position=ocp.args.JsonRestore())
            )["position"]
            if position["fingerprint"] != self.fingerprint:
                raise SycojaxError(
                    f"{self.directory} holds a checkpoint of another run (other settings, data, adapters "
                    "or base): use the settings it was made with, another workdir, or delete it"
                )
            state = self._manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
            )["state"]
            # The format has no checksum of its own: a flipped bit would come back as another weight.
            if position.pop("digest") != _digest(state, position):
                raise ValueError("its bits are not those that were saved")
        except SycojaxError:
            raise
        except Exception as error:  # orbax raises plain ones, too
            reason = _reason(error.__cause__ or error)
            raise SycojaxError(
                f"checkpoint {self.directory / str(step)} is damaged ({reason}): delete that directory to "
                "go on from the one before"
            ) from error
        return state, position

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except _DISK_ERRORS as error:
            raise SycojaxError(
                f"cannot write a checkpoint to {self.directory}: {_reason(error)}"
            ) from error


def _reason(error: BaseException) -> str:
    """What the operating system says, where it is at the end of what tensorstore tells of it."""
    if found := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(found[1]))
    return str(getattr(error, "strerror", None) or str(error).partition("\n")[0])[:300]


def _digest(tree: Any, record: Mapping[str, Any]) -> str:
    text = json.dumps([checksum(tree), record], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
