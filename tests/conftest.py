"""Shared by all tests: eight fake CPU devices, and where the real data are when they are at hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    )
# What tests compile stays out of the user's cache.
os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")
# Everything in the tests is local; a test that reaches for a hub must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real splits, probes and checkpoints; skips where they are absent."""
    directory = Path(os.environ.get("SYCOJAX_DATA", REPOSITORY.parent / "shared" / "data"))
    if not directory.is_dir():
        pytest.skip(f"real data not found at {directory}; set SYCOJAX_DATA to run this test")
    return directory


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail, and returns the one line that it prints, to standard error alone.

    The command is one of ``sycojax``; that of a launcher with its ``main``.
    """
    from sycojax import cli

    def run(*arguments: str, main: Callable[[Sequence[str]], int] = cli.main) -> str:
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("sycojax: " if main is cli.main else "launch: ")
        assert captured.err.count("\n") == 1
        return captured.err

    return run


@pytest.fixture(scope="session")
def real_models() -> Path:
    """A directory of real tokenizers and checkpoints, which the tests name; skips where there is none."""
    named = os.environ.get("SYCOJAX_REAL_MODELS", "")
    if not named or not Path(named).is_dir():
        pytest.skip("no real models at hand; set SYCOJAX_REAL_MODELS to run this test")
    return Path(named)


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """For tests that spend most of their time on compiling, and compare what is compiled alike."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
