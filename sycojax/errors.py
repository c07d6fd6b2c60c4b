"""Exceptions that are meant for the person at the keyboard."""


class SycojaxError(Exception):
    """A problem the user can mend: bad input, a bad setting, a missing file.

    The command line prints the message alone (no traceback) and exits with status 2, so the message
    must name what is wrong, where, and what to do.
    """


class Stopped(SycojaxError):
    """A signal asked to stop, and the state is saved: the same command continues."""


class Diverged(SycojaxError):
    """The loss of one adapter, ``adapter``, is no longer finite; those that train with it are sound."""

    def __init__(self, adapter: str, message: str):
        super().__init__(message)
        self.adapter = adapter
