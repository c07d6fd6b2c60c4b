"""The command line. ``--help`` stays instant: nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    from sycojax.cli.dispatch import dispatch
    from sycojax.errors import exit_status

    words = list(sys.argv[1:] if argv is None else argv)
    return exit_status(
        "sycojax", lambda: dispatch(words), "interrupted; run the same command again to continue"
    )
