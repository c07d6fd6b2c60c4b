"""Checkpoints: whole or absent, safe from donation, tied to their run."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from sycojax.errors import SycojaxError
from sycojax.weights.checkpoints import Checkpoints


def _abstract(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def _fill(directory: Path, steps: range) -> dict[str, jax.Array]:
    """Save ``tree = step`` at each step, overwriting its buffers and counts at once."""
    tree = {"a": jnp.zeros((64, 1024)), "n": jnp.zeros((), jnp.int32)}
    step_up = jax.jit(lambda t: jax.tree.map(lambda x: x + 1, t), donate_argnums=0)
    with Checkpoints(directory, "me") as checkpoints:
        assert checkpoints.restore(_abstract(tree)) is None
        for step in steps:
            position = {"tokens": [step * 10]}
            checkpoints.save(step, tree, position)
            position["tokens"][0] = -1  # the run counts on while the writer is at work
            for _ in range(100):
                tree = step_up(tree)
    return tree


def _refused(directory: Path, tree: dict[str, jax.Array], said: str, run: str = "me") -> str:
    """The message, which holds ``said``, with which ``run`` cannot go on from ``directory``."""
    with (
        Checkpoints(directory, run) as checkpoints,
        pytest.raises(SycojaxError, match=said) as caught,
    ):
        checkpoints.restore(_abstract(tree))
    return str(caught.value)


def test_what_was_saved_comes_back_although_the_run_moved_on(tmp_path):
    tree = _fill(tmp_path, range(4))
    with Checkpoints(tmp_path, "me") as checkpoints:
        restored = checkpoints.restore(_abstract(tree))
    assert restored is not None
    state, position = restored
    np.testing.assert_array_equal(state["a"], np.full((64, 1024), 300))
    assert (int(state["n"]), position["step"], position["tokens"]) == (300, 3, [30])


def test_the_two_newest_are_kept_and_a_half_written_one_is_not_seen(tmp_path):
    _fill(tmp_path, range(4))
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.isdigit()) == ["2", "3"]
    (tmp_path / "7.orbax-checkpoint-tmp").mkdir()
    with Checkpoints(tmp_path, "me") as checkpoints:
        assert checkpoints.latest_step() == 3


def test_another_runs_checkpoint_is_refused(tmp_path):
    tree = _fill(tmp_path, range(1))
    _refused(tmp_path, tree, "checkpoint of another run", "you")


def test_a_damaged_checkpoint_names_itself(tmp_path):
    tree = _fill(tmp_path, range(2))
    shutil.rmtree(tmp_path / "1" / "state" / "d")
    (tmp_path / "1" / "state" / "manifest.ocdbt").write_bytes(b"broken")
    _refused(tmp_path, tree, r"checkpoint .*/1 is damaged .*: delete that directory")


def test_a_flipped_bit_is_not_taken_for_a_weight(tmp_path):
    """The arrays as a store with other numbers in it has them, and the position as a disk may change it."""
    tree = _fill(tmp_path, range(2))
    shutil.rmtree(tmp_path / "1" / "state")
    shutil.copytree(tmp_path / "0" / "state", tmp_path / "1" / "state")
    _refused(tmp_path, tree, r"1 is damaged \(its bits are not those that were saved\)")
    shutil.rmtree(tmp_path / "1")
    (file,) = (tmp_path / "0" / "position").glob("metadata*")
    file.write_text(file.read_text().replace('"tokens": [0]', '"tokens": [1]'))
    _refused(tmp_path, tree, "0 is damaged")


def test_a_checkpoint_that_was_cut_short_names_itself(tmp_path):
    tree = _fill(tmp_path, range(1))
    data = max((tmp_path / "0" / "state").rglob("d/*"), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    assert "\n" not in _refused(tmp_path, tree, r"0 is damaged \([^\n]*\): delete")


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SycojaxError, match=r"cannot keep checkpoints in .*file/x"):
        Checkpoints(tmp_path / "file" / "x", "me")


# Orbax closes its event loop under a coroutine that failed; what reaches the user is our one message.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_takes_no_more_is_a_clear_error_and_keeps_the_old_one(tmp_path):
    tree = _fill(tmp_path, range(2))
    noise = {**tree, "a": jax.random.normal(jax.random.key(0), (64, 1024))}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    checkpoints = Checkpoints(tmp_path, "me")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))
        with pytest.raises(SycojaxError, match="cannot write a checkpoint to"):  # noqa: PT012
            checkpoints.save(2, noise, {})
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        checkpoints.__exit__(None, None, None)
    with Checkpoints(tmp_path, "me") as reopened:
        assert reopened.latest_step() == 1


def test_restores_onto_another_mesh(tmp_path):
    def placed(shape: tuple[int, int]) -> jax.Array:
        mesh = jax.make_mesh(
            shape,
            ("x", "y"),
            axis_types=(AxisType.Auto,) * 2,
            devices=jax.devices()[: np.prod(shape)],
        )
        values = jnp.arange(64.0).reshape(8, 8)
        return jax.device_put(values, NamedSharding(mesh, PartitionSpec("x", "y")))

    with Checkpoints(tmp_path, "me") as checkpoints:
        checkpoints.save(1, {"w": placed((4, 2))}, {})
    with Checkpoints(tmp_path, "me") as checkpoints:
        restored = checkpoints.restore(_abstract({"w": placed((1, 2))}))
    assert restored is not None
    np.testing.assert_array_equal(restored[0]["w"], np.arange(64.0).reshape(8, 8))
    assert len(restored[0]["w"].sharding.device_set) == 2


def test_counts_are_copied_before_the_writer_gets_them(tmp_path, monkeypatch):
    """The writer is another thread; when it serialises, the run has counted on."""
    handed = []
    with Checkpoints(tmp_path, "me") as checkpoints:
        monkeypatch.setattr(
            checkpoints._manager, "save", lambda step, args, force: handed.append(args)
        )
        position = {"tokens": [10]}
        checkpoints.save(0, {"a": jnp.zeros(2)}, position)
        position["tokens"][0] = -1
    assert handed[0]["position"].item["tokens"] == [10]
