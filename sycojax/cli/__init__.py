"""The command line. Only this file is imported for ``sycojax --help``, so it stays instant."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence

from sycojax import __version__

HELP = f"""\
sycojax {__version__}: does fine-tuning a chat model for benchmarks make it more sycophantic?

usage: sycojax COMMAND --config=FILE [--config.KEY=VALUE ...] --workdir=DIR

commands
  study      data, adapters, records and report; run it again to continue or to apply a changed config
  train      only as far as the adapters (DIR/adapters/NAME, PEFT format)
  evaluate   as far as the item records (DIR/records/CONFIGURATION/EVALUATION.jsonl)
  report     write DIR/report/ from the records that are there (needs no accelerator, no --config)
  sweep      the study of --config at every setting that its get_sweep() names, and one report over them
  reanalyse  check the claims of a published study against its own tables: DIR/reanalysis/ (no --config)
  calibrate  plant sycophancy in adapters of the embedded base and read it back: DIR/calibration/ (no --config)
  export     one adapter with a model card of its numbers: sycojax export --workdir=DIR --adapter=NAME --to=DIR
  plan       compile the study's programs for hardware that need not be here: memory, time, collectives (no --workdir)
  export-tasks  the probes as task files of lm-evaluation-harness, from --config's data: --to=DIR (no --workdir)
  config     print every setting of --config after its overrides, and check it
  data       prepare: fetch all rows once, to files: --to=DIR. check: validate them. show: one row as the model sees
             it, the tokens that are trained on marked: --name=TASK_OR_PROBE --index=N
  doctor     devices, memory, versions, disk and access to the hub: what is there, and what to do (--config optional)

flags
  --config=FILE          a config file, such as configs/toy.py; every key can be overridden:
                         --config.train.learning_rate=1e-4 --config.train.seeds=0,1,2
  --workdir=DIR          where everything is written; gs://BUCKET/PATH keeps it in a bucket (docs/launch.md)
  --data=DIR             reanalyse: a directory with the study's three CSV files, and claims.json, results/, splits/
                         and probes.json where there are any (default: the copy of the published figures kept here)
  --adapter=NAME=PATH    study, evaluate: also score a PEFT adapter of this base that was trained elsewhere, any number
                         of times; NAME-s0, NAME-s1, ... are its seeds
  --cell=NAME            sweep: only this cell
  --emit=ENGINE          sweep: run nothing; print a Slurm array (slurm), or a command per cell for Kubernetes (jobset) or Cloud
                         TPU VMs (tpu); --launch="FLAGS" are the flags of that launcher
  --merged               export: base and adapter in one model, float32, in Hugging Face layout
  --push-to-hub=OWNER/NAME
                         export: also upload it, to a private repository; with --public to one that all can see
  --topology=NAME        plan: v5e:2x4, v6e:4x4, v5p:2x2x1, gpu:H100, gpu:H200x8, ... (needs the tpu or cuda extra)
  --shape=NAME           plan: llama2_7b, llama2_13b or llama2_70b in place of the architecture of base.path
  --out=FILE             plan: write it as JSON, too
  --quiet                no progress bars
  --wandb=PROJECT        study, train, evaluate, report: also log to Weights & Biases, as one run per workdir
                         (pip install 'sycojax[wandb]'; ENTITY/PROJECT, WANDB_MODE=offline as wandb knows them)
  --profile=START:STOP   study, train, evaluate: trace these training steps into DIR/profile, for TensorBoard or Perfetto;
                         score:START:STOP, not for train, traces calls of scoring
  --coordinator=HOST:PORT --processes=N --process=I
                         study, train, evaluate, sweep, calibrate: this is process I (0 to N - 1) of N that share the work;
                         process 0 listens at HOST:PORT, and all see one file system. Not needed under Slurm, Open MPI,
                         on a TPU slice or in a Kubernetes job; there, --processes=1 asks for a run of its own
  --version, --help

exit status: 0 done; 2 a problem with input or settings, said in one line; 130 interrupted, run again to continue
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("help", "--help", "-h"):
        print(HELP, end="")
        return 0
    if arguments[0] == "--version":
        print(f"sycojax {__version__}")
        return 0
    from sycojax.errors import SycojaxError

    try:
        from sycojax.cli.commands import dispatch

        dispatch(arguments[0], arguments[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return 128 + signal.SIGPIPE  # as a shell says it
    except SycojaxError as error:
        print(f"sycojax: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sycojax: interrupted; run the same command again to continue", file=sys.stderr)
        return 130
    return 0


def _nobody_reads() -> bool:
    """Whether the output goes to a pipe whose other end is closed, as by ``| head``; what is left is then dropped."""
    output = select.poll()
    output.register(sys.stdout, select.POLLOUT)
    if not any(event & select.POLLERR for _, event in output.poll(0)):
        return False
    # Python flushes once more when it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
