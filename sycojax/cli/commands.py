"""Every command: its flags, what ``--help`` says it does (the docstring's first paragraph), and how it does that.

A function gets the values of its flags by name. Those that concern the config come as one, ``settings``, and those that
say how processes share the work as ``start``, to be called before anything is compiled.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from sycojax.cli import flags
from sycojax.cli.flags import command, flag, switch
from sycojax.cli.report import report_study, report_sweep
from sycojax.cli.settings import Settings
from sycojax.errors import SycojaxError
from sycojax.files import read_json
from sycojax.progress import Progress

# How a sweep is sent to Weights & Biases.
CELL_BY_CELL = (
    ": each cell is a study, sycojax report --workdir=WORKDIR/cells/NAME --wandb=PROJECT sends it"
)
_SETTINGS = (flags.CONFIG, flags.PROBES)
_RUN = (*flags.PROCESSES, flags.QUIET)


@command("study", *_SETTINGS, flags.WORKDIR, flags.ADAPTERS, flags.WANDB, flags.PROFILE, *_RUN)
def study(**given: Any) -> None:
    """data, adapters, records and report; run it again to continue or to apply a changed config"""
    _study("study", **given)


@command("readouts", *_SETTINGS, flags.WORKDIR, *_RUN)
def readouts(**given: Any) -> None:
    """only as far as what the base can be asked: which readouts of the probes see anything (DIR/readouts.json)"""
    _study("readouts", wandb="", profile="", **given)


@command("train", *_SETTINGS, flags.WORKDIR, flags.WANDB, flags.PROFILE, *_RUN)
def train(**given: Any) -> None:
    """only as far as the adapters (DIR/adapters/NAME, PEFT format)"""
    _study("train", **given)


@command("evaluate", *_SETTINGS, flags.WORKDIR, flags.ADAPTERS, flags.WANDB, flags.PROFILE, *_RUN)
def evaluate(**given: Any) -> None:
    """as far as the item records (DIR/records/CONFIGURATION/EVALUATION.jsonl)"""
    _study("evaluate", **given)


def _study(
    command: Literal["study", "readouts", "train", "evaluate"], settings: Settings, workdir: Path, wandb: str, profile: str, start: Callable[[], None], quiet: bool,
) -> None:  # fmt: skip
    from sycojax.cli import tracking
    from sycojax.parallel import distributed
    from sycojax.parallel.profile import ProfileWindow
    from sycojax.study.external import external_adapters
    from sycojax.study.run import Until, run
    from sycojax.training.tracking import Tracking, check
    from sycojax.weights.precision import settled

    config = settings.study_config()
    external_adapters(config)  # says what is wrong with --adapter before anything is written
    window = ProfileWindow(profile, workdir / "profile") if profile else None
    start()
    if wandb:
        check(wandb)  # before the workdir is touched
    config = settled(config, workdir)
    until: Until = "evaluate" if command == "study" else command
    with tracking.tracked(wandb, workdir, config) as tracker:
        first = distributed.is_first()
        with Progress(command, shown=first and not quiet):
            run(
                config, workdir, until=until, command=settings.command_line, progress=not quiet,
                tracking=Tracking(tracker, window), foretell=True,
            )  # fmt: skip
        distributed.shutdown()
        if window is not None and first:
            print(f"profile   {window.outcome()}")
        if command == "readouts" and first:
            from sycojax.cli.readouts import readout_table
            from sycojax.study.datasets import instruments

            found = read_json(workdir / "readouts.json")
            print(readout_table({name: found[name] for name in instruments(config)}))
        if command == "study" and first:
            report_study(workdir, config.data.probes, tracker, progress=not quiet)


@command("report", flags.WORKDIR, flags.PROBES, flags.WANDB)
def report(workdir: Path, wandb: str, probe: Sequence[str]) -> None:
    """write DIR/report/ from the records that are there (needs no accelerator)"""
    if (workdir / "sweep.json").is_file():
        if wandb:
            raise SycojaxError(
                f"{workdir} holds a sweep, which --wandb does not take{CELL_BY_CELL}"
            )
        return report_sweep(workdir, probe)
    if not (workdir / "study.json").is_file():
        raise SycojaxError(f"{workdir} holds no study (no study.json): run `sycojax study` first")
    if not wandb:
        report_study(workdir, probe)
        return
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # which takes no accelerator from others
    from sycojax.cli.tracking import tracked
    from sycojax.training.tracking import check

    check(wandb)
    with tracked(wandb, workdir) as tracker:
        report_study(workdir, probe, tracker)


@command(
    "sweep", *_SETTINGS, flags.WORKDIR, flags.ADAPTERS,
    flag("--cell", "NAME", "only this cell"),
    flag(
        "--emit", "ENGINE",
        "run nothing; print a job per cell: a Slurm array (slurm), JobSets of Kubernetes (jobset) or managed jobs of "
        "SkyPilot (skypilot)",
        choices=("slurm", "jobset", "skypilot"),
    ),
    flag("--launch", "FLAGS", "flags of the writer of that file, launch/ENGINE.py"),
    *_RUN,
)  # fmt: skip
def sweep(emit: str, launch: str, **given: Any) -> None:
    """the study of --config at every setting that its get_sweep() names, and one report over them"""
    from sycojax.cli.sweep import sweep, write_down

    if emit:
        write_down(emit, launch, given["settings"], given["workdir"], given["cell"])
    elif launch:
        raise SycojaxError("--launch holds the flags of a launcher: it needs --emit=ENGINE")
    else:
        sweep(**given)


@command(
    "reanalyse", flags.WORKDIR,
    flag(
        "--data", "DIR",
        "a directory with the study's three CSV files, and claims.json where there is one "
        "(default: the published figures, which come with this package)",
    ),
)  # fmt: skip
def reanalyse(workdir: Path, data: str) -> None:
    """check the claims of a published study against its own tables: DIR/reanalysis/"""
    from analysis.reanalysis.report import write

    page, said = write(Path(data) if data else None, workdir)
    print(f"{said}\nreanalysis  {page.resolve()}")


@command(
    "calibrate",
    flags.config("the study whose base and probes are calibrated (none: the embedded base)"),
    flags.PROBES, flags.WORKDIR, *_RUN,
)  # fmt: skip
def calibrate(settings: Settings, workdir: Path, start: Callable[[], None], quiet: bool) -> None:
    """plant deference in adapters of the base at known rates and read it back: DIR/calibration/"""
    from sycojax.cli.calibrate import SETTINGS
    from sycojax.parallel import distributed
    from sycojax.study.calibration import calibrate

    config = settings.study_config(SETTINGS)
    start()
    first = distributed.is_first()
    with Progress("calibrate", shown=first and not quiet):
        path = calibrate(config, workdir, progress=not quiet)
    if first:
        print(f"measured  {path.resolve()}")
    distributed.shutdown()


@command(
    "export", flags.WORKDIR,
    flag("--adapter", "NAME", "one of DIR/adapters/, or one that was scored beside them", required=True),
    flags.TO,
    switch("--merged", "base and adapter in one model, float32, in Hugging Face layout"),
    flag("--push-to-hub", "OWNER/NAME", "also upload it, to a private repository"),
    switch("--public", "upload it to a repository that all can see"),
    flags.PROBES,
)  # fmt: skip
def export(workdir: Path, **given: Any) -> None:
    """one adapter with a model card of its numbers, to a directory and to the hub"""
    from sycojax.cli.export import export

    export(workdir, **given)


@command(
    "plan", *_SETTINGS,
    flag(
        "--topology", "NAME",
        "v5e:2x4, v6e:4x4, v5p:2x2x1, gpu:H100, gpu:H200x8, ... (needs the tpu or cuda extra); left out: this machine, by a "
        "measured trial of seconds",
    ),
    flag(
        "--shape", "NAME",
        "llama2_7b, llama2_13b, llama2_70b, llama3.1_8b, smollm2_135m, qwen2.5_7b, qwen3_8b or mistral_7b in place of the architecture "
        "of base.path, which may be a config.json",
    ),
    flag(
        "--adapters", "N",
        "compile nothing; what N adapters like the config's cost there: tokens, hours, chip-hours, memory, with the formulas",
        type=int, default=0,
    ),
)  # fmt: skip
def plan(settings: Settings, topology: str, shape: str, adapters: int) -> None:
    """what a study takes: on this machine, on hardware that is not here, or with many adapters"""
    if adapters < 0 or (adapters and not topology):
        raise SycojaxError("--adapters=N is a number of adapters on a --topology=NAME")
    if shape and not topology:
        raise SycojaxError("--shape=NAME is planned for a --topology=NAME, not for this machine")
    if not topology:
        from sycojax.cli import plan_here

        print(plan_here.table(settings.study_config()))
        return
    # Nothing runs, so the accelerator of this machine, if any, is left to others.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")

    from sycojax.planning import report as planning
    from sycojax.planning import scale
    from sycojax.planning.plan import make_plan
    from sycojax.planning.shapes import architecture
    from sycojax.planning.topology import parse as parse_topology
    from sycojax.weights.precision import exact_products, settled

    devices = parse_topology(topology)
    config = settled(settings.study_config(), accelerator=devices.chip is not None)
    model, source = architecture(config.base.path, shape)

    if adapters:
        print(scale.table(scale.scale(config, model, source, devices, adapters)))
        return
    say = functools.partial(print, file=sys.stderr, flush=True)
    with exact_products(config.base.dtype):
        found = make_plan(config, model, source, devices, say)
    print(planning.table(found))


@command("export-tasks", *_SETTINGS, flags.TO)
def export_tasks(settings: Settings, to: str) -> None:
    """the probes as task files of lm-evaluation-harness, from --config's data"""
    from sycojax.harness.tasks import write_tasks

    counts = write_tasks(Path(to), settings.study_config())
    print(f"tasks     {Path(to).resolve()} ({sum(counts.values())} documents)")
    print(
        "verdicts  none of them gives one: whether a probe sees on a base is what `sycojax readouts` shows"
    )


