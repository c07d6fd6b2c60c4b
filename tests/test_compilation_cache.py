"""Compiled programs are kept where the user's caches are, per kind of processor, unless JAX was told otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from sycojax.cli import compilation_cache
from sycojax.cli.compilation_cache import store_compiled


@pytest.fixture(autouse=True)
def unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_enable_compilation_cache
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_enable_compilation_cache", True)
    yield
    jax.config.update("jax_compilation_cache_dir", before[0])
    jax.config.update("jax_enable_compilation_cache", before[1])


def test_the_directory_is_the_users_and_this_processors(tmp_path: Path):
    directory = store_compiled()
    assert directory == tmp_path / "sycojax" / "jax" / compilation_cache.host()
    assert directory.is_dir()
    assert jax.config.jax_compilation_cache_dir == str(directory)


def test_another_processor_has_another_directory(monkeypatch: pytest.MonkeyPatch):
    here = compilation_cache.host()
    monkeypatch.setattr(compilation_cache.platform, "processor", lambda: "another")
    assert compilation_cache.host() != here


def test_what_jax_was_told_stands(tmp_path: Path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    assert store_compiled() is None
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine")


def test_off_is_off(tmp_path: Path):
    jax.config.update("jax_enable_compilation_cache", False)
    assert store_compiled() is None
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_is_no_error(tmp_path: Path):
    (tmp_path / "sycojax").write_text("a file")
    assert store_compiled() is None
    assert jax.config.jax_compilation_cache_dir is None


PROGRAM = """
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print(float(jax.jit(lambda x: jnp.cumsum(jnp.sin(x)))(jnp.arange(8.0))[-1]).hex())
"""


@pytest.mark.slow
def test_a_damaged_program_is_compiled_again(tmp_path: Path):
    """As docs/faults.md tells: a flipped bit, a cut or an emptied entry is a warning and the same number, never another one."""

    def run() -> tuple[str, str]:
        environment = {
            **os.environ, "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "c"),
            "JAX_ENABLE_COMPILATION_CACHE": "true",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )  # fmt: skip
        return done.stdout, done.stderr

    right = run()[0]
    whole = {path: path.read_bytes() for path in (tmp_path / "c").glob("*-cache")}
    assert whole
    flipped = {p: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 1]) + b[len(b) // 2 + 1 :] for p, b in whole.items()}  # fmt: skip
    for damage in (flipped, {p: b[: len(b) // 2] for p, b in whole.items()}, dict.fromkeys(whole, b"")):  # fmt: skip
        for path, content in damage.items():
            path.write_bytes(content)
        found, said = run()
        assert found == right
        assert "Error reading persistent compilation cache entry for 'jit_" in said
