"""Cloud TPU VMs from nothing to results: ``python -m launch.tpu COMMAND NAME --zone=ZONE ...``; see docs/launch.md."""

from __future__ import annotations

import argparse
import re
import shlex
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from launch.command import Failed, LaunchError, Parser, Shell, run_main
from launch.gcloud import Found, Zone, explain
from launch.topology import slice_of_type

SHARE = "/mnt/sycojax"  # where tpu_setup.sh mounts --share on every worker
CHECKOUT = "sycojax"  # in the home directory of every worker
UNREACHABLE = 5  # polls in a row that a READY machine may not answer before `keep` gives up

ANSWER = re.compile(r"running|none|fresh|stopped|exit \d+")  # of `tpu_worker.sh status`


class NotCreated(LaunchError):
    """There is no machine, and nothing of the attempt is left."""


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
    return options


def check(options: Namespace) -> None:
    """Raise ``LaunchError`` for what is wrong with the flags, before anything is asked or made."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", options.name):
        raise LaunchError(
            f"NAME {options.name!r}: a letter, then at most 39 of a-z, 0-9 and -, not ending in -"
        )
    if not options.zone:
        raise LaunchError("--zone=ZONE is missing, for example --zone=us-west4-a")
    if not re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z]", options.zone):
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
        if any(a.split("=")[0] == "--workdir" for a in options.study):
            raise LaunchError("give --workdir before the --: the launcher passes it on")
        if options.command == "keep" and not options.bucket and not options.share:
            raise LaunchError(
                "keep needs --bucket or --share: a workdir on the machine is lost with it"
            )
        if options.command == "keep" and options.share and _to(options).exists():
            raise LaunchError(f"{_to(options)} exists already: choose another directory with --to=DIR")  # fmt: skip
    elif options.study:
        raise LaunchError(f"{options.command} takes no arguments after --")
    if making:
        _hosts(options, options.type)
    if not options.workdir:
        options.workdir = f"{SHARE if options.share else 'runs'}/{options.name}"
    if options.share and not options.workdir.startswith(SHARE + "/"):
        raise LaunchError(f"--workdir={options.workdir} is not on the share, which is {SHARE}")


def create(options: Namespace, zone: Zone) -> None:
    """Make the machine and wait for it; after an error nothing of it is left."""
    zone.check(options.type)
    found = zone.look(options.name)
    if found:
        raise LaunchError(
            f"{options.name} exists already in {options.zone} ({found}): use it, `delete` it, or take another name"
        )
    _make(options, zone)


def _make(options: Namespace, zone: Zone) -> None:
    """Ask for the machine and wait for it. Raises ``LaunchError``, after deleting what came of it."""
    image = options.image or slice_of_type(options.type).generation.image
    kind = f"--accelerator-type={options.type}"
    spot = ("--spot",) if options.spot else ()
    try:
        if options.queued:
            zone.make(
                "queued-resources", "create", options.name, f"--node-id={options.name}", kind,
                f"--runtime-version={image}", *spot, *zone.where, "--quiet",
            )  # fmt: skip
        else:
            zone.make("tpu-vm", "create", options.name, kind, f"--version={image}", *spot, *zone.where, "--quiet")  # fmt: skip
    except Failed as failure:
        if "already" not in failure.text.lower():  # someone else's must stay
            _withdraw(options, zone)
        raise NotCreated(str(explain(f"cannot create {options.name}", failure))) from failure
    found = zone.look(options.name)
    said = ""
    while found.coming:
        if str(found) != said:
            said = str(found)
            print(f"{options.name}: {said}; waiting (an interrupt leaves the request in place)")
        time.sleep(options.poll)
        found = _look_again(options, zone)
    if not found.ready and not zone.shell.dry_run:
        _withdraw(options, zone)
        raise NotCreated(f"cannot create {options.name}: it ended as {found}; it is deleted again")
    print(f"# {options.name} is ready" if zone.shell.dry_run else f"{options.name} is ready")


def _look_again(options: Namespace, zone: Zone) -> Found:
    """``look`` while waiting for hours: a network that fails now and then must not end that."""
    for _ in range(UNREACHABLE - 1):
        try:
            return zone.look(options.name)
        except LaunchError as error:
            print(f"{error}; trying again")
            time.sleep(options.poll)
    return zone.look(options.name)


def _withdraw(options: Namespace, zone: Zone) -> None:
    rest = zone.look(options.name)
    if rest:
        zone.delete(options.name, rest)


def setup(options: Namespace, zone: Zone) -> None:
    """Send the commit that is checked out, install it, and mount the share, on every worker."""
    _usable(options, zone)
    here = Path(__file__).resolve().parent
    git = ("git", "-C", str(here.parent))
    try:
        changed = zone.shell.ask(*git, "status", "--porcelain")
        if changed:
            raise LaunchError(
                f"the checkout has changes ({changed.splitlines()[0].strip()}, ...): commit them first, the workers get "
                "the commit, which study.json names"
            )
        bundle = here.parent / "build" / "sycojax.bundle"
        if not zone.shell.dry_run:
            bundle.parent.mkdir(exist_ok=True)
        zone.shell.run(*git, "bundle", "create", "--quiet", str(bundle), "HEAD")
        every = (*zone.where, "--worker=all", "--quiet")
        zone.make("tpu-vm", "scp", str(bundle), str(here / "tpu_setup.sh"), f"{options.name}:", *every)  # fmt: skip
        if options.hub_token:
            zone.make("tpu-vm", "scp", options.hub_token, f"{options.name}:hub-token", *every)
        script = shlex.join(["bash", "tpu_setup.sh", *([options.share] if options.share else [])])
        zone.make(*zone.ssh(options.name, script))
    except Failed as failure:
        raise explain(f"cannot set up {options.name}", failure) from failure


def run(options: Namespace, zone: Zone) -> None:
    """Start the study on every worker; they find each other through JAX."""
    found = _usable(options, zone)
    if found.type:
        _hosts(options, found.type)
    worker = [
        "bash", f"{CHECKOUT}/launch/tpu_worker.sh", "start", options.bucket or "-", options.workdir, *options.study,
    ]  # fmt: skip
    try:
        zone.make(*zone.ssh(options.name, shlex.join(worker)))
    except Failed as failure:
        raise explain(f"cannot start the study on {options.name}", failure) from failure


def keep(options: Namespace, zone: Zone) -> None:
    """Have the study done, whatever becomes of the machine; the queue of queued resources does the waiting."""
    options.queued = True
    zone.check(options.type)
    found = zone.look(options.name)
    had, silent, refused = False, 0, 0
    while True:
        try:
            if not found.ready:
                _restore(options, zone, found)
            had, refused = True, 0
            answer = _answers(options, zone)
            silent = 0 if answer else silent + 1
            if answer == {"exit 0"}:
                break
            _advance(options, zone, answer)
            if zone.shell.dry_run:
                break
            if silent == UNREACHABLE:
                raise LaunchError(f"{options.name} does not answer: try `status` and `logs`")
        except NotCreated as error:
            refused += 1
            if not had or refused == UNREACHABLE:  # wrong from the start, or for good
                raise
            print(error)
        except LaunchError as error:
            time.sleep(options.poll)  # a preempted machine fails before it is said to be preempted
            if _look_again(options, zone).ready:
                raise
            print(error)
        time.sleep(options.poll)
        found = _look_again(options, zone)
    fetch(options, zone)
    zone.delete(options.name, zone.look(options.name) or Found("READY", options.type, "ACTIVE"))


def _restore(options: Namespace, zone: Zone, found: Found) -> None:
    """From whatever there is to a machine that is ready."""
    while found.coming:
        print(f"{options.name}: {found}; waiting")
        time.sleep(options.poll)
        found = _look_again(options, zone)
    if found.ready:
        return
    if found:
        print(f"{options.name} is lost ({found}): making it again")
        zone.delete(options.name, found)
    _make(options, zone)


def _advance(options: Namespace, zone: Zone, answer: set[str]) -> None:
    """Bring workers that do not run the study to run it. Raises ``LaunchError`` when it has ended badly."""
    ended = sorted(a for a in answer if a not in ("running", "none", "fresh", "exit 0"))
    if ended:
        raise LaunchError(
            f"the study ended on {options.name} ({', '.join(ended)}): see `logs`; the machine is left as it is, "
            "`delete` gives it back"
        )
    if "running" in answer and answer & {"none", "fresh"}:
        stop(options, zone)  # a host was restarted: the others wait for it in vain
    if "fresh" in answer or zone.shell.dry_run:
        setup(options, zone)
    if answer & {"none", "fresh"} or zone.shell.dry_run:
        run(options, zone)


def _answers(options: Namespace, zone: Zone) -> set[str]:
    """What the workers say they do: running, none, fresh, stopped, exit STATUS; empty when they cannot be reached."""
    script = f"if [ -d {CHECKOUT} ]; then bash {CHECKOUT}/launch/tpu_worker.sh status; else echo fresh; fi"
    try:
        lines = zone.tpus(*zone.ssh(options.name, script)).splitlines()
        return {line for line in map(str.strip, lines) if ANSWER.fullmatch(line)}
    except Failed:
        return set()  # the machine's state says more


def status(options: Namespace, zone: Zone) -> None:
    """Say what the name stands for and what the workers do."""
    found = zone.look(options.name)
    print(f"{options.name}: {found}")
    if found.ready:
        print("workers: " + (", ".join(sorted(_answers(options, zone))) or "no answer"))


def logs(options: Namespace, zone: Zone) -> None:
    """Follow the log of a worker until interrupted."""
    _usable(options, zone)
    try:
        zone.make(*zone.ssh(options.name, "tail -n 100 -F sycojax.log", options.worker))
    except Failed as failure:
        raise explain(f"cannot read the log of {options.name}", failure) from failure


def stop(options: Namespace, zone: Zone) -> None:
    """End the study on every worker by SIGTERM."""
    _usable(options, zone)
    try:
        zone.make(*zone.ssh(options.name, f"bash {CHECKOUT}/launch/tpu_worker.sh stop"))
    except Failed as failure:
        raise explain(f"cannot stop the study on {options.name}", failure) from failure


def fetch(options: Namespace, zone: Zone) -> None:
    """Copy the workdir here: the last copy in the bucket, or the files on worker 0."""
    to = _to(options)
    try:
        if options.bucket:
            half = zone.shell.ask("gcloud", "storage", "cat", f"{options.bucket}/LATEST")
            if not zone.shell.dry_run:
                to.mkdir(parents=True, exist_ok=True)
            source = f"{options.bucket}/{half or 'HALF'}"
            zone.shell.run("gcloud", "storage", "rsync", "--recursive", source, str(to))
        else:
            if to.exists():
                raise LaunchError(f"{to} exists already: choose another directory with --to=DIR")
            _usable(options, zone)
            if not zone.shell.dry_run:
                to.parent.mkdir(parents=True, exist_ok=True)
            away = options.workdir if options.workdir.startswith("/") else f"{CHECKOUT}/{options.workdir}"  # fmt: skip
            zone.make(
                "tpu-vm", "scp", "--recurse", f"{options.name}:{away}", str(to), *zone.where, "--worker=0", "--quiet",
            )  # fmt: skip
    except Failed as failure:
        raise explain(f"cannot fetch the workdir of {options.name}", failure) from failure


def _to(options: Namespace) -> Path:
    return Path(options.to or f"runs/{options.name}")


def delete(options: Namespace, zone: Zone) -> None:
    """Give the machine back, and withdraw the request for it."""
    found = zone.look(options.name)
    if zone.shell.dry_run:
        found = Found("READY", options.type, "ACTIVE" if options.queued else "")
    if not found:
        raise LaunchError(f"there is no {options.name} in {options.zone}")
    zone.delete(options.name, found)


def _usable(options: Namespace, zone: Zone) -> Found:
    found = zone.look(options.name)
    if not found.ready and not zone.shell.dry_run:
        advice = "wait for it" if found.coming else "`create` it" if not found else "`delete` it and `create` it again, or `keep` it"  # fmt: skip
        raise LaunchError(f"{options.name} in {options.zone} cannot be used ({found}): {advice}")
    return found


def _hosts(options: Namespace, accelerator: str) -> None:
    """Several hosts need one file system. Raises ``LaunchError`` without one, or for an unknown type."""
    hosts = slice_of_type(accelerator).hosts
    shared = options.share or options.workdir.startswith(SHARE + "/")
    if hosts > 1 and options.command in ("run", "keep") and not shared:
        raise LaunchError(
            f"{accelerator} has {hosts} hosts, which must see one file system: give --share=HOST:/PATH of an NFS server, "
            "such as Filestore"
        )


COMMANDS = {
    "create": create, "setup": setup, "run": run, "keep": keep, "status": status, "logs": logs,
    "stop": stop, "fetch": fetch, "delete": delete,
}  # fmt: skip


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
