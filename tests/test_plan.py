"""``sycojax plan``: names of topologies, figures of chips, work by hand count, what is chosen, and a whole plan."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import runpy
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sycojax.cli import main
from sycojax.config import MeshConfig, StudyConfig
from sycojax.errors import SycojaxError
from sycojax.models.base import FrozenBase, abstract, abstract_base, merge
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import LoRAConfig
from sycojax.planning import report, shapes
from sycojax.planning.hardware import CHIPS, CORES, GIB, compiler_target
from sycojax.planning.plan import Plan
from sycojax.planning.roofline import Work, decode_work, matmul_weights, score_work, train_work
from sycojax.planning.shapes import HUB, SHAPES, architecture
from sycojax.planning.topology import devices, parse
from sycojax.scoring.memory import decoding_width
from sycojax.weights.frozen import compute_of
from sycojax.weights.layout import laid_out, stored_bytes

CONFIGS = Path(__file__).parent.parent / "configs"
TOY = f"--config={CONFIGS / 'toy.py'}"
# Hand-countable: 2 layers of 4 x 4 attention, 4 x 8 MLP, 16 ids.
SMALL = LlamaConfig(16, 4, 8, 2, 2, 1, 2, 32, 1e-5, 1e4, None, False, 1, (2,))


def study(name: str, **train: int) -> StudyConfig:
    config = StudyConfig.from_config_dict(
        runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"]()
    )
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **train))


@pytest.mark.parametrize(
    ("name", "chip", "shape", "count"),
    [
        ("v5e:2x4", "TPU v5e", (2, 4), 8),
        ("v5p:2x2x1", "TPU v5p", (2, 2, 1), 4),
        ("v6e:16x16", "TPU v6e", (16, 16), 256),
        ("gpu:H200", "NVIDIA H200 SXM", (1,), 1),
        ("gpu:A100x8", "NVIDIA A100 80GB SXM", (8,), 8),
    ],
)
def test_names_of_topologies(name: str, chip: str, shape: tuple[int, ...], count: int) -> None:
    topology = parse(name)
    assert topology.chip is not None
    assert (topology.chip.name, topology.shape, topology.count) == (chip, shape, count)


@pytest.mark.parametrize(
    "name",
    ["v5e", "v5e:8", "v5p:2x2", "v5e:0x4", "v9:2x2", "gpu:H300", "gpu:H100x0", "cpu:0", "tpu"],
)
def test_unknown_topologies(name: str, refused: Callable[..., str]) -> None:
    message = refused("plan", TOY, f"--topology={name}")
    assert f"--topology={name} is not known; known are v5e:RxC" in message
    assert "gpu:H200" in message


@pytest.mark.parametrize(
    ("topology", "extra", "module"),
    [("v5e:2x4", "tpu", "libtpu"), ("gpu:H100", "cuda", "jax_cuda12_plugin")],
)
def test_missing_compiler(
    topology: str, extra: str, module: str, refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    find = importlib.util.find_spec
    absent = {module, module.replace("12", "13")}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name in absent else find(name, *a)
    )
    message = refused("plan", TOY, f"--topology={topology}")
    assert f"the {extra!r} extra: pip install -e '.[{extra}]'" in message


def test_what_else_can_be_wrong(refused: Callable[..., str]) -> None:
    assert "--shape=llama9 is not known (known: llama2_7b" in refused(
        "plan", TOY, "--topology=cpu:8", "--shape=llama9"
    )
    assert "does not use the 8 devices" in refused(
        "plan", TOY, "--topology=cpu:8", "--config.mesh.fsdp=3"
    )
    assert "must be a multiple of mesh data x fsdp = 8" in refused(
        "plan", TOY, "--topology=cpu:8", "--config.train.micro_batch_rows=2"
    )
    assert "set XLA_FLAGS" in refused("plan", TOY, "--topology=cpu:9")
    assert "plan with --shape=NAME (llama2_7b" in refused(
        "plan", TOY, "--topology=cpu:8", "--config.base.path=some/model"
    )


def test_a_mesh_that_does_not_divide_a_weight() -> None:
    config = study("toy")
    with pytest.raises(SycojaxError, match=r"fsdp 8 x tensor 1 does not divide embed_tokens"):
        planned(config, SMALL, 1, 8, 1)


def test_figures_of_chips() -> None:
    """Within what exists: a wrong unit would be far outside."""
    for chip in CHIPS.values():
        assert 16 * GIB <= chip.memory <= 192 * GIB
        assert 0.9 < chip.usable <= 1
        assert 1e14 < chip.flops < 3e15
        # FLOPs per byte of HBM, and of interconnect.
        assert 100 < chip.flops / chip.bandwidth < 700
        assert 700 < chip.flops / chip.interconnect < 3000
    assert CORES.keys() == {name for name, chip in CHIPS.items() if chip.platform == "gpu"}
    assert "core_count: 132 " in compiler_target("H200")


def test_shapes_known_by_name() -> None:
    sizes = {name: shape.base_parameter_count for name, shape in SHAPES.items()}
    assert sizes == {
        "llama2_7b": 6_738_415_616, "llama2_13b": 13_015_864_320, "llama2_70b": 68_976_648_192,
        "llama3.1_8b": 8_030_261_248, "qwen2.5_7b": 7_615_616_512, "qwen3_8b": 8_190_735_360,
        "mistral_7b": 7_248_023_552, "smollm2_135m": 134_515_008,
    }  # fmt: skip
    path = study("llama2_7b").base.path
    assert path in HUB
    assert architecture(path) == (SHAPES["llama2_7b"], path)
    assert architecture(path, "llama2_70b")[0] == SHAPES["llama2_70b"]
    assert architecture(path, "Llama-3.1-8B") == (SHAPES["llama3.1_8b"], "llama3.1_8b")
    assert {architecture(known)[0].model_type for known in HUB} == {
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
    }


def test_any_config_json_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself under any name, in a directory without weights, and of a hub id whose config.json is in the cache."""
    qwen = SHAPES["qwen3_8b"]
    (tmp_path / "config.json").write_text(json.dumps(qwen.to_hf()))
    (tmp_path / "other.json").write_text(json.dumps({**qwen.to_hf(), "num_hidden_layers": 2}))
    assert architecture(str(tmp_path))[0] == qwen
    assert architecture(str(tmp_path / "config.json")) == (qwen, str(tmp_path / "config.json"))
    assert architecture(str(tmp_path / "other.json"))[0].num_hidden_layers == 2
    monkeypatch.setattr(
        shapes.huggingface_hub, "try_to_load_from_cache", lambda *_: str(tmp_path / "config.json")
    )
    assert architecture("some/model") == (qwen, "some/model")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(SycojaxError, match=r"other\.json is not a JSON object"):
        architecture(str(tmp_path / "other.json"))
    with pytest.raises(SycojaxError, match=r"absent\.json does not exist"):
        architecture(str(tmp_path / "absent.json"))


