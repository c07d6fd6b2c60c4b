"""How a run is looked at from outside. Nothing of it changes a result, so no fingerprint holds it.

A study is one run of Weights & Biases (the ``wandb`` extra): a view of metrics.jsonl and of the report.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sycojax.errors import SycojaxError
from sycojax.files import read_json, write_json
from sycojax.parallel.distributed import on_first
from sycojax.parallel.profile import ProfileWindow

IDENTITY = "wandb.json"
FORBIDDEN = frozenset("\\#?%:")  # by Weights & Biases, in a project's name


class Tracker(contextlib.AbstractContextManager["Tracker"]):
    """The run of a workdir. Its id stays in ``WORKDIR/wandb.json``, so whatever continues the study continues it.

    Only the first process talks to Weights & Biases; on the others every method does nothing. Modes and
    credentials are those of wandb's own environment (``WANDB_MODE=offline``, ``WANDB_API_KEY``).
    """

    def __init__(self, target: str, workdir: Path, name: str, config: Mapping[str, Any]):
        """``target`` is PROJECT or ENTITY/PROJECT. Raises ``SycojaxError`` when no run can be started there."""
        self._run: Any = None
        self._identity = Path(workdir) / IDENTITY
        self._logged: dict[str, int] = {}  # adapter -> last step that the run has
        entity, _, project = target.rpartition("/")

        def start() -> None:
            wandb = importlib.import_module("wandb")
            if not self._identity.exists():
                write_json(self._identity, {"id": secrets.token_hex(8), "steps": {}})
            identity = read_json(self._identity)
            self._logged = dict(identity["steps"])
            try:
                self._run = wandb.init(
                    entity=entity or None, project=project, id=identity["id"], name=name, resume="allow",
                    config=dict(config), allow_val_change=True, dir=str(workdir),
                )  # fmt: skip
            except (wandb.Error, ValueError) as error:
                raise _refused(target, error) from error

        on_first(start)

    def __exit__(self, kind: object, *_: object) -> None:
        if self._run is not None:
            self._run.finish(exit_code=0 if kind is None else 1)

    def begin(self, adapter: str, completed: int) -> None:
        """``adapter`` is trained from step ``completed`` on. Steps that the run has already are not sent again."""
        if self._run is None:
            return
        # Each adapter counts its own steps; one axis for all would have to go back for the second.
        self._run.define_metric(f"{adapter}/step", hidden=True)
        self._run.define_metric(f"{adapter}/*", step_metric=f"{adapter}/step")
        # Offline the summary starts empty; what was logged up to the last checkpoint stands in the workdir.
        known = self._run.summary.get(f"{adapter}/step") or 0
        self._logged[adapter] = max(int(known), self._logged.get(adapter, 0)) if completed else 0

    def log(self, line: Mapping[str, Any]) -> None:
        """Send one line of metrics.jsonl."""
        adapter, step = line["adapter"], line["step"]
        if self._run is None or step <= self._logged[adapter]:
            return
        numbers = {k: v for k, v in line.items() if k != "adapter" and v is not None}
        self._run.log({f"{adapter}/{name}": value for name, value in numbers.items()})
        self._logged[adapter] = step

    def save(self) -> None:
        """Write down what was logged; called before a checkpoint, with the metrics."""
        if self._run is not None:
            write_json(self._identity, {"id": self._run.id, "steps": self._logged})

    def conclude(
        self, numbers: Mapping[str, float], tables: Mapping[str, Sequence[Sequence[str]]]
    ) -> None:
        """The study's final numbers as the run's summary, and its tables (the first row names the columns)."""
        if self._run is None:
            return
        wandb = importlib.import_module("wandb")
        self._run.summary.update(dict(numbers))
        for name, (columns, *rows) in tables.items():
            self._run.log({name: wandb.Table(columns=list(columns), data=[list(r) for r in rows])})


@dataclasses.dataclass(frozen=True)
class Tracking:
    """What a run is shown to, beside its own metrics.jsonl and TensorBoard events."""

    tracker: Tracker | None = None
    profile: ProfileWindow | None = None  # of training


UNTRACKED = Tracking()


def check(target: str) -> None:
    """Raise ``SycojaxError`` when ``--wandb=target`` cannot work on this machine, before anything is written."""
    entity, slash, project = target.rpartition("/")
    if not project or "/" in entity or (slash and not entity):
        raise SycojaxError(f"--wandb={target} must be PROJECT or ENTITY/PROJECT")
    if refused := sorted(FORBIDDEN & set(project)):
        raise SycojaxError(f"--wandb={target}: a project's name cannot hold {' '.join(refused)}")
    on_first(lambda: _require_login(target))


def _require_login(target: str) -> None:
    try:
        wandb = importlib.import_module("wandb")
    except ModuleNotFoundError as error:
        if error.name != "wandb":
            raise
        raise SycojaxError(
            f"--wandb={target} needs Weights & Biases: pip install 'sycojax[wandb]'"
        ) from error
    if os.environ.get("WANDB_MODE", "online") in ("offline", "disabled", "dryrun"):
        return
    try:
        # Left to itself, wandb would ask at the terminal, and a batch job has none.
        known = wandb.login(prompt=False)
    except (wandb.Error, ValueError) as error:
        raise _refused(target, error) from error
    if not known:
        raise _refused(target, "no login to Weights & Biases here")


def _refused(target: str, error: object) -> SycojaxError:
    said = (str(error).strip() or type(error).__name__).splitlines()
    if "validation error" in said[0]:  # of a WANDB_ variable: what is wrong stands below
        said = [" ".join(line.strip() for line in said[1:3])]
    reason = said[0].rstrip(".")
    return SycojaxError(
        f"--wandb={target}: {reason}. Run `wandb login`, set WANDB_API_KEY, or set WANDB_MODE=offline and send the run "
        "later with `wandb sync`"
    )
