"""Damaged and foreign files for every reader: ``python tests/fuzz.py [READER COUNT [DIRECTORY]]``.

Hypothesis draws how a good file is changed: bytes turned, cut, repeated or replaced by what parsers stumble over, and values of a
JSON document by values of other types. A reader takes what comes or refuses it with one line that names the file. Everything
else is a finding: another exception, more than ten seconds, more than one GiB, a file written. Findings are kept in
DIRECTORY, and the exit status is 1. Without a reader it names them all.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sources_cases import GOOD, records

from sycojax.data.data_sets import flatten
from sycojax.data.sources import open_source
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN
from sycojax.toy import base_directory

SECONDS, GROWTH = 10, 1 << 30
STUMBLES = (
    b"NaN", b"Infinity", b"1e999", b"-1", b"null", b"true", b"{}", b"[]", b'""', b'"', b",", b"\n", b"\r", b"\x00", b"\xff",
    b"\xef\xbb\xbf", b"\\ud800", b"1" * 5000, b"[" * 20_000, b'{"a":' * 5000, (2**63).to_bytes(8, "little"), b"\xff" * 8,
    b"{{ 9**9**9 }}", b"{% for i in range(10**9) %}{% endfor %}", b'"question"', b'"answer"',
)  # fmt: skip


class Reader(NamedTuple):
    """A good file, what it is called, and what reads it from a directory."""

    file: str
    good: Callable[[Path], bytes]
    read: Callable[[Path], object]
    is_json: bool = False
    damaged: bool = True  # bytes are changed, not only values
    named: bool = True  # a refusal names the file


def _rows(name: str, split: Any) -> Callable[[Path], object]:
    return lambda place: open_source("files", str(place), BUILTIN).rows(name, split)


def _jsonl(_: Path) -> bytes:
    return b"".join(json.dumps(raw).encode() + b"\n" for raw in records("mmlu", 3))


def _csv(_: Path) -> bytes:
    import csv
    import io

    flat = [flatten(BUILTIN["mmlu"], raw) for raw in records("mmlu", 3)]
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(flat[0]))
    writer.writeheader()
    writer.writerows(flat)
    return stream.getvalue().encode()


def _parquet(_: Path) -> bytes:
    import io

    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    table = pyarrow.Table.from_pylist(records("mmlu", 3))
    # Columns that no row needs, two of which Python has no values for.
    for name, zone, at in (("when", "UTC", 0), ("where", "Mars/Phobos", 0), ("late", None, 2**62)):
        table = table.append_column(name, pyarrow.array([at] * 3, pyarrow.timestamp("us", zone)))
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


def _tensors(_: Path) -> bytes:
    from safetensors.numpy import save

    return save({"a.weight": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float16)})


def _open_tensors(place: Path) -> object:
    import contextlib

    from sycojax.weights.stored import open_files

    with contextlib.ExitStack() as stack:
        return [opened[:] for opened in open_files(place, stack).values()]


def _beside(name: str) -> Callable[[Path], bytes]:
    return lambda _: (base_directory() / name).read_bytes()


def _tokenizer(place: Path) -> object:
    from sycojax.data.tokenizer import Tokenizer

    return Tokenizer.from_directory(place).encode("Hello there")


def _template(place: Path) -> object:
    from sycojax.data.prompts import Prompts
    from sycojax.data.templates import template_of
    from sycojax.data.tokenizer import Tokenizer

    tokenizer = Tokenizer.from_directory(place)
    return Prompts("sycojax", template_of(tokenizer, "", {})).chat(["Hi", "Yes", "Sure?"], "It is")


def _config(place: Path) -> object:
    from sycojax.weights.huggingface import load_config

    return load_config(place)


def _adapter(_: Path) -> bytes:
    return json.dumps({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "toy", "r": 4, "lora_alpha": 8, "bias": "none",
        "target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.0, "rank_pattern": {"q_proj": 2},
    }).encode()  # fmt: skip


def _settings(place: Path) -> object:
    from sycojax.weights.peft_settings import read_settings

    return read_settings(place, 4)


def _records(_: Path) -> bytes:
    row = {"evaluation": "mmlu", "item": "i", "condition": "as_is", "cluster": "c", "meta": {"gold": 1}, "logprobs": [-1.0, -2.0],
           "n_tokens": [1, 1], "n_bytes": [1, 1], "greedy": [True, False]}  # fmt: skip
    return (json.dumps(row) + "\n").encode() * 2


def _read_records(place: Path) -> object:
    from sycojax.records import read_records

    return list(read_records(place / "mmlu.jsonl"))


def _losses(_: Path) -> bytes:
    return json.dumps(
        {
            "items": ["mmlu/a", "mmlu/b"],
            "questions": [0, 0],
            "base": [1.5, 2],
            "adapter": [0.1, 0.2],
        }
    ).encode()


def _read_losses(place: Path) -> object:
    from analysis.records.held_out import held_out_fall

    return held_out_fall(place)


def _gguf(place: Path) -> bytes:
    from gguf_cases import GROUPED, tiny_weights, write

    small = dataclasses.replace(GROUPED, vocab_size=300, intermediate_size=32, num_hidden_layers=1)
    return write(place.parent / "good.gguf", small, tiny_weights(small)).read_bytes()


def _open_gguf(place: Path) -> object:
    from sycojax.data.tokenizer_gguf import read_tokenizer
    from sycojax.weights.gguf import config_of, open_tensors

    file = place / "model.gguf"
    return config_of(file), open_tensors(file), read_tokenizer(file)


def _overrides(_: Path) -> bytes:
    return json.dumps({
        "data.seed": 1, "train.learning_rate": 1e-4, "train.seeds": [0, 1], "score.evaluations": ["mmlu"], "data.source": "toy",
        "base.template_args": {"a": 1}, "data.keep_test_items": False, "lora.rank": 4,
    }).encode()  # fmt: skip


def _change(place: Path) -> object:
    from sycojax.config import StudyConfig

    return StudyConfig().changed(json.loads((place / "overrides.json").read_bytes()))


READERS = {
    "jsonl": Reader("mmlu_test.jsonl", _jsonl, _rows("mmlu", "test")),
    "json": Reader("answer_probe.json", lambda _: json.dumps([GOOD["answer"]]).encode(), _rows("answer", "probe"), True),
    "feedback": Reader("feedback_probe.json", lambda _: json.dumps([GOOD["feedback"]]).encode(), _rows("feedback", "probe"), True),
    "are_you_sure": Reader("are_you_sure_probe.json", lambda _: json.dumps([GOOD["are_you_sure"]]).encode(),
                           _rows("are_you_sure", "probe"), True),
    "csv": Reader("mmlu_test.csv", _csv, _rows("mmlu", "test")),
    "parquet": Reader("mmlu_test.parquet", _parquet, _rows("mmlu", "test")),
    "safetensors": Reader("model.safetensors", _tensors, _open_tensors),
    "config": Reader("config.json", _beside("config.json"), _config, True),
    "tokenizer": Reader("tokenizer.json", _beside("tokenizer.json"), _tokenizer, True),
    "template": Reader("tokenizer_config.json", _beside("tokenizer_config.json"), _template, True),
    "adapter": Reader("adapter_config.json", _adapter, _settings, True),
    "records": Reader("mmlu.jsonl", _records, _read_records),
    "losses": Reader("held_out.json", _losses, _read_losses, True),
    "gguf": Reader("model.gguf", _gguf, _open_gguf),
    "overrides": Reader("overrides.json", _overrides, _change, is_json=True, damaged=False, named=False),
}  # fmt: skip

_NUMBERS = st.sampled_from((0, -1, 2**63, 10**400, 1e308, 0.5))
_leaf = st.one_of(
    st.none(), st.booleans(), st.integers(), _NUMBERS, st.text(max_size=8),
    st.sampled_from(("", " ", "\u200b", "\x00", "A", "{{ 1/0 }}", "../x", "a" * 10_000)),
)  # fmt: skip
_value = st.recursive(
    _leaf, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=4), v, max_size=3), max_leaves=5
)  # fmt: skip


class _Step(NamedTuple):
    """One change of bytes. Hypothesis keeps what it draws, so it draws these and not whole files."""

    kind: str
    at: int
    length: int
    by: bytes


def _damaged(good: bytes) -> st.SearchStrategy[list[_Step]]:
    step = st.builds(
        _Step,
        st.sampled_from(("byte", "cut", "drop", "repeat", "insert", "replace")),
        st.integers(0, max(len(good) - 1, 0)) | st.integers(0, min(len(good) - 1, 512)),
        st.sampled_from((1, 1, 2, 8, 64, len(good))),
        st.sampled_from(STUMBLES) | st.binary(min_size=1, max_size=1),
    )
    return st.lists(step, min_size=1, max_size=4)


def _apply(good: bytes, steps: list[_Step]) -> bytes:
    data = bytearray(good)
    for kind, at, length, by in steps:
        if kind == "byte":
            data[at : at + 1] = by[:1]
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "repeat":
            data[at:at] = data[at : at + length]
        else:
            data[at : at + length if kind == "replace" else at] = by
    return bytes(data)


def _numbers(document: Any) -> list[tuple[Any, Any]]:
    """The places of all numbers in a JSON document: what holds them, and under which key or index."""
    if not isinstance(document, dict | list):
        return []
    items = list(document.items() if isinstance(document, dict) else enumerate(document))
    own = [(document, key) for key, value in items if isinstance(value, int | float)]
    return own + [place for _, value in items for place in _numbers(value)]


@st.composite
def _other_values(draw: st.DrawFn, good: bytes) -> bytes:
    document = json.loads(good)
    for _ in range(draw(st.integers(1, 3))):
        where = document
        numbers = _numbers(document)
        if numbers and draw(st.integers(0, 3)) == 0:  # among many texts they are seldom met
            of, key = numbers[draw(st.integers(0, len(numbers) - 1))]
            of[key] = draw(_NUMBERS)
            continue
        while True:
            keys = list(where) if isinstance(where, dict) else list(range(min(len(where), 50)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(where[key], dict | list) and draw(st.booleans()):
                where = where[key]
                continue
            if isinstance(where, dict) and draw(st.integers(0, 3)) == 0:
                del where[key]
            else:
                where[key] = draw(_value)
            break
    return json.dumps(document).encode()


class _Slow(BaseException):
    """An input took too long."""


def _tick(*_: object) -> None:
    raise _Slow


def problem(reader: Reader, place: Path, data: bytes) -> str:
    """What is wrong with how ``data`` is read; "" for nothing."""
    (place / reader.file).write_bytes(data)
    there = sorted(place.rglob("*"))
    signal.alarm(SECONDS)
    try:
        reader.read(place)
    except SycojaxError as error:
        said = str(error)
        if "\n" in said.strip():
            return f"several lines: {said[:200]!r}"
        if reader.named and reader.file not in said and str(place) not in said:
            return f"names no file: {said[:200]!r}"
    except _Slow:
        return f"more than {SECONDS} s: {traceback.format_exc().splitlines()[-3:]}"
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "sycojax" in f.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        return f"{type(error).__name__} at {where}: {str(error)[:160]!r}"
    finally:
        signal.alarm(0)
    return "" if sorted(place.rglob("*")) == there else "wrote files"


def main(name: str, count: int, keep: Path | None) -> int:
    reader = READERS[name]
    found: dict[str, int] = {}
    tried = 0
    signal.signal(signal.SIGALRM, _tick)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "data"
        place.mkdir()
        for beside in ("tokenizer.json", "tokenizer_config.json"):
            if name in ("tokenizer", "template"):
                (place / beside).write_bytes((base_directory() / beside).read_bytes())
        good = reader.good(place)
        assert problem(reader, place, good) == "", problem(reader, place, good)
        reader.read(place)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kinds = [_damaged(good)] * reader.damaged + [_other_values(good)] * reader.is_json

        @settings(
            max_examples=count, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(st.one_of(kinds))
        def run(drawn: bytes | list[_Step]) -> None:
            nonlocal tried
            tried += 1
            data = drawn if isinstance(drawn, bytes) else _apply(good, drawn)
            said = problem(reader, place, data)
            if said and said.split(": ")[0] not in {s.split(": ")[0] for s in found}:
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{name}-{len(found)}-{reader.file}").write_bytes(data)
                found[said] = len(data)

        run()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    if grown > GROWTH:
        found[f"grew by {grown >> 20} MiB"] = 0
    print(f"{name}: {tried} inputs, {len(found)} kinds of findings, memory +{grown >> 20} MiB")
    for said in found:
        print(f"  {said}")
    return 1 if found else 0


if __name__ == "__main__":
    if not sys.argv[1:]:
        print(*READERS)
        sys.exit()
    sys.exit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3:] else None))
