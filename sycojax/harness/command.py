"""``sycojax-lm-eval``: lm-evaluation-harness's own command line, with ``--model sycojax`` among its models."""

from __future__ import annotations

import importlib.util

from sycojax.errors import SycojaxError, exit_status


def main() -> int:
    """Register the model and hand over; returns the exit status."""
    return exit_status("sycojax-lm-eval", _hand_over)


def _hand_over() -> None:
    if importlib.util.find_spec("lm_eval") is None:
        raise SycojaxError("lm-evaluation-harness is not installed: pip install 'sycojax[harness]'")
    from lm_eval.__main__ import cli_evaluate  # pyright: ignore[reportMissingImports]

    import sycojax.harness.model  # noqa: F401  (registers the name)

    cli_evaluate()
