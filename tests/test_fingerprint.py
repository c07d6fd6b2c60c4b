"""What a base is known by: the files that it computes with, or its numbers whatever files they lie in."""

from __future__ import annotations

import shutil

import safetensors.numpy
import tiny_models as tiny

from sycojax.weights.fingerprint import base_fingerprint, weights_fingerprint


def test_fingerprint_follows_what_the_model_computes_with(tmp_path):
    checkpoint = tiny.write(tmp_path / "base", tiny.MHA)
    first = base_fingerprint(checkpoint)
    shutil.copytree(checkpoint, tmp_path / "copy")
    assert base_fingerprint(tmp_path / "copy") == first
    (tmp_path / "copy" / "README.md").write_text("notes")
    assert base_fingerprint(tmp_path / "copy") == first
    (tmp_path / "copy" / "tokenizer.json").write_text("{}")
    assert base_fingerprint(tmp_path / "copy") != first
    weights = checkpoint / "model-00001-of-00002.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert base_fingerprint(checkpoint) != first


def test_fingerprint_of_a_large_file_reads_samples(tmp_path):
    size = 80 << 20
    file = tmp_path / "model.safetensors"
    with file.open("wb") as stream:
        stream.write((100).to_bytes(8, "little"))
        stream.truncate(size)
    seen = {base_fingerprint(tmp_path)}
    for offset in (50, size // 64 + 100, size - 1):  # header, a sampled block, the end
        with file.open("r+b") as stream:
            stream.seek(offset)
            stream.write(b"x")
        seen.add(base_fingerprint(tmp_path))
    assert len(seen) == 4


def test_the_weights_fingerprint_is_of_the_numbers(tmp_path):
    """Not of the files: other shards, another config.json, float16 numbers stored as float32."""
    base = tiny.write(tmp_path / "base", tiny.MHA)
    one = tiny.write(tmp_path / "one", tiny.MHA, shards=1)
    (one / "config.json").write_text("{}")
    assert weights_fingerprint(one) == weights_fingerprint(base)
    half = tiny.write(tmp_path / "half", tiny.MHA, dtype="float16")
    wide = tmp_path / "wide"
    wide.mkdir()
    tensors = {k: v.astype("float16").astype("float32") for k, v in tiny.tensors(tiny.MHA).items()}
    safetensors.numpy.save_file(tensors, wide / "model.safetensors")
    assert weights_fingerprint(half) == weights_fingerprint(wide) != weights_fingerprint(base)