@pytest.mark.parametrize("name", ["qwen2.5_7b", "qwen3_8b", "mistral_7b", "llama3.1_8b"])
def test_what_other_families_take(name: str) -> None:
    """Of an 8B in bfloat16 the weights alone; biases and norms are in no product."""
    config = study("llama2_7b")
    base = planned(config, SHAPES[name], 1, 8, 1)
    size = sum(leaf.size for leaf in jax.tree.leaves(base.params))
    assert size == SHAPES[name].base_parameter_count
    vectors = sum(leaf.size for leaf in jax.tree.leaves(base.params["layers"]) if leaf.ndim < 3)
    table = base.params["embed_tokens"]["embedding"].size
    assert matmul_weights(SHAPES[name]) == size - vectors - SHAPES[name].hidden_size - table
    assert decoding_width(base, 4, 16, 768, CHIPS["H200"].limit) == 4


@pytest.mark.parametrize(
    ("rows", "count", "width"),
    [
        # A 7B: 26.4 GB of weights and their copy, 0.16 per adapter, 0.4 of caches per row of 768 places, half as much
        # again for the keys. Of an H200's 143.8 GB, 129.4 are shared out.
        (64, 16, 2), (16, 16, 8), (16, 6, 6), (1, 16, 16), (512, 16, 1),
    ],
)  # fmt: skip
def test_as_many_configurations_are_decoded_as_fit(rows: int, count: int, width: int) -> None:
    """Nine of 16 would fit with 16 rows each: two passes of 8."""
    base = planned(study("llama2_7b"), SHAPES["llama2_7b"], 1, 1, 1)
    assert decoding_width(base, count, rows, 768, CHIPS["H200"].limit) == width


