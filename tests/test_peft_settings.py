"""Which projections an adapter_config.json adapts, with which rank and factor; the parity tests ask PEFT itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import tiny_models as tiny

from sycojax.errors import SycojaxError
from sycojax.files import write_json
from sycojax.models.lora import TARGETS, LoRAConfig
from sycojax.weights.peft import factors, load_adapter
from sycojax.weights.peft_settings import Part, read_settings

CONFIG = dataclasses.replace(tiny.GQA, num_hidden_layers=3)
Q, DOWN = "model.layers.{}.self_attn.q_proj", "model.layers.{}.mlp.down_proj"


def settings(directory: Path, **changes: Any) -> Path:
    whole = {"peft_type": "LORA", "r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]}  # fmt: skip
    write_json(directory / "adapter_config.json", {**whole, **changes})
    return directory


def weights(directory: Path, ranks: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Random tensors of q_proj and down_proj modules with these ranks, in the directory and returned."""
    random = np.random.default_rng(0)
    fan = {"q_proj": (64, 64), "down_proj": (64, 176)}
    tensors = {}
    for module, rank in ranks.items():
        rows, columns = fan[module.rpartition(".")[2]]
        for letter, shape in (("A", (rank, columns)), ("B", (rows, rank))):
            name = f"base_model.model.{module}.lora_{letter}.weight"
            tensors[name] = random.normal(size=shape).astype(np.float32)
    safetensors.numpy.save_file(tensors, directory / "adapter_model.safetensors")
    return tensors


@pytest.mark.parametrize(
    ("changes", "modules"),
    [
        ({"target_modules": ["q_proj"]}, [Q.format(i) for i in range(3)]),
        ({"target_modules": ["self_attn.q_proj"]}, [Q.format(i) for i in range(3)]),
        ({"target_modules": ["1.self_attn.q_proj", Q.format(2)]}, [Q.format(1), Q.format(2)]),
        # An end of a name is none of a path.
        ({"target_modules": ["proj", "q_proj"]}, [Q.format(i) for i in range(3)]),
        ({"target_modules": r".*\.[02]\.mlp\.down_proj"}, [DOWN.format(0), DOWN.format(2)]),
        ({"exclude_modules": ["down_proj"]}, [Q.format(i) for i in range(3)]),
        ({"exclude_modules": r".*\.[01]\..*"}, [Q.format(2), DOWN.format(2)]),
        ({"layers_to_transform": 0}, [Q.format(0), DOWN.format(0)]),
        ({"layers_to_transform": [2], "layers_pattern": "layers"}, [Q.format(2), DOWN.format(2)]),
        # PEFT reads an empty list as none, and does not look at the layer of a module that is named in full.
        ({"layers_to_transform": [], "target_modules": ["q_proj"]}, [Q.format(i) for i in range(3)]),
        ({"layers_to_transform": [1], "target_modules": [Q.format(0), "down_proj"]}, [Q.format(0), DOWN.format(1)]),
    ],
)  # fmt: skip
def test_targets(tmp_path: Path, changes: dict[str, Any], modules: list[str]) -> None:
    lora, parts, _ = read_settings(settings(tmp_path, **changes), 3)
    assert set(parts) == set(modules)
    assert set(parts.values()) == {Part(4, 1.5)}
    assert set(lora.targets) == {module.rpartition(".")[2] for module in modules}
    assert (lora.rank, lora.alpha) == (4, 6.0)


def test_all_linear_is_all_projections_and_no_head(tmp_path: Path) -> None:
    lora, parts, _ = read_settings(settings(tmp_path, target_modules="all-linear"), 3)
    assert lora.targets == TARGETS
    assert len(parts) == 21


@pytest.mark.parametrize("stabilised", [False, True])
def test_patterns_of_rank_and_alpha(tmp_path: Path, stabilised: bool) -> None:
    """The first key that matches an end of the path; each module has its own factor."""
    place = settings(
        tmp_path, use_rslora=stabilised,
        rank_pattern={r"^model\.layers\.1\.self_attn\.q_proj": 9, "layers.1.self_attn.q_proj": 2, "proj": 5},
        alpha_pattern={"q_proj": 3, "self_attn.q_proj": 100, r"layers\.[12]\.mlp\..*": 12},
    )  # fmt: skip
    lora, parts, _ = read_settings(place, 3)

    def part(rank: int, alpha: float) -> Part:
        return Part(rank, alpha / (math.sqrt(rank) if stabilised else rank))

    assert parts == {
        Q.format(0): part(4, 3), Q.format(1): part(9, 3), Q.format(2): part(4, 3),
        DOWN.format(0): part(4, 6), DOWN.format(1): part(4, 12), DOWN.format(2): part(4, 12),
    }  # fmt: skip
    assert lora == LoRAConfig(9, 9.0, 0.0, ("q_proj", "down_proj"))