@command("config", *_SETTINGS, flags.ADAPTERS)
def config(settings: Settings) -> None:
    """print every setting of --config after its overrides, and check it"""
    print(json.dumps(settings.study_config().to_dict(), indent=2))


@command("data prepare", *_SETTINGS, flags.TO)
def data_prepare(settings: Settings, to: str) -> None:
    """fetch all rows once, to files"""
    from sycojax.cli import data
    from sycojax.study.datasets import source_of

    print(data.prepare(source_of(settings.study_config()), Path(to)))


@command("data check", *_SETTINGS)
def data_check(settings: Settings) -> None:
    """validate and count all rows"""
    from sycojax.cli import data
    from sycojax.study.datasets import source_of

    print(data.check(source_of(settings.study_config())))


@command(
    "data show", *_SETTINGS,
    flag("--name", "NAME", "a task or probe", required=True),
    flag("--index", "N", "number of the row, from 0", type=int, default=0),
)  # fmt: skip
def data_show(settings: Settings, name: str, index: int) -> None:
    """one row as the model sees it, the tokens that are trained on marked"""
    from sycojax.cli import data
    from sycojax.study.datasets import source_of
    from sycojax.study.inputs import tokenizer_of

    config = settings.study_config()
    print(data.show(config, source_of(config), tokenizer_of(config), name, index))


