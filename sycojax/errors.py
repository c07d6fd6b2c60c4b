"""Exceptions that are meant for the person at the keyboard, and how a program ends with one."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any


def visible(text: str, keep: str = "") -> str:
    """``text`` for a terminal: what is not to be printed (control characters but ``keep``, halves of characters) is written out."""
    return "".join(
        c if c in keep or c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


class SycojaxError(Exception):
    """A problem the user can mend: bad input, a bad setting, a missing file.

    The command line prints the message alone (no traceback) and exits with status 2, so the message
    must name what is wrong, where, and what to do. It is one line, whatever a foreign file has put into it.
    """

    def __init__(self, message: str):
        super().__init__(visible(message))


class Stopped(SycojaxError):
    """A signal, ``by``, asked to stop, and the state is saved: the same command continues."""

    def __init__(self, message: str, by: str = "SIGTERM"):
        super().__init__(message)
        self.by = by


class Diverged(SycojaxError):
    """The loss of one adapter, ``adapter``, is no longer finite; ``others``, that trained with it, are sound."""

    def __init__(self, adapter: str, message: str):
        super().__init__(message)
        self.adapter = adapter
        self.others: Sequence[Any] = ()


def exit_status(program: str, run: Callable[[], object], interrupted: str = "interrupted") -> int:
    """Call ``run`` and return the exit status of ``program``: 0, or for what ends it early 2, 130 or 141.

    A ``SycojaxError`` and Ctrl-C (``interrupted`` is then said) are one line on stderr; a reader that goes away, as
    ``| head`` does, is none. Anything else is an error of the program's own, and raised.
    """
    try:
        run()
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return 128 + signal.SIGPIPE  # as a shell says it
    except SycojaxError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 130 if isinstance(error, Stopped) and error.by == "SIGINT" else 2
    except KeyboardInterrupt:
        print(f"{program}: {interrupted}", file=sys.stderr)
        return 130
    return 0


def _nobody_reads() -> bool:
    """Whether the output goes to a pipe whose other end is closed; what is left of it is then dropped."""
    output = select.poll()
    output.register(sys.stdout, select.POLLOUT)
    if not any(event & select.POLLERR for _, event in output.poll(0)):
        return False
    # Python flushes once more when it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
