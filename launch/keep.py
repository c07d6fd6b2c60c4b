"""``keep``: have a study done, whatever becomes of the machine."""

from __future__ import annotations

import time
from argparse import Namespace

from launch import machine
from launch.command import LaunchError
from launch.gcloud import Found, Zone
from launch.machine import TRIES, NotCreated


def keep(options: Namespace, zone: Zone) -> None:
    """Have the study done, whatever becomes of the machine; the queue of queued resources does the waiting."""
    options.queued = True
    zone.check(options.type)
    if options.bucket:
        zone.check_bucket(options.bucket)
    found = zone.look(options.name)
    if found.type and found.type != options.type:
        raise LaunchError(
            f"{options.name} in {options.zone} is a {found.type}, no {options.type}: take another name, or give --type={found.type}"
        )
    if not found.ready:  # before there is a machine, what would only be found out on it
        options.bundle = machine.pack(options, zone)
    had, started, silent, refused = False, False, 0, 0
    while True:
        try:
            if not found.ready:
                _restore(options, zone, found)
            had, refused = True, 0
            answer = machine.answers(options, zone)
            silent = 0 if answer else silent + 1
            if answer == {"exit 0"}:
                break
            if not started and not answer <= {"running", "none", "fresh", "exit 0"}:
                answer = {"fresh"}  # it ended badly before: this command asks for another attempt
            _advance(options, zone, answer)
            started = True
            if zone.shell.dry_run:
                break
            if silent == TRIES:
                raise LaunchError(f"{options.name} does not answer: try `status` and `logs`")
        except NotCreated as error:
            refused += 1
            if not had or refused == TRIES:  # wrong from the start, or for good
                raise
            print(error)
        except LaunchError as error:
            time.sleep(options.poll)  # a preempted machine fails before it is said to be preempted
            if machine.look_again(options, zone).ready:
                raise
            print(error)
        time.sleep(options.poll)
        found = machine.look_again(options, zone)
    machine.fetch(options, zone)
    zone.delete(options.name, zone.look(options.name) or Found("READY", options.type, "ACTIVE"))


def _restore(options: Namespace, zone: Zone, found: Found) -> None:
    """From whatever there is to a machine that is ready."""
    while found.coming:
        print(f"{options.name}: {found}; waiting")
        time.sleep(options.poll)
        found = machine.look_again(options, zone)
    if found.ready:
        return
    if found:
        print(f"{options.name} is lost ({found}): making it again")
        zone.delete(options.name, found)
    # The next machine gets the same commit, whatever is checked out by then.
    options.bundle = options.bundle or machine.pack(options, zone)
    machine.make(options, zone)


def _advance(options: Namespace, zone: Zone, answer: set[str]) -> None:
    """Bring workers that do not run the study to run it. Raises ``LaunchError`` when it has ended badly."""
    ended = sorted(a for a in answer if a not in ("running", "none", "fresh", "exit 0"))
    if ended and not answer & {
        "none",
        "fresh",
    }:  # else a host was restarted, and took the others along
        raise LaunchError(
            f"the study ended on {options.name} ({', '.join(ended)}): see `logs`; the machine is left as it is, "
            "`delete` gives it back"
        )
    if "running" in answer and answer & {"none", "fresh"}:
        machine.stop(options, zone)  # a host was restarted: the others wait for it in vain
    if "fresh" in answer or zone.shell.dry_run:
        machine.setup(options, zone)
    if answer & {"none", "fresh"} or zone.shell.dry_run:
        machine.run(options, zone)