@command(
    "doctor",
    flags.config("the config whose base is looked for"),
    flags.PROBES,
    flag("--workdir", "DIR", "the directory or bucket that is to be written to", default="."),
    switch("--ids", "also show the token ids of the config's prompts"),
    flag(
        "--against", "transformers",
        "also compare ids, log-likelihoods and greedy answers of the config's base with it (needs torch)",
        choices=["transformers"],
    ),
)  # fmt: skip
def doctor(settings: Settings, workdir: str, ids: bool, against: str) -> None:
    """devices, memory, versions, disk and access to the hub: what is there, and what to do; of a config, what it asks

    Raises ``SycojaxError`` when something must be mended.
    """
    from sycojax.cli import data
    from sycojax.cli.bucket import local_directory
    from sycojax.cli.doctor import examine, render
    from sycojax.study.inputs import tokenizer_of

    config = settings.study_config() if settings.config or settings.words() else None
    base = config.base.path if config else ""
    bucket = workdir if "://" in workdir else ""
    findings = examine(local_directory(bucket) if bucket else Path(workdir), base, bucket)
    print(render(findings))
    problems = [f.subject for f in findings if f.state == "problem"]
    if problems:
        raise SycojaxError(f"to be mended: {', '.join(problems)}")
    if config:
        try:
            tokenizer = tokenizer_of(config)
        except SycojaxError as error:  # of a hub base, it may not have been fetched
            if against:
                raise
            print(f"--- what is asked is not shown: {error}")
            return
        print(data.asked_texts(config, tokenizer, ids=ids))
    if against:
        from sycojax.cli.against import against_transformers

        if not config:
            raise SycojaxError(
                "--against=transformers needs --config=FILE: whose base is compared?"
            )
        print(against_transformers(config))
