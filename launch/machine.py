"""What is done to a TPU VM and on its workers, one function per command; ``launch.tpu`` parses, ``launch.keep`` repeats."""

from __future__ import annotations

import re
import shlex
import shutil
import time
from argparse import Namespace
from pathlib import Path

from launch.command import Failed, LaunchError
from launch.gcloud import Found, Zone, explain
from launch.topology import slice_of_type

SHARE = "/mnt/sycojax"  # where tpu_setup.sh mounts --share on every worker
CHECKOUT = "sycojax"  # in the home directory of every worker
HERE = Path(__file__).resolve().parent.parent  # the checkout
TRIES = 5  # in a row that may fail while something is waited for
ANSWER = re.compile(r"running|none|fresh|stopped|exit \d+")  # of `tpu_worker.sh status`


class NotCreated(LaunchError):
    """There is no machine, and nothing of the attempt is left."""


def create(options: Namespace, zone: Zone) -> None:
    """Make the machine and wait for it; after an error nothing of it is left."""
    zone.check(options.type)
    found = zone.look(options.name)
    if found:
        raise LaunchError(
            f"{options.name} exists already in {options.zone} ({found}): use it, `delete` it, or take another name"
        )
    make(options, zone)


def make(options: Namespace, zone: Zone) -> None:
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
        found = look_again(options, zone)
    if not found.ready and not zone.shell.dry_run:
        _withdraw(options, zone)
        raise NotCreated(f"cannot create {options.name}: it ended as {found}; it is deleted again")
    print(f"# {options.name} is ready" if zone.shell.dry_run else f"{options.name} is ready")


def look_again(options: Namespace, zone: Zone) -> Found:
    """``look`` while waiting for hours: a network that fails now and then must not end that."""
    for _ in range(TRIES - 1):
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


def pack(options: Namespace, zone: Zone) -> str:
    """Make a file of the commit that is checked out, as workers get it; returns its path."""
    git = ("git", "-C", str(HERE))
    bundle = HERE / "build" / options.name / "sycojax.bundle"
    try:
        changed = zone.shell.ask(*git, "status", "--porcelain")
        if changed:
            raise LaunchError(
                f"the checkout has changes ({changed.splitlines()[0].strip()}, ...): commit them first, the workers get "
                "the commit, which study.json names"
            )
        if not zone.shell.dry_run:
            bundle.parent.mkdir(parents=True, exist_ok=True)
        zone.shell.run(*git, "bundle", "create", "--quiet", str(bundle), "HEAD")
    except Failed as failure:
        raise explain("cannot pack the checkout", failure) from failure
    return str(bundle)


def setup(options: Namespace, zone: Zone) -> None:
    """Send the commit that is checked out, install it, and mount the share, on every worker."""
    _usable(options, zone)
    bundle = options.bundle or pack(options, zone)
    every = (*zone.where, "--worker=all", "--quiet")
    try:
        zone.make("tpu-vm", "scp", bundle, str(HERE / "launch" / "tpu_setup.sh"), f"{options.name}:", *every)  # fmt: skip
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
        needs_share(options, found.type)
    worker = [
        "bash", f"{CHECKOUT}/launch/tpu_worker.sh", "start", options.bucket or options.workdir, *options.study,
    ]  # fmt: skip
    try:
        zone.make(*zone.ssh(options.name, shlex.join(worker)))
    except Failed as failure:
        raise explain(f"cannot start the study on {options.name}", failure) from failure


def answers(options: Namespace, zone: Zone) -> set[str]:
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
    if zone.shell.dry_run:
        answers(options, zone)
        return
    print(f"{options.name}: {found}")
    if found.ready:
        print("workers: " + (", ".join(sorted(answers(options, zone))) or "no answer"))


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
    to = destination(options)
    try:
        if options.bucket:
            half = zone.shell.ask("gcloud", "storage", "cat", f"{options.bucket}/LATEST")
            if not zone.shell.dry_run:
                to.mkdir(parents=True, exist_ok=True)
            source = f"{options.bucket}/{half or 'HALF'}"
            zone.shell.run("gcloud", "storage", "rsync", "--recursive", source, str(to))
        else:
            _fetch_files(options, zone, to)
    except Failed as failure:
        raise explain(f"cannot fetch the workdir of {options.name}", failure) from failure


def _fetch_files(options: Namespace, zone: Zone, to: Path) -> None:
    if to.exists():
        raise LaunchError(f"{to} exists already: choose another directory with --to=DIR")
    _usable(options, zone)
    away = options.workdir if options.workdir.startswith("/") else f"{CHECKOUT}/{options.workdir}"
    coming = to.with_name(f".{to.name}.coming")  # half a workdir must not look like one
    if not zone.shell.dry_run:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(coming, ignore_errors=True)
    try:
        zone.make(
            "tpu-vm", "scp", "--recurse", f"{options.name}:{away}", str(coming), *zone.where, "--worker=0", "--quiet",
        )  # fmt: skip
        if zone.shell.dry_run:
            print(shlex.join(["mv", str(coming), str(to)]))
        else:
            coming.rename(to)
    finally:
        if not zone.shell.dry_run:
            shutil.rmtree(coming, ignore_errors=True)


def destination(options: Namespace) -> Path:
    return Path(options.to or f"runs/{options.name}")


def delete(options: Namespace, zone: Zone) -> None:
    """Give the machine back, and withdraw the request for it."""
    found = zone.look(options.name)
    if zone.shell.dry_run:
        print("# the one or the other, by what there is")
        zone.delete(options.name, Found("READY", options.type, "ACTIVE"))
        zone.delete(options.name, Found("READY", options.type, ""))
        return
    if not found:
        raise LaunchError(f"there is no {options.name} in {options.zone}")
    zone.delete(options.name, found)


def _usable(options: Namespace, zone: Zone) -> Found:
    found = zone.look(options.name)
    if not found.ready and not zone.shell.dry_run:
        advice = "wait for it" if found.coming else "`create` it" if not found else "`delete` it and `create` it again, or `keep` it"  # fmt: skip
        raise LaunchError(f"{options.name} in {options.zone} cannot be used ({found}): {advice}")
    return found


def needs_share(options: Namespace, accelerator: str) -> None:
    """Several hosts need one file system. Raises ``LaunchError`` without one, or for an unknown type."""
    hosts = slice_of_type(accelerator).hosts
    shared = options.share or options.workdir.startswith(SHARE + "/")
    if hosts > 1 and options.command in ("run", "keep") and not shared:
        raise LaunchError(
            f"{accelerator} has {hosts} hosts, which must see one file system: give --share=HOST:/PATH of an NFS server, "
            "such as Filestore"
        )