def test_parts_lie_in_the_widest_shape_with_their_factors(tmp_path: Path) -> None:
    """What is missing in rank and layers adds nothing: the products are those of the file, times its factors."""
    place = settings(
        tmp_path, rank_pattern={"q_proj": 7}, alpha_pattern={"down_proj": 10}, exclude_modules=[DOWN.format(1)],
    )  # fmt: skip
    modules = {**{Q.format(i): 7 for i in range(3)}, DOWN.format(0): 4, DOWN.format(2): 4}
    stored = weights(place, modules)
    lora, tree = load_adapter(place, CONFIG)
    products = factors(tree)
    assert set(products) == {f"{name.format(i)}.weight" for name in (Q, DOWN) for i in range(3)}
    for module, rank in modules.items():
        a, b = (stored[f"base_model.model.{module}.lora_{letter}.weight"] for letter in "AB")
        expected = (6 / 7 if rank == 7 else 10 / 4) * (b.astype(np.float64) @ a)
        found_a, found_b = products[f"{module}.weight"]
        np.testing.assert_allclose(
            lora.scaling * (found_b.astype(np.float64) @ found_a), expected, rtol=1e-6, atol=1e-6
        )
    assert not any(part.any() for part in products[f"{DOWN.format(1)}.weight"])


def test_a_factor_that_all_share_leaves_the_matrices_as_they_are(tmp_path: Path) -> None:
    stored = weights(
        settings(tmp_path, layers_to_transform=[1]), {Q.format(1): 4, DOWN.format(1): 4}
    )
    lora, tree = load_adapter(tmp_path, CONFIG)
    assert (lora.rank, lora.alpha) == (4, 6.0)
    b = tree["layers"]["self_attn"]["q_proj"]["lora_b"]
    np.testing.assert_array_equal(b[1], stored[f"base_model.model.{Q.format(1)}.lora_B.weight"].T)
    assert not b[[0, 2]].any()


def test_only_eva_leaves_projections_out_and_never_a_layer(tmp_path: Path) -> None:
    """PEFT writes no tensors where EVA gives no rank; elsewhere they are missing, as are those of another depth."""
    modules = {Q.format(i): 4 for i in range(3)} | {DOWN.format(1): 4}
    weights(settings(tmp_path), modules)
    with pytest.raises(SycojaxError, match=r"missing tensors .*0\.mlp\.down_proj"):
        load_adapter(tmp_path, CONFIG)
    settings(tmp_path, init_lora_weights="eva", eva_config={"rho": 2.0})
    down = load_adapter(tmp_path, CONFIG)[1]["layers"]["mlp"]["down_proj"]["lora_b"]
    assert down[1].any()
    assert not down[[0, 2]].any()
    with pytest.raises(SycojaxError, match=r"missing tensors .*layers\.3"):
        load_adapter(tmp_path, dataclasses.replace(CONFIG, num_hidden_layers=4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_modules": []}, r"target_modules=\[\] is not supported"),
        ({"target_modules": None}, "target_modules=None is not supported"),
        ({"target_modules": ["c_attn"]}, r"\['c_attn'\] names no projection of a Llama of 3 layers"),
        ({"target_modules": ".*"}, "adapts lm_head, model.embed_tokens, which is not supported"),
        ({"target_modules": "(q_proj"}, r"the pattern '\(q_proj' is malformed"),
        ({"layers_to_transform": [7]}, "names no projection"),
        ({"layers_to_transform": "1"}, "layers_to_transform='1' is neither a layer nor a list"),
        ({"layers_to_transform": [1], "layers_pattern": "h"}, "layers_pattern='h' is not supported"),
        ({"exclude_modules": 3}, "exclude_modules=3 is neither"),
        ({"rank_pattern": ["q_proj"]}, r"rank_pattern=\['q_proj'\] is not a JSON object"),
        ({"rank_pattern": {"q_proj": 2.5}}, "rank_pattern: q_proj=2.5 is not a number"),
        ({"rank_pattern": {"q_proj": 0}}, "a rank must be at least 1"),
        ({"alpha_pattern": {"q_proj": "x"}}, "alpha_pattern: q_proj='x' is not a number"),
        ({"alpha_pattern": {"[": 2}}, "the pattern .* is malformed"),
        ({"lora_alpha": math.inf}, "lora_alpha=inf is not a number"),
        ({"lora_alpha": 10**400}, "lora_alpha=1000.* is not a number"),
        ({"fine_tune_type": "lora"}, "an adapter of mlx-lm; wanted is one in PEFT's format"),
        ({"init_lora_weights": "pissa"}, "path_initial_model_for_weight_conversion"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SycojaxError, match=message) as error:
        read_settings(settings(tmp_path, **changes), 3)
    assert str(error.value).startswith(str(tmp_path / "adapter_config.json"))


def test_a_rank_that_its_file_contradicts(tmp_path: Path) -> None:
    weights(settings(tmp_path, target_modules=["q_proj"], rank_pattern={"1.self_attn.q_proj": 2}), {Q.format(i): 4 for i in range(3)})  # fmt: skip
    with pytest.raises(SycojaxError, match="its two files do not belong together"):
        load_adapter(tmp_path, CONFIG)


def test_a_named_adapter_lies_below(tmp_path: Path) -> None:
    """PEFT saves every adapter but the default one in a directory of its name."""
    (tmp_path / "mine").mkdir()
    settings(tmp_path / "mine")
    with pytest.raises(SycojaxError, match=r"a directory below it \(mine\): name that one"):
        read_settings(tmp_path, 3)
