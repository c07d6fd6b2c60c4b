"""What each command does, in terms of the library."""

from __future__ import annotations

import functools
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sycojax.cli.flags import INSTEAD, NO_WORKDIR, Flags, parse
from sycojax.errors import SycojaxError
from sycojax.files import write_json

if TYPE_CHECKING:
    from sycojax.training.tracking import Tracker

SEVERAL = "--workdir={} is kept from one process; several share a directory that all of them see (docs/launch.md)"


def dispatch(command: str, arguments: Sequence[str]) -> None:
    """Run ``command``. Raises ``SycojaxError`` on a wrong command, flag, setting or input."""
    # A warning is for the person who runs the command, so it comes without a source line.
    warnings.formatwarning = lambda message, *_, **__: f"sycojax: warning: {message}\n"
    if command not in COMMANDS:
        raise SycojaxError(f"unknown command {command!r} (known: {', '.join(COMMANDS)})")
    if command == "data":
        data(arguments)
        return
    flags = parse(command, arguments)
    if flags.bucket and command not in NO_WORKDIR:
        from sycojax.cli.bucket import kept

        _refuse_several(flags)
        with kept(flags.bucket, progress=not flags.quiet):
            COMMANDS[command](flags)
    else:
        COMMANDS[command](flags)


def study(command: str, flags: Flags) -> None:
    """The study as far as the command says, and the report for ``study``."""
    import jax

    from sycojax.cli import tracking
    from sycojax.parallel import distributed
    from sycojax.study.external import external_adapters
    from sycojax.study.run import run
    from sycojax.training.tracking import Tracking

    config = flags.study_config()
    external_adapters(config)  # says what is wrong with --adapter before anything is written
    profile = tracking.window(command, flags)
    _start(flags)
    tracking.check_login(flags)
    if config.base.dtype == "float32":
        # TPUs and recent GPUs would otherwise round float32 matmul inputs to 8 or 10 bits.
        jax.config.update("jax_default_matmul_precision", "highest")
    until = "train" if command == "train" else "evaluate"
    with tracking.tracked(flags, config) as tracker:
        run(
            config, flags.workdir, until=until, command=flags.command, progress=not flags.quiet,
            tracking=Tracking(tracker, profile),
        )  # fmt: skip
        first = distributed.is_first()
        distributed.shutdown()
        if profile is not None and first:
            print(f"profile   {profile.outcome()}")
        if command == "study" and first:
            _report(flags, tracker)


def report(flags: Flags) -> None:
    """Write the report and say where it is."""
    if (flags.workdir / "sweep.json").is_file():
        if flags.wandb:
            raise SycojaxError(
                f"{flags.workdir} holds a sweep, which --wandb does not take{INSTEAD}"
            )
        return report_sweep(flags.workdir)
    if not (flags.workdir / "study.json").is_file():
        raise SycojaxError(
            f"{flags.workdir} holds no study (no study.json): run `sycojax study` first"
        )
    if not flags.wandb:
        _report(flags, None)
        return
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # which takes no accelerator from others
    from sycojax.cli import tracking

    tracking.check_login(flags)
    with tracking.tracked(flags) as tracker:
        _report(flags, tracker)


def _report(flags: Flags, tracker: Tracker | None) -> None:
    from analysis.report import write

    index = write(flags.workdir)
    print(f"report    {index.resolve()}")
    if tracker is not None:
        from sycojax.cli.tracking import conclude

        conclude(tracker, index.parent)


def sweep(flags: Flags) -> None:
    """Run the cells of a sweep and write the report over all of them, or print commands that run them elsewhere.

    Raises ``SycojaxError`` at the end where cells failed.
    """
    from sycojax.cli import sweep as sweeps
    from sycojax.cli.emit import commands
    from sycojax.parallel import distributed
    from sycojax.study.sweep_run import said

    study, cells = sweeps.cells_of(flags)
    chosen = sweeps.choose(cells, flags.cell)
    if flags.emit:
        print(commands(flags, chosen))
        return
    _start(flags)
    failed = sweeps.run(flags, study, cells, chosen)
    first = distributed.is_first()
    distributed.shutdown()
    if first and not flags.cell and len(failed) < len(cells):
        report_sweep(flags.workdir)
    if failed:
        raise SycojaxError(
            f"{len(failed)} of {len(chosen)} cells of the sweep failed: {said(failed)}"
        )


def report_sweep(workdir: Path) -> None:
    """Write the report over a sweep's cells and say where it is."""
    from analysis.sweep.report import write

    print(f"report    {write(workdir).resolve()}")