def test_what_a_mesh_shares_of_it() -> None:
    """Eight devices hold an eighth of the weights and caches each; adapters over ``data`` come in fours."""
    config = study("llama2_7b")
    base = planned(config, SHAPES["llama2_7b"], 1, 8, 1)
    assert (
        decoding_width(base, 16, 64, 768, 16 * 10**9) == 1
    )  # 3.3 + 0.3 GB of weights and adapters, 4.9 of caches
    assert decoding_width(base, 16, 64, 768, 32 * 10**9) == 4
    laid = planned(config, SHAPES["llama2_7b"], 4, 2, 1, bank_over_data=True)
    assert decoding_width(laid, 16, 64, 768, 64 * 10**9) == 8


def planned(
    config: StudyConfig, architecture: LlamaConfig, *mesh: int, bank_over_data: bool = False
) -> FrozenBase:
    """The base of ``config`` on a mesh of these sizes."""
    config = dataclasses.replace(config, mesh=MeshConfig(*mesh, bank_over_data=bank_over_data))
    compute = compute_of(config, architecture, jax.devices()[: math.prod(mesh)])
    return abstract_base(architecture, config.lora, compute)


def small(**keys: int | str) -> tuple[StudyConfig, FrozenBase]:
    """SMALL in bfloat16 on data 2 x fsdp 2 x tensor 2, adapters of rank 1 on q_proj."""
    config = study("toy", row_length=16, examples_per_step=8, micro_batch_rows=4)
    config = dataclasses.replace(
        config,
        base=dataclasses.replace(config.base, dtype="bfloat16", **{"remat": "none", **keys}),
        lora=dataclasses.replace(config.lora, rank=1, targets=("q_proj",)),
    )
    return config, planned(config, SMALL, 2, 2, 2)


# Per layer: q 4x4, k and v 4x2 each, o 4x4, three of 4x8; the head 4x16. No table, no norms.
N = 2 * (16 + 2 * 8 + 16 + 3 * 32) + 64
# Per layer: A 4x1 and B 1x4 of q_proj.
ADAPTER = 2 * (4 + 4)


def test_work_by_hand() -> None:
    config, base = small()
    assert matmul_weights(SMALL) == N == 352
    work = train_work(config, base, width=3)
    tokens = 3 * 8 * 16
    # Two layers x (scores and values) x two heads of two dimensions x half of 16 places, a multiply-add being two.
    attention = 2 * 2 * 4 * 2 * 8
    assert work.tokens == tokens
    assert work.flops == tokens * (4 * N + 6 * ADAPTER + 3 * attention)
    assert work.recomputed == 0
    # Two micro-batches, forward and backward, half of the weights (tensor 2) in two bytes each, and the norms.
    norms = 5 * 4
    assert work.hbm_bytes == 2 * 2 * 2 * (N + norms) / 2
    score = score_work(base, 4, 16, 1)
    assert score.flops == 64 * (2 * N + 2 * ADAPTER + attention)
    assert score.hbm_bytes == N + norms


