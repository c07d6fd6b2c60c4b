"""Cloud TPU VMs from nothing to results: ``python -m launch.tpu COMMAND NAME --zone=ZONE ...``; see docs/tpu.md."""

from __future__ import annotations

import argparse
import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from launch import machine
from launch.command import LaunchError, Parser, Shell, run_main
from launch.gcloud import Zone
from launch.keep import keep
from launch.machine import SHARE
from launch.settings import check_settings

COMMANDS = {
    "create": machine.create, "setup": machine.setup, "run": machine.run, "keep": keep,
    "status": machine.status, "logs": machine.logs, "stop": machine.stop, "fetch": machine.fetch,
    "delete": machine.delete,
}  # fmt: skip

NEED_CONFIG = ("study", "train", "evaluate", "sweep")  # of sycojax's commands

EPILOG = """\
create   make the TPU VM and wait until it is ready; --spot is cheap and may be taken away, --queued waits for capacity
setup    send this checkout's commit to every worker and install it there; mounts --share
run      start `sycojax ARGUMENTS` on every worker, in the background
keep     create, setup and run, again after every preemption, until the study is done; then fetch and delete
status   what the name stands for and what the workers do
logs     follow the log of a worker
stop     end the study; it saves its state where it can
fetch    copy the workdir here, from --bucket where one is given
delete   give the machine back

The workdir must outlive the machine: --bucket (one host: copied there every 10 minutes and brought back before a
start) or --share (any number of hosts: an NFS server such as Filestore; the workdir is then below /mnt/sycojax).
"""


def arguments_of(command_line: Sequence[str]) -> Namespace:
    """Parse; what stands after ``--`` goes to sycojax. Raises ``LaunchError``."""
    ours = list(command_line)
    theirs: list[str] = []
    if "--" in ours:
        cut = ours.index("--")
        ours, theirs = ours[:cut], ours[cut + 1 :]
    parser = Parser(
        prog="python -m launch.tpu", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s COMMAND NAME --zone=ZONE [flags] [-- study --config=FILE ...]",
    )  # fmt: skip
    parser.add_argument("command", choices=tuple(COMMANDS))
    parser.add_argument("name")
    parser.add_argument("--zone", default="", help="such as us-west4-a")
    parser.add_argument("--project", default="", help="default: gcloud's own")
    parser.add_argument("--type", default="", help="such as v5litepod-8")
    parser.add_argument("--spot", action="store_true", help="cheaper, may be preempted")
    parser.add_argument("--queued", action="store_true", help="wait for capacity")
    parser.add_argument("--image", default="", help="system image; default: the one for --type")
    parser.add_argument("--share", default="", help="NFS share HOST:/PATH of all workers")
    parser.add_argument("--bucket", default="", help="gs://BUCKET/PATH that keeps the workdir")
    parser.add_argument("--workdir", default="", help="on the workers; default: runs/NAME")
    parser.add_argument("--hub-token", default="", help="file with a Hugging Face token to send")
    parser.add_argument("--worker", default="0", help="whose log to follow")
    parser.add_argument("--to", default="", help="local directory to fetch to; default: runs/NAME")
    parser.add_argument("--poll", type=float, default=60.0, help="seconds between two looks")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    options = parser.parse_args(ours)
    options.study = theirs
    options.bundle = ""  # the packed checkout, once there is one
    return options


def check(options: Namespace) -> None:
    """Raise ``LaunchError`` for what is wrong with the flags, before anything is asked or made."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", options.name):
        raise LaunchError(
            f"NAME {options.name!r}: a letter, then at most 39 of a-z, 0-9 and -, not ending in -"
        )
    if not options.zone:
        raise LaunchError("--zone=ZONE is missing, for example --zone=us-west4-a")
    if not re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z][a-z0-9]*", options.zone):
        raise LaunchError(f"--zone={options.zone} is no zone (a zone looks like us-west4-a)")
    making, running = options.command in ("create", "keep"), options.command in ("run", "keep")
    if making and not options.type:
        raise LaunchError("--type=TYPE is missing, for example --type=v5litepod-8")
    if options.bucket and not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+/\S*[^/\s]", options.bucket):
        raise LaunchError(f"--bucket={options.bucket} must be gs://BUCKET/PATH")
    if options.bucket and options.share:
        raise LaunchError("--bucket and --share: one of them keeps the workdir")
    if options.share and not re.fullmatch(r"[\w.-]+:/\S+", options.share):
        raise LaunchError(f"--share={options.share} must be HOST:/PATH of an NFS server")
    if options.hub_token and not Path(options.hub_token).is_file():
        raise LaunchError(f"--hub-token={options.hub_token} is no file")
    if "://" in options.workdir:
        raise LaunchError(
            f"--workdir={options.workdir} must be a directory on the workers (sycojax renames and locks files in it): "
            "keep it in a bucket with --bucket=gs://BUCKET/PATH"
        )
    if running:
        if not options.study:
            raise LaunchError("what should run? For example: ... -- study --config=configs/toy.py")
        command = options.study[0]
        if command in NEED_CONFIG and not any(a.startswith("--config=") for a in options.study):
            raise LaunchError(f"{command} needs --config=FILE, for example --config=configs/toy.py")
        for flag, equals, value in (a.partition("=") for a in options.study):
            if (
                flag == "--config"
                and equals
                and (value[:1] == "/" or not (machine.HERE / value).is_file())
            ):
                raise LaunchError(
                    f"--config={value} is no file of the checkout, which the workers get"
                )
        if any(a.split("=")[0] == "--workdir" for a in options.study):
            raise LaunchError("give --workdir before the --: the launcher passes it on")
        if options.command == "keep" and not options.bucket and not options.share:
            raise LaunchError(
                "keep needs --bucket or --share: a workdir on the machine is lost with it"
            )
        if options.command == "keep" and options.share and machine.destination(options).exists():
            raise LaunchError(f"{machine.destination(options)} exists already: choose another directory with --to=DIR")  # fmt: skip
    elif options.study:
        raise LaunchError(f"{options.command} takes no arguments after --")
    if making:
        machine.needs_share(options, options.type)
    if not options.workdir:
        options.workdir = f"{SHARE if options.share else 'runs'}/{options.name}"
    if options.share and not options.workdir.startswith(SHARE + "/"):
        raise LaunchError(f"--workdir={options.workdir} is not on the share, which is {SHARE}")
    if running and options.study[0] in NEED_CONFIG:
        check_settings([*options.study, f"--workdir={options.bucket or options.workdir}"])


def body(command_line: Sequence[str]) -> None:
    """One command. Raises ``LaunchError``."""
    options = arguments_of(command_line)
    check(options)
    shell = Shell(options.dry_run)
    COMMANDS[options.command](options, Zone(shell, options.zone, options.project))


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    return run_main(body, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
