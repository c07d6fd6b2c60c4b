"""``sycojax-lm-eval``: lm-evaluation-harness's own command line, with ``--model sycojax`` among its models."""

from __future__ import annotations

import importlib.util
import sys

from sycojax.errors import SycojaxError

MISSING = "lm-evaluation-harness is not installed: pip install 'sycojax[harness]'"


def main() -> int:
    """Register the model and hand over; returns the exit status."""
    if importlib.util.find_spec("lm_eval") is None:
        print(f"sycojax-lm-eval: {MISSING}", file=sys.stderr)
        return 2
    try:
        from lm_eval.__main__ import cli_evaluate  # pyright: ignore[reportMissingImports]

        import sycojax.harness.model  # noqa: F401  (registers the name)

        cli_evaluate()
    except SycojaxError as error:
        print(f"sycojax-lm-eval: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sycojax-lm-eval: interrupted", file=sys.stderr)
        return 130
    return 0
