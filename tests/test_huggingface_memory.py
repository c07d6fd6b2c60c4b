"""Loading a base in bounded host memory, measured in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import tiny_models as tiny

from sycojax.models.base import abstract
from sycojax.models.lora import LoRAConfig
from sycojax.weights import huggingface

MEMORY_PROBE = """
import pathlib, sys, threading, time
import jax, numpy as np
sys.path.insert(0, sys.argv[1])
import tiny_jax as ours, tiny_models as tiny
from sycojax.models.compute import Compute
from sycojax.models.lora import LoRAConfig
from sycojax.parallel.mesh import make_mesh
from sycojax.weights.huggingface import load_base

def anonymous():
    line = next(x for x in open("/proc/self/status") if x.startswith("RssAnon"))
    return int(line.split()[1]) * 1024

mesh = make_mesh(*map(int, sys.argv[4:7]))
compute = Compute(quantization=sys.argv[7], mesh=mesh)
load_base(sys.argv[2], LoRAConfig(), compute)  # everything that is set up once
before = peak = anonymous()
done = threading.Event()

def watch():
    global peak
    while not done.is_set():
        peak = max(peak, anonymous())
        time.sleep(0.001)

thread = threading.Thread(target=watch)
thread.start()
base = load_base(sys.argv[3], LoRAConfig(), compute)
jax.block_until_ready(base.params)
done.set()
thread.join()
leaves = jax.tree.leaves(base.params)
arrays = sum(s.data.nbytes for x in leaves for s in x.addressable_shards)
print(peak - before - arrays, max(x.nbytes for x in leaves), arrays)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize(
    ("mesh", "quantization"),
    [((1, 4, 2), "none"), ((2, 2, 2), "none"), ((1, 4, 2), "nf4"), ((2, 2, 2), "int8")],
    ids=str,
)
def test_loading_needs_less_than_twice_the_largest_leaf(tmp_path, mesh, quantization):
    """The largest as it is in full precision: of a quantised one, a layer at a time is."""
    config = dataclasses.replace(
        tiny.MHA,
        vocab_size=2048,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=64,
    )
    small = tiny.write(
        tmp_path / "small",
        dataclasses.replace(tiny.MHA, num_hidden_layers=2, intermediate_size=192),
    )
    large = tmp_path / "large"
    large.mkdir()
    (large / "config.json").write_text(json.dumps(config.to_hf()))
    shapes = huggingface._stored_shapes(abstract(config, LoRAConfig()).base)
    weights = {name: np.ones(shape, np.float32) for name, shape in shapes}
    safetensors.numpy.save_file(weights, large / "model.safetensors")
    del weights
    probe = [sys.executable, "-c", MEMORY_PROBE, str(Path(__file__).parent), str(small), str(large)]
    out = subprocess.run(
        [*probe, *map(str, mesh), quantization],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    over, held, arrays = map(int, out.stdout.split()[-3:])
    largest = 4 * 8 * 512 * 1536
    assert quantization != "none" or held == largest
    assert arrays > 4 * held  # otherwise the bound would say nothing
    assert over < 2 * largest, f"{over / 2**20:.0f} MiB over the arrays"