def reanalyse(flags: Flags) -> None:
    """Check claims against a study's tables; print the verdicts and say where the page is."""
    from analysis.reanalysis.run import write

    print(write(Path(flags.data) if flags.data else None, flags.workdir))


def calibrate(flags: Flags) -> None:
    """Train and score adapters with planted sycophancy; say where the numbers are."""
    from sycojax.cli import calibrate as calibration
    from sycojax.parallel import distributed

    _start(flags)
    path = calibration.calibrate(flags.workdir, progress=not flags.quiet)
    if distributed.is_first():
        print(f"measured  {path.resolve()}")
    distributed.shutdown()


def plan(flags: Flags) -> None:
    """Compile for other hardware and print what the programs take there."""
    # Nothing runs, so the accelerator of this machine, if any, is left to others.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    from sycojax.planning import report as planning
    from sycojax.planning.plan import make_plan
    from sycojax.planning.shapes import architecture
    from sycojax.planning.topology import parse as parse_topology

    config = flags.study_config()
    if not flags.topology:
        raise SycojaxError("plan needs --topology=NAME, for example --topology=v5e:2x4")
    topology = parse_topology(flags.topology)
    if config.base.dtype == "float32":
        jax.config.update("jax_default_matmul_precision", "highest")  # as in a study
    shape, source = architecture(config.base.path, flags.shape)

    def say(line: str) -> None:
        if not flags.quiet:
            print(line, file=sys.stderr, flush=True)

    found = make_plan(config, shape, source, topology, say)
    if flags.out:
        write_json(Path(flags.out), planning.to_json(found))
    print(planning.table(found))


def export(flags: Flags) -> None:
    """Write one adapter, or base and adapter in one, with its model card; push it where asked to."""
    from sycojax.cli.export import export

    export(flags)


def doctor(flags: Flags) -> None:
    """Print what this machine has and lacks. Raises ``SycojaxError`` when something must be mended."""
    from sycojax.cli.doctor import examine, render

    base = "" if flags.config is None else flags.study_config().base.path
    findings = examine(flags.workdir, base, flags.bucket)
    print(render(findings))
    problems = [f.subject for f in findings if f.state == "problem"]
    if problems:
        raise SycojaxError(f"to be mended: {', '.join(problems)}")


def data(arguments: Sequence[str]) -> None:
    """``data prepare``, ``data check`` or ``data show``: print what it found or did."""
    from sycojax.cli.data import COMMANDS, run

    if not arguments or arguments[0].startswith("-"):
        raise SycojaxError(f"data needs one of {', '.join(COMMANDS)} behind it")
    flags = parse("data", arguments[1:])
    print(run(arguments[0], flags.study_config(), flags.to, flags.name, flags.index))


def export_tasks(flags: Flags) -> None:
    """Write the probes as task files of lm-evaluation-harness."""
    from sycojax.harness.tasks import write_tasks

    if not flags.to:
        raise SycojaxError("export-tasks needs --config=FILE and --to=DIR")
    counts = write_tasks(Path(flags.to), flags.study_config())
    print(f"tasks     {Path(flags.to).resolve()} ({sum(counts.values())} documents)")


def config(flags: Flags) -> None:
    """Print every setting."""
    print(json.dumps(flags.study_config().to_dict(), indent=2))


def _start(flags: Flags) -> None:
    """Before anything is compiled: the cache of programs, the other processes of this run, and its devices."""
    import jax

    from sycojax.cli.compilation_cache import keep_compiled
    from sycojax.parallel import distributed
    from sycojax.parallel.mesh import present_devices

    keep_compiled()
    distributed.initialize(flags.coordinator, flags.processes, flags.process)
    present_devices()
    if flags.bucket and jax.process_count() > 1:  # on a slice of several hosts, known only now
        raise SycojaxError(SEVERAL.format(flags.bucket))


def _refuse_several(flags: Flags) -> None:
    """Raise ``SycojaxError`` where this is one of several processes, which need one file system."""
    from sycojax.parallel import distributed

    launched = flags.processes != 1 and distributed.detected(os.environ)
    if flags.coordinator or launched:
        raise SycojaxError(SEVERAL.format(flags.bucket))


COMMANDS: dict[str, Callable[..., None]] = {
    "study": functools.partial(study, "study"),
    "train": functools.partial(study, "train"),
    "evaluate": functools.partial(study, "evaluate"),
    "report": report,
    "sweep": sweep,
    "reanalyse": reanalyse,
    "calibrate": calibrate,
    "export": export,
    "export-tasks": export_tasks,
    "plan": plan,
    "config": config,
    "data": data,
    "doctor": doctor,
}
