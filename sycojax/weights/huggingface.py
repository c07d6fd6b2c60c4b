"""Base models in Hugging Face layout: safetensors streamed into stacked, sharded arrays, and back.

Only ``config.json`` and ``*.safetensors`` are read, or a GGUF file as the same two. Pickled weights are refused:
unpickling runs code.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy
from jax.experimental import multihost_utils

from sycojax.errors import SycojaxError
from sycojax.files import atomic_write, read_json, write_json
from sycojax.models.base import FrozenBase, Tree, abstract, abstract_base
from sycojax.models.compute import Compute
from sycojax.models.config import LlamaConfig
from sycojax.models.lora import NO_ADAPTER, LoRAConfig
from sycojax.models.quantize import Quantization, quantize
from sycojax.parallel.distributed import is_first
from sycojax.progress import Progress
from sycojax.weights.gguf import config_of
from sycojax.weights.hub import TEMPLATES, finish, resolve
from sycojax.weights.names import EMBEDDINGS, HEAD
from sycojax.weights.stored import DTYPES, SINGLE, difference, open_files

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", *TEMPLATES,
)  # fmt: skip
GENERATION = "generation_config.json"
ROWS = 4096  # of a table, which are compared at a time


def present(directory: Path, patterns: Iterable[str]) -> Iterator[Path]:
    """The files of ``directory`` that each of ``patterns``, in its order, names."""
    for pattern in patterns:
        yield from sorted(p for p in directory.glob(pattern) if p.is_file())


def resolve_base(path: str | Path) -> Path:
    """``resolve`` of a base, whose architecture is read, and refused, before gigabytes of weights are fetched.

    Raises ``SycojaxError`` as ``resolve``, ``load_config`` and ``check_weights`` do.
    """
    config = load_config(path)
    directory = resolve(path)
    check_weights(directory, config)
    return directory


def load_config(path: str | Path) -> LlamaConfig:
    """The architecture in ``path/config.json`` or in a GGUF file; of a hub id no weights are fetched.

    A text also ends at the tokens that ``generation_config.json`` calls ends: Llama 3's config.json leaves out the
    end of a turn. Raises ``SycojaxError`` when config.json is missing or refused.
    """
    directory = resolve(path, ("config.json", GENERATION))
    raw, source = read_config(directory)
    try:
        config = LlamaConfig.from_hf(raw, source)
    except SycojaxError as error:  # of sizes that do not fit together
        raise error if source in str(error) else SycojaxError(f"{source}: {error}") from error
    ends = dict.fromkeys((*config.eos_token_ids, *more_ends(directory)))
    return dataclasses.replace(config, eos_token_ids=tuple(ends))


def read_config(directory: Path) -> tuple[Mapping[str, Any], str]:
    """The parsed config.json of a directory, or what it would say of a GGUF file; and the file that says it.

    Raises ``SycojaxError`` when there is none, or it is damaged.
    """
    if directory.is_file():
        return config_of(directory), str(directory)
    file = directory / "config.json"
    if not file.is_file():
        raise SycojaxError(
            f"{file} does not exist: {directory} is no model in Hugging Face layout, or its download stopped early "
            f"({finish(directory)}); of a repository of GGUF files give one file; an adapter is named by "
            "--adapter=NAME=PATH, and its base by base.path"
        )
    raw = read_json(file)
    if not isinstance(raw, Mapping):
        raise SycojaxError(f"{file} is not a JSON object")
    return raw, str(file)


def check_weights(directory: Path, config: LlamaConfig) -> None:
    """Open every weight file, reading no weights.

    Raises ``SycojaxError`` naming the file that is missing or truncated, or the tensor that is not one of ``config``.
    """
    with contextlib.ExitStack() as stack:
        open_weights(directory, config, stack)


def open_weights(
    directory: Path, config: LlamaConfig, stack: contextlib.ExitStack
) -> dict[str, Any]:
    """Every stored tensor as a slice that is read when it is indexed, by its name in transformers.

    A tied head has no entry of its own, whether it is stored or not. The files stay open until ``stack`` closes. Raises as ``check_weights`` does.
    """
    tensors = open_files(directory, stack)
    if config.tie_word_embeddings:
        _drop_tied_head(tensors, directory)
    _check_tensors(tensors, abstract(config, NO_ADAPTER).base, directory)
    return tensors


def load_base(
    path: str | Path, lora: LoRAConfig, compute: Compute, *, progress: bool = True
) -> FrozenBase:
    """Load a base, each weight cast to ``compute.dtype`` and placed on ``compute.mesh`` as its logical axes say.

    Linear weights [out, in] become kernels [in, out], stacked over layers. Only the windows that this
    process's devices hold are read, one stacked leaf at a time, so host memory over the arrays
    themselves stays below twice the largest leaf. A quantised projection is read and quantised a whole layer at
    a time, since NF4's mean is over all of its kernel: the processes take turns and give each other the codes. They
    come from the stored numbers whatever the dtype is.

    Raises ``SycojaxError`` naming the tensor that is missing, extra, misshapen or of another type, the
    file that is truncated or missing, or the weight that the mesh does not divide.
    """
    directory = resolve(path)
    config = load_config(directory)
    with contextlib.ExitStack() as stack:
        tensors = open_weights(directory, config, stack)
        base = abstract_base(config, lora, compute)
        nodes = len(jax.tree.leaves(base.params, is_leaf=_quantized))
        bar = Progress("loading the base", nodes, "weight", shown=progress and is_first())

        def load(keys: tuple[str, ...], leaf: Any) -> Any:
            names = tensor_names(keys, config.num_hidden_layers)
            slices = [tensors[name] for name in names]
            # A quantised kernel is several leaves, made together from the same tensors.
            if isinstance(leaf, dict):
                return _load_quantized(slices, leaf, compute.quantization)
            return _load_leaf(slices, names, leaf)

        def load_node(path: Any, node: Any) -> Any:
            keys = tuple(part.key for part in path)
            bar.update()
            if not _quantized(node):
                return load(keys, node)
            codes = {key: leaf for key, leaf in node.items() if key != "bias"}
            bias = {"bias": load((*keys, "bias"), node["bias"])} if "bias" in node else {}
            return load((*keys, "kernel"), codes) | bias

        with bar:
            params = jax.tree_util.tree_map_with_path(load_node, base.params, is_leaf=_quantized)
    return dataclasses.replace(base, params=params)


def save_base(path: Path, config: LlamaConfig, params: Tree, dtype: Any = None) -> None:
    """Write ``config.json`` and ``model.safetensors`` (cast to ``dtype`` if given) as transformers reads them.

    Other files in the directory stay. Without a ``config.json`` the directory is no model; it is
    written last, so an interrupted call never leaves a readable half. Raises ``SycojaxError`` on a quantised
    base, whose full-precision weights are gone.
    """
    if any(map(_quantized, jax.tree.leaves(params, is_leaf=_quantized))):
        raise SycojaxError("a quantised base cannot be saved; load it with quantization='none'")
    path = Path(path)
    tensors: dict[str, np.ndarray] = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(params):
        names = tensor_names(tuple(part.key for part in keys), config.num_hidden_layers)
        array = np.asarray(leaf)
        layers = array if len(names) > 1 or _stacked(names[0]) else array[None]
        for name, value in zip(names, layers, strict=True):
            # safetensors writes the buffer as it lies in memory: transposes must be real ones.
            value = value.T if _transposed(name) else value
            tensors[name] = np.ascontiguousarray(value if dtype is None else value.astype(dtype))
    (path / "config.json").unlink(missing_ok=True)
    atomic_write(path / SINGLE, safetensors.numpy.save(tensors, metadata={"format": "pt"}))
    stored = next(iter(tensors.values())).dtype.name
    write_json(path / "config.json", {**config.to_hf(), "torch_dtype": stored})


def tensor_names(path: tuple[str, ...], layers: int) -> list[str]:
    """Checkpoint names of one leaf of the base tree: one per layer for a stacked leaf."""
    *modules, leaf = path
    if modules[0] == "lm_head":
        return [HEAD]
    if modules[0] != "layers":
        return [f"model.{modules[0]}.weight"]
    name = f"{'.'.join(modules[1:])}.{'bias' if leaf == 'bias' else 'weight'}"
    return [f"model.layers.{i}.{name}" for i in range(layers)]


def more_ends(directory: Path) -> list[int]:
    """Ids in ``generation_config.json`` at which a text ends, and which ``config.json`` does not name; sorted."""
    file = directory / GENERATION
    if not file.is_file():
        return []
    raw = read_json(file)
    ends = raw.get("eos_token_id") if isinstance(raw, Mapping) else None
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if not all(type(end) is int for end in ends):
        raise SycojaxError(f"{file}: eos_token_id={ends!r} is not a token id or a list of them")
    config = read_json(directory / "config.json")
    known = config.get("eos_token_id") if isinstance(config, Mapping) else None
    return sorted(set(ends) - set(known if isinstance(known, list) else [known]))


def _stacked(name: str) -> bool:
    return name.startswith("model.layers.")


def _transposed(name: str) -> bool:
    return name.endswith("_proj.weight") or name == HEAD


def _drop_tied_head(tensors: dict[str, Any], directory: Path) -> None:
    """Leave one table of embeddings where it is stored under the name of the head, too, or under that name alone.

    Raises ``SycojaxError`` where the two are different numbers: libraries do not agree on which of them counts.
    """
    head = tensors.pop(HEAD, None)
    if head is None:
        return
    table = tensors.setdefault(EMBEDDINGS, head)
    if not _equal(table, head):
        raise SycojaxError(
            f"{directory}: config.json says that the head is tied (tie_word_embeddings), and {HEAD} holds other numbers "
            f"than {EMBEDDINGS}: set tie_word_embeddings to false if it is a head of its own, or delete that tensor"
        )


def _equal(one: Any, other: Any) -> bool:
    """Whether two stored tensors are the same numbers; a few rows at a time."""
    if tuple(one.get_shape()) != tuple(other.get_shape()):
        return False
    count = one.get_shape()[0]
    parts = [slice(i, min(i + ROWS, count)) for i in range(0, count, ROWS)]
    return all(np.array_equal(one[part], other[part]) for part in parts)


def _check_tensors(tensors: Mapping[str, Any], base: Tree, directory: Path) -> None:
    expected = dict(_stored_shapes(base))
    if problem := difference(expected.keys(), tensors.keys()):
        hint = ""
        if expected.keys() - tensors.keys() == {HEAD}:
            hint = "; if the head is the table of embeddings, set tie_word_embeddings to true in config.json"
        raise SycojaxError(
            f"{directory}: {problem}; these weights are not those of the model that config.json describes{hint}"
        )
    for name, shape in expected.items():
        found, stored_dtype = tuple(tensors[name].get_shape()), tensors[name].get_dtype()
        if found != shape:
            raise SycojaxError(f"{directory}: {name} has shape {found}, config.json says {shape}")
        if stored_dtype not in DTYPES:
            raise SycojaxError(
                f"{directory}: {name} is stored as {stored_dtype}; only {', '.join(sorted(DTYPES))} "
                "weights are supported"
            )


def _stored_shapes(base: Tree) -> Iterator[tuple[str, tuple[int, ...]]]:
    for keys, leaf in jax.tree_util.tree_leaves_with_path(base):
        path = tuple(part.key for part in keys)
        shape = leaf.shape[1:] if path[0] == "layers" else leaf.shape
        for name in tensor_names(path, leaf.shape[0]):
            yield name, shape[::-1] if _transposed(name) else shape


def _load_leaf(slices: list[Any], names: list[str], leaf: jax.ShapeDtypeStruct) -> jax.Array:
    transposed, stacked = _transposed(names[0]), _stacked(names[0])
    windows: dict[str, np.ndarray] = {}  # replicas of a window share one buffer

    def window(index: tuple[slice, ...] | None) -> np.ndarray:
        assert index is not None
        bounds = [s.indices(size) for s, size in zip(index, leaf.shape, strict=True)]
        if str(bounds) in windows:
            return windows[str(bounds)]
        out = np.empty([len(range(*b)) for b in bounds], leaf.dtype)
        layers = range(*bounds[0]) if stacked else [0]
        within = tuple(slice(*b) for b in (bounds[1:] if stacked else bounds))
        for row, layer in enumerate(layers):
            stored = slices[layer][within[::-1] if transposed else within]
            (out[row] if stacked else out)[...] = stored.T if transposed else stored
        windows[str(bounds)] = out
        return out

    return jax.make_array_from_callback(leaf.shape, leaf.sharding, window, leaf.dtype)


def _load_quantized(
    slices: list[Any], leaves: dict[str, jax.ShapeDtypeStruct], quantization: Quantization
) -> dict[str, jax.Array]:
    """One projection's quantised leaves, stacked over layers; one layer at a time in full precision."""
    host = {key: np.empty(leaf.shape, leaf.dtype) for key, leaf in leaves.items()}
    together = jax.process_count()
    for first in range(0, len(slices), together):
        own = {key: np.zeros(leaf.shape[1:], leaf.dtype) for key, leaf in leaves.items()}
        if first + jax.process_index() < len(slices):
            stored = slices[first + jax.process_index()]
            own = quantize(quantization, stored[:].T)._asdict()
        gathered = multihost_utils.process_allgather(own)  # one layer of each process
        for key, value in gathered.items():
            host[key][first : first + together] = value[: len(slices) - first]
    return {
        key: jax.make_array_from_callback(leaf.shape, leaf.sharding, host[key].__getitem__)
        for key, leaf in leaves.items()
    }


def _quantized(node: Any) -> bool:
    """Whether this node of a base tree is the quantised kernel of a projection."""
    return isinstance(node, dict) and "codes" in node
