"""GGUF files as bases: the same numbers as the checkpoint they were made from, and one line for what is none."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tiny_jax as ours
import tiny_models as tiny

pytest.importorskip("gguf", reason="the gguf extra is not installed")
import gguf_cases as cases
from gguf import GGMLQuantizationType as Kind
from gguf import dequantize

from sycojax.cli.doctor import examine
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.models.config import RopeScaling
from sycojax.parallel.mesh import make_mesh
from sycojax.planning.shapes import architecture
from sycojax.weights.fingerprint import base_fingerprint, tokenizer_fingerprint, weights_fingerprint
from sycojax.weights.gguf import config_of, open_tensors
from sycojax.weights.huggingface import load_config, resolve_base
from sycojax.weights.merged import write_merged
from sycojax.weights.stored import open_files

GROUPED = cases.GROUPED
WEIGHTS = tiny.tensors(GROUPED)


def stored(path: Path) -> dict[str, np.ndarray]:
    with contextlib.ExitStack() as stack:
        return {name: np.asarray(tensor[:]) for name, tensor in open_files(path, stack).items()}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cases.write(tmp_path_factory.mktemp("gguf") / "model.gguf", GROUPED, WEIGHTS)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("directory"), GROUPED)


def test_the_config_and_the_weights_are_those_of_the_checkpoint(file: Path) -> None:
    assert load_config(file) == GROUPED
    found = stored(file)
    assert set(found) == set(WEIGHTS)
    for name, value in WEIGHTS.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert resolve_base(file.parent) == resolve_base(file) == file


@pytest.mark.parametrize(
    "kind",
    [
        Kind.F16,
        Kind.BF16,
        Kind.Q4_0,
        Kind.Q4_1,
        Kind.Q5_0,
        Kind.Q5_1,
        Kind.Q8_0,
        Kind.Q4_K,
        Kind.Q5_K,
        Kind.Q6_K,
    ],
)
def test_blocks_are_what_the_package_makes_of_them(kind: Kind, tmp_path: Path) -> None:
    path = cases.write(tmp_path / "model.gguf", GROUPED, WEIGHTS, kind)
    with contextlib.ExitStack() as stack:
        tensors = open_files(path, stack)
        for name in ("model.layers.1.self_attn.k_proj.weight", "model.layers.0.mlp.up_proj.weight"):
            heads = GROUPED.num_key_value_heads if "k_proj" in name else 0
            value = cases.permuted(WEIGHTS[name], heads) if heads else WEIGHTS[name]
            there = f"blk.{name.split('.')[2]}.{'attn_k' if heads else 'ffn_up'}.weight"
            whole = dequantize(cases.blocks(there, value, kind), kind)
            if heads:
                order = cases.permuted(np.arange(len(value))[:, None], heads)[:, 0]
                whole = whole[np.argsort(order)]
            np.testing.assert_array_equal(tensors[name][:], whole)
            np.testing.assert_array_equal(tensors[name][5:70, 3:250], whole[5:70, 3:250])
        norm = tensors["model.norm.weight"]
        assert norm.get_dtype() == "F32"
        np.testing.assert_array_equal(norm[7:9], WEIGHTS["model.norm.weight"][7:9])


def test_it_computes_and_is_sharded_as_the_checkpoint(file: Path, directory: Path) -> None:
    prompt = tiny.prompts(GROUPED)[1]
    base = ours.load(file)
    expected = ours.logits(ours.load(directory), ours.zero_adapter(base), prompt)
    np.testing.assert_array_equal(ours.logits(base, ours.zero_adapter(base), prompt), expected)
    split = ours.load(file, mesh=make_mesh(2, 2, 2))
    for one, other in zip(jax.tree.leaves(base.params), jax.tree.leaves(split.params), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_rotary_scaling_of_llama3_is_found_again(tmp_path: Path) -> None:
    scaling = RopeScaling("llama3", 32.0, 1.0, 4.0, 8192)
    config = dataclasses.replace(GROUPED, rope_theta=500_000.0, rope_scaling=scaling)
    frequencies = config.rope_theta ** -(np.arange(32) / 32)
    share = np.clip((8192 * frequencies / (2 * np.pi) - 1) / 3, 0, 1)
    divisors = 1 / ((1 - share) / 32 + share)
    path = tmp_path / "model.gguf"
    cases.write(path, config, {**WEIGHTS, "rope_freqs.weight": divisors})
    assert load_config(path) == config
    cases.write(path, config, {**WEIGHTS, "rope_freqs.weight": divisors + (divisors > 8)})
    with pytest.raises(SycojaxError, match="not the rotary scaling of Llama"):
        load_config(path)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"ARCH__rope__scaling__type": "linear", "ARCH__rope__scaling__factor": 2.0},
         {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
        ({"ARCH__rope__scaling__type": "none"}, {"rope_scaling": None}),
        ({"ARCH__attention__sliding_window": 128}, {"model_type": "mistral", "sliding_window": 128}),
        ({"ARCH__expert_count": 0}, {"model_type": "llama"}),
        ({"tokenizer__ggml__eot_token_id": 5}, {"bos_token_id": 1, "eos_token_id": [2, 5]}),
    ],
)  # fmt: skip
def test_metadata_as_config_json_says_them(
    metadata: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    path = cases.write(tmp_path / "model.gguf", GROUPED, WEIGHTS, **metadata)
    found = config_of(path)
    assert {key: found[key] for key in expected} == expected


def test_families_have_their_own_parts(tmp_path: Path) -> None:
    """Of qwen2 and qwen3 no row is moved; biases and norms of heads keep their names."""
    extra = {
        "model.layers.0.self_attn.q_proj.bias": tiny.draw("q", (256,), 1.0),
        "model.layers.0.self_attn.k_norm.weight": tiny.draw("k", (64,), 1.0),
    }
    for family in ("qwen2", "qwen3"):
        path = tmp_path / f"{family}.gguf"
        cases.write(path, GROUPED, {**WEIGHTS, **extra}, architecture=family)
        found = stored(path)
        for name, value in (*WEIGHTS.items(), *extra.items()):
            np.testing.assert_array_equal(found[name], value, err_msg=name)
        assert config_of(path)["model_type"] == family
    path = cases.write(tmp_path / "llama.gguf", GROUPED, {**WEIGHTS, **extra})
    name = "model.layers.0.self_attn.q_proj.bias"
    np.testing.assert_array_equal(stored(path)[name], extra[name])
    assert config_of(path)["attention_bias"] is True


def test_families_are_those_of_their_config(tmp_path: Path) -> None:
    for changes, metadata in (
        (
            {"model_type": "qwen2", "qkv_bias": True, "sliding_window": 128},
            {"ARCH__attention__sliding_window": 128},
        ),
        ({"model_type": "qwen3", "qk_norm": True}, {}),
        (
            {"model_type": "mistral", "sliding_window": 128},
            {"ARCH__attention__sliding_window": 128},
        ),
        ({"qkv_bias": True, "o_bias": True, "mlp_bias": True}, {}),
    ):
        config = dataclasses.replace(GROUPED, **changes)
        family = config.model_type.replace("mistral", "llama")
        path = tmp_path / "model.gguf"
        cases.write(path, config, tiny.tensors(config), architecture=family, **metadata)
        assert load_config(resolve_base(path)) == config
        found = stored(path)
        for name, value in tiny.tensors(config).items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_tied_embeddings_are_those_without_a_head(tmp_path: Path) -> None:
    tied = dataclasses.replace(GROUPED, tie_word_embeddings=True)
    weights = {name: value for name, value in WEIGHTS.items() if name != "lm_head.weight"}
    assert load_config(cases.write(tmp_path / "model.gguf", tied, weights)) == tied


def test_fingerprints(file: Path, directory: Path, tmp_path: Path) -> None:
    assert weights_fingerprint(file) == weights_fingerprint(directory)
    other = cases.write(tmp_path / "model.gguf", GROUPED, WEIGHTS, tokenizer__chat_template="x")
    assert base_fingerprint(other) != base_fingerprint(file) == base_fingerprint(file.parent)
    assert tokenizer_fingerprint(other) != tokenizer_fingerprint(file)
    assert weights_fingerprint(other) == weights_fingerprint(file)


def test_a_merged_export_is_a_checkpoint(file: Path, directory: Path, tmp_path: Path) -> None:
    ours.peft_adapter(tmp_path / "adapter", ours.load(file), b_scale=0.1)
    target, other = tmp_path / "merged", tmp_path / "other"
    for base, place in ((file, target), (directory, other)):
        place.mkdir()
        write_merged(base, tmp_path / "adapter", place)
    assert load_config(target) == GROUPED
    found, expected = stored(target), stored(other)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    own, exported = Tokenizer.from_directory(file), Tokenizer.from_directory(target)
    for text in ("a b", " a  b", "<s>a</s>b", "é"):
        assert own.encode(text) == exported.encode(text)
    assert own.special_texts == exported.special_texts


def test_doctor_and_plan_take_it(file: Path, tmp_path: Path) -> None:
    assert architecture(str(file)) == (GROUPED, str(file))
    findings = {f.subject: f for f in examine(tmp_path, str(file))}
    assert findings["base"].state == "ok"
    assert "is a local file, and whole: tensors in 21 F32" in findings["base"].text


# What is no base: one line that says what to do, and nothing is written.


def refused(path: Path) -> str:
    with pytest.raises(SycojaxError) as error:
        load_config(resolve_base(path))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("part", [0.02, 0.5, 0.999])
def test_a_file_that_is_cut_off(part: float, file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "model.gguf"
    content = file.read_bytes()
    cut.write_bytes(content[: int(len(content) * part)])
    assert "model.gguf is cut off or damaged" in refused(cut)
    assert "fetch it again" in refused(cut)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no GGUF file (0 bytes"),
        (b"PK\x03\x04 a zip", "is no GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"GGUF", "is cut off or damaged"),
    ],
)
def test_a_file_that_is_none(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert said in refused(path)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    def said(**options: Any) -> str:
        return refused(cases.write(tmp_path / "model.gguf", GROUPED, WEIGHTS, **options))

    assert "architecture 'gemma2', which is not supported (known: llama, qwen2, qwen3)" in said(
        architecture="gemma2"
    )
    assert "llama.expert_count=8 is not supported" in said(ARCH__expert_count=8)
    assert "llama.attention.key_length=0 is not a count" in said(ARCH__attention__key_length=0)
    assert "attention.value_length=32 differs" in said(ARCH__attention__value_length=32)
    assert "is one of 3 parts: join them" in said(split__count=3)
    assert "yarn" in said(ARCH__rope__scaling__type="yarn")


def test_tensors_that_are_not_its_own(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    less = {k: v for k, v in WEIGHTS.items() if k != "model.layers.1.mlp.up_proj.weight"}
    cases.write(path, GROUPED, less)
    assert "missing tensors model.layers.1.mlp.up_proj.weight" in refused(path)


@pytest.mark.parametrize("heads", [3, 0, 2**31])
def test_heads_that_its_rows_do_not_make(heads: int, tmp_path: Path) -> None:
    options = {"ARCH__attention__head_count": heads}
    path = cases.write(tmp_path / "model.gguf", GROUPED, WEIGHTS, **options)
    with pytest.raises(SycojaxError) as error:
        open_tensors(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(("number", "said"), [(4321, "update it"), (int(Kind.Q8_K), "Q8_K, which")])
def test_blocks_of_a_type_that_is_not_known(number: int, said: str, tmp_path: Path) -> None:
    path = cases.write(tmp_path / "model.gguf", GROUPED, WEIGHTS)
    content, name = path.read_bytes(), b"blk.0.ffn_up.weight"
    at = content.index(name) + len(name) + 4 + 2 * 8
    path.write_bytes(content[:at] + number.to_bytes(4, "little") + content[at + 4 :])
    assert said in refused(path)


def test_several_files_and_none(file: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(file, tmp_path / name)
    assert "holds 2 GGUF files (a.gguf, b.gguf): name one of them" in refused(tmp_path)
    tiny.write(tmp_path, GROUPED)
    assert resolve_base(tmp_path) == tmp_path  # safetensors go before
    parts = tmp_path / "parts"
    parts.mkdir()
    for i in (1, 2):
        shutil.copy(file, parts / f"m-{i:05d}-of-00002.gguf")
    assert "llama-gguf-split --merge" in refused(parts)


def test_without_the_package(file: Path) -> None:
    """The rest of sycojax neither needs nor imports it."""
    program = (
        "import sys; sys.modules['gguf'] = None\n"
        "from sycojax.weights.huggingface import load_config\n"
        "from sycojax.errors import SycojaxError\n"
        "try: load_config(sys.argv[1])\n"
        "except SycojaxError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert "pip install 'sycojax[gguf]'" in done.stdout