def test_work_of_recomputing() -> None:
    config, base = small(remat="full")
    work, attention = train_work(config, base, 1), 256
    assert work.recomputed == 8 * 16 * (2 * (N - 64) + 2 * ADAPTER + attention)
    assert work.hbm_bytes == 2 * 3 * (N + 20)
    config, base = small(remat="dots")
    assert train_work(config, base, 1).recomputed == 8 * 16 * attention


def test_work_of_decoding() -> None:
    """Four prompts of 8 and 5 new tokens, of which 4 are fed. The cache holds a key and a value of two per layer."""
    _, base = small()
    work = decode_work(base, 4, 8, 5, 1)
    assert work.tokens == 4 * 4
    assert work.flops == 4 * 4 * (2 * N + 2 * ADAPTER + 32 * (8 + 2.5))
    cache = 4 * 2 * 2 * 2 * 2 * (8 + 2.5) / 4
    # The head and its norm whole, the layers in two parts (fsdp 2).
    assert work.hbm_bytes == 4 * (64 + 4 + (N - 64 + 16) / 2) + 4 * cache


def test_the_roofline_is_the_slowest_resource() -> None:
    chip = CHIPS["v5e"]
    line = Work(1, 8 * chip.flops, 8 * chip.flops, 0.5 * chip.bandwidth).roofline(
        chip, 8, 3 * chip.interconnect
    )
    assert (line.compute, line.memory, line.interconnect) == (2, 0.5, 3)
    assert (line.seconds, line.bound) == (3, "interconnect")


@pytest.mark.parametrize(
    ("name", "memory", "mesh"),
    [
        # 13.5 GB, of which the layers are there twice: in half of 80 GB, in half of 16 GB with four, of 8 GB with eight.
        ("llama2_7b", CHIPS["H100"].limit, (8, 1)),
        ("llama2_7b", CHIPS["v5e"].limit, (2, 4)),
        ("llama2_7b", 8 * GIB, (1, 8)),
        # As far as it can be spread, and of a CPU, where all devices share one memory, not at all.
        ("llama2_70b", CHIPS["v5e"].limit, (1, 8)),
        ("llama2_7b", None, (8, 1)),
    ],
)
def test_weights_are_spread_over_as_many_devices_as_hold_them(
    name: str, memory: int | None, mesh: tuple[int, int]
) -> None:
    compute = compute_of(study("llama2_7b"), SHAPES[name], jax.devices(), memory)
    assert compute.mesh is not None
    assert (compute.mesh.shape["data"], compute.mesh.shape["fsdp"]) == mesh


@pytest.mark.parametrize(
    ("memory", "keys", "remat"),
    [
        (CHIPS["H100"].limit, {}, "dots"),
        (CHIPS["v5e"].limit, {}, "dots"),  # spread over four: 3.4 GB of weights
        # A row of 512 stores 1.7 GB: beside 3.4 GB of weights it is more than four fifths of 6 GB.
        (6 * 10**9, {"mesh.fsdp": 4}, "full"),
        (6 * 10**9, {"mesh.fsdp": 4, "base.remat": "none"}, "none"),
        (CHIPS["v5e"].limit, {"train.micro_batch_rows": 64}, "full"),
        (CHIPS["v5e"].limit, {"train.bank_width": 8}, "full"),
        (None, {"train.bank_width": 8}, "dots"),
    ],
)
def test_what_a_backward_pass_stores_is_chosen_by_memory(
    memory: int | None, keys: dict[str, Any], remat: str
) -> None:
    config = study("llama2_7b").changed(keys)
    compute = compute_of(config, SHAPES["llama2_7b"], jax.devices(), memory)
    assert compute.remat == remat


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_what_is_stored_is_what_the_backward_pass_keeps(dropout: float) -> None:
    """Against the arrays that a backward pass is handed: what 16 more tokens add to them."""
    lora = LoRAConfig(rank=3, dropout=dropout)
    compute = Compute("bfloat16", remat="dots")
    split = abstract(SMALL, lora, compute)

    def handed(rows: int) -> int:
        ids = jnp.ones((rows, 16), jnp.int32)

        def pull(lora: Any, params: Any) -> Any:
            def hidden(own: Any) -> Any:
                keys = jax.random.split(jax.random.key(0), rows)
                return merge(split.graph, own, params).hidden(ids, ids, ids, dropout_keys=keys)

            return jax.vjp(hidden, lora)[1]

        leaves = jax.tree.leaves(jax.eval_shape(pull, split.lora, split.base))
        return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)

    stored = stored_bytes(SMALL, lora, compute)
    assert (handed(5) - handed(4)) / 16 == pytest.approx(stored, rel=0.1)
    assert (stored > stored_bytes(SMALL, LoRAConfig(rank=3, dropout=0.0), compute)) == (dropout > 0)


