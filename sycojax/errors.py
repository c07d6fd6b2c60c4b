"""The one exception that is meant for the person at the keyboard."""


class SycojaxError(Exception):
    """A problem the user can mend: bad input, a bad setting, a missing file.

    The command line prints the message alone (no traceback) and exits with status 2, so the message
    must name what is wrong, where, and what to do.
    """
