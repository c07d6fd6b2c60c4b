"""How a command line becomes a call of a command."""

from __future__ import annotations

import difflib
import functools
import os
import shlex
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sycojax import __version__
from sycojax.cli.commands import CELL_BY_CELL
from sycojax.cli.flags import COMMANDS, WORKDIR, Command
from sycojax.cli.settings import Settings
from sycojax.errors import SycojaxError

HELP = {"--help", "-h"}
SEVERAL = "--workdir={} is kept from one process; several share a directory that all of them see (docs/launch.md)"


def dispatch(words: Sequence[str]) -> None:
    """Run a command. Raises ``SycojaxError`` on a wrong command, flag, setting or input."""
    # A warning is for the person who runs the command, so it comes without a source line.
    warnings.formatwarning = lambda message, *_, **__: f"sycojax: warning: {message}\n"
    if not words or words[0] in ("help", *HELP):
        print(_overview())
    elif words[0] == "--version":
        print(f"sycojax {__version__}")
    elif len(words) == 2 and words[1] in HELP and _group(words[0]):
        print(_lines(_group(words[0])))
    else:
        command, rest = find(words)
        if HELP & set(rest):
            print(command.parser().format_help(), end="")
        elif WORKDIR in command.flags.values():
            _run_in_workdir(command, parse(command, rest))
        else:
            command.run(**parse(command, rest))


def find(words: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command that the words name, and the words behind its name. Raises ``SycojaxError`` when there is none."""
    for count in (2, 1):
        if (name := " ".join(words[:count])) in COMMANDS:
            return COMMANDS[name], words[count:]
    group = _group(words[0])
    named = " ".join(words[: 2 if group else 1])
    raise SycojaxError(f"unknown command {named!r} (known: {', '.join(group or COMMANDS)})")


def parse(command: Command, words: Sequence[str]) -> dict[str, Any]:
    """The values of the command's flags by name, those that concern the config as one, ``settings``.

    Raises ``SycojaxError`` naming the flag that is wrong.
    """
    own, overrides = _separate(command, words)
    values = vars(command.parser().parse_args(own))
    if "config" in values:
        values["settings"] = Settings(
            values.pop("config"), tuple(overrides), tuple(values.pop("adapter", ())), tuple(values.pop("probe", ())),
            shlex.join(("sycojax", command.name, *words)),
        )  # fmt: skip
    return values


def _separate(command: Command, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of the command's own flags, and those that override keys of its config, ``--config.KEY=VALUE``.

    The value of either may be a word of its own. Raises ``SycojaxError`` on a flag that the command does not have or has once
    and is given twice, and on a word that is no flag.
    """
    own, overrides = [], []
    with_value = {flag.name for flag in command.flags.values() if "metavar" in flag.settings}
    once = {name for name in with_value if "action" not in command.flags[name].settings}
    key = False  # whether the word before this one is a key without its value
    for word in words:
        name, equals, _ = word.partition("=")
        flag = "--config" if name.startswith("--config.") else name
        if own and own[-1] in with_value and name not in command.flags:
            own[-1] += f"={word}"  # which may begin like a flag
        elif not word.startswith("--"):
            if not key:
                raise SycojaxError(f"unexpected argument {word!r} (flags are written --name=value)")
            overrides.append(word)
        elif flag not in command.flags:
            raise SycojaxError(_unknown(flag, command))
        elif any(before.partition("=")[0] == name for before in own) and name in once:
            raise SycojaxError(f"{name} is given twice")
        else:
            (own if flag == name else overrides).append(word)
        key = flag != name and not equals
    return own, overrides


def _unknown(name: str, command: Command) -> str:
    """What is said of a flag that a command does not have: whose it is, or which one was probably meant."""
    takers = [other.name for other in COMMANDS.values() if name in other.flags]
    if takers:
        hint = CELL_BY_CELL if (command.name, name) == ("sweep", "--wandb") else ""
        return f"{name} is a flag of {', '.join(takers)}, not of {command.name}{hint}"
    said = f"unknown flag {name} of `sycojax {command.name}`"
    if near := difflib.get_close_matches(name, command.flags, 1):
        return f"{said}: did you mean {near[0]}?"
    return f"{said} (`sycojax {command.name} --help` lists its flags)"


def _run_in_workdir(command: Command, values: dict[str, Any]) -> None:
    """Run a command that works in --workdir: a directory, or one on this machine that is kept in a bucket."""
    workdir = values.pop("workdir")
    if values.get("emit"):  # the workdir is only written down, as it was typed
        command.run(workdir=workdir, **values)
        return
    bucket = workdir if "://" in workdir else ""
    if "coordinator" in values:
        coordinator, processes = values.pop("coordinator"), values.pop("processes")
        if bucket:
            _refuse_several(coordinator, processes, bucket)
        values["start"] = functools.partial(
            _start, coordinator, processes, values.pop("process"), bucket
        )
    if not bucket:
        command.run(workdir=Path(workdir), **values)
        return
    from sycojax.cli.bucket import kept, local_directory

    if "settings" in values:
        values["settings"].study_config()  # what is wrong there is said before anything is brought
    with kept(bucket, progress=not values.get("quiet")):
        command.run(workdir=local_directory(bucket), **values)


def _start(coordinator: str, processes: int | None, process: int | None, bucket: str) -> None:
    """Before anything is compiled: the cache of programs, the other processes of this run, and its devices."""
    import jax

    from sycojax.cli.compilation_cache import store_compiled
    from sycojax.parallel import distributed
    from sycojax.parallel.mesh import present_devices

    store_compiled()
    distributed.initialize(coordinator, processes, process)
    present_devices()
    if bucket and jax.process_count() > 1:  # on a slice of several hosts, known only now
        raise SycojaxError(SEVERAL.format(bucket))


def _refuse_several(coordinator: str, processes: int | None, bucket: str) -> None:
    """Raise ``SycojaxError`` where this is one of several processes, which need one file system."""
    from sycojax.parallel import distributed

    launched = processes != 1 and distributed.detected(os.environ)
    if coordinator or launched:
        raise SycojaxError(SEVERAL.format(bucket))


def _overview() -> str:
    return f"""\
sycojax {__version__}: does fine-tuning a chat model for benchmarks make it more sycophantic?

usage: sycojax COMMAND --config=FILE [--config.KEY=VALUE ...] --workdir=DIR

{_lines(COMMANDS)}

sycojax COMMAND --help lists what a command takes; sycojax --version
exit status: 0 done; 2 a problem with input or settings, said in one line; 130 interrupted, run again to continue"""


def _lines(names: Iterable[str]) -> str:
    return "\n".join(f"  {name:<14}{COMMANDS[name].summary}" for name in names)


def _group(first: str) -> list[str]:
    """The commands of two words that begin with this one."""
    return [name for name in COMMANDS if name.startswith(f"{first} ")]