@pytest.mark.parametrize(
    ("config", "platform", "ways", "rows"),
    [
        ("toy", "cpu", 1, 2), ("smollm2", "cpu", 1, 1), ("llama2_7b", "gpu", 1, 2),
        # A row for each device, though packed examples may fill fewer.
        ("toy", "tpu", 8, 8), ("llama2_7b", "tpu", 8, 8), ("llama2_7b", "gpu", 32, 32),
    ],
)  # fmt: skip
def test_rows_of_a_pass_are_chosen_for_the_devices(
    config: str, platform: str, ways: int, rows: int
) -> None:
    device = types.SimpleNamespace(platform=platform)
    mesh: Any = types.SimpleNamespace(
        devices=np.array([device]), shape={"data": ways, "fsdp": 1, "tensor": 1}
    )
    train = study(config).train
    chosen = laid_out(dataclasses.replace(train, logits_chunk=0), Compute(mesh=mesh))
    assert chosen.micro_batch_rows == rows
    assert chosen.logits_chunk == (64 if platform == "cpu" else 256)
    asked = dataclasses.replace(train, micro_batch_rows=3 * ways, logits_chunk=100)
    assert laid_out(asked, Compute(mesh=mesh)) == asked


def test_a_whole_plan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The embedded base on eight CPU devices: the plan and what is printed of it."""
    plans: list[Plan] = []
    table = report.table
    monkeypatch.setattr(report, "table", lambda plan: (plans.append(plan), table(plan))[1])
    mesh = ("--config.mesh.fsdp=4", "--config.mesh.data=1", "--config.mesh.tensor=2")
    assert main(("plan", TOY, "--topology=cpu:8", *mesh)) == 0
    captured = capsys.readouterr()
    assert "mesh data 1 x fsdp 4 x tensor 2" in captured.out
    assert captured.err.count("compiled ") == 3
    (found,) = plans
    assert [p.name for p in found.programs] == ["train", "score", "decode"]
    train = found.programs[0]
    assert train.call == "one step: 4 x 4 rows of 128"
    assert train.tokens_per_chip(8) == 16 * 128 / 8
    assert train.compiled.peak > 0
    # Weights are gathered layer by layer, once per micro-batch: the loops are known.
    assert (None, 5) in {c.loops for c in train.compiled.collectives}
    assert train.gathered_per_token > 0
    assert train.roofline is None


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is absent: pip install -e '.[tpu]'"
)
def test_the_embedded_base_compiles_for_a_tpu(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--config.mesh.data=2", "--config.mesh.fsdp=4")
    assert main(("plan", TOY, "--topology=v5e:2x4", *flags)) == 0
    out = capsys.readouterr().out
    assert "8 x TPU v5e of 15.75 GiB" in out
    assert "2 micro-batches x 5" in out


def test_a_topology_its_compiler_refuses() -> None:
    pytest.importorskip("libtpu", reason="libtpu is absent: pip install -e '.[tpu]'")
    with pytest.raises(SycojaxError, match="refused by its compiler"):
        devices(parse("v5e:3x5"))
