"""Greedy decoding with a cache equals taking the argmax of the full model again and again."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scoring_cases as cases
from jax.sharding import AbstractMesh

from sycojax.config import ScoreConfig
from sycojax.data.tokenizer import Tokenizer
from sycojax.models.base import FrozenBase, abstract
from sycojax.models.compute import Compute
from sycojax.parallel.mesh import MESH_AXES
from sycojax.requests import Request
from sycojax.scoring import decode as decoding
from sycojax.scoring.bandwidth import decode_bytes
from sycojax.scoring.decode import Decoder
from sycojax.scoring.decode_sizes import STRIDE, cache_sizes, decode_rows, padded_length
from sycojax.scoring.journal import NOTHING, Journal, Section
from sycojax.scoring.scorer import Scorer
from sycojax.scoring.texts import Continuation, Prompt
from sycojax.weights.huggingface import load_base

CONFIG = ScoreConfig(decode_batch=3, buckets=(16, 32, 64), batch_tokens=64)
NEW = 10
TEXTS = ["Q: the cat", "A", "Q: the dog ran the cat the dog ran", "xyz (A) or (B)?", " the"]
ADAPTERS = 3


def slow_greedy(
    base: FrozenBase, lora: Any, ids: list[int], steps: int, eos: tuple[int, ...]
) -> list[int]:
    """No cache, no batch: the whole sequence again for every token."""
    out: list[int] = []
    while len(out) < steps and not (out and out[-1] in eos):
        out.append(int(cases.full_logits(base, lora, [*ids, *out])[-1].argmax()))
    return out


def slow_text(base: FrozenBase, lora: Any, text: str, steps: int) -> Continuation:
    tokenizer = cases.tokenizer()
    out = slow_greedy(base, lora, tokenizer.encode(text), steps, (tokenizer.eos_id,))
    ended = out[-1] == tokenizer.eos_id
    known = [i for i in out if i < tokenizer.vocab_size]
    return Continuation(tokenizer.decode(known), ended)


@pytest.fixture(scope="module")
def base() -> FrozenBase:
    """End-of-sequence is likely enough to end some rows early, and not all."""
    base = cases.make_base()
    kernel = np.array(base.params["lm_head"]["kernel"])
    kernel[:, 2] = kernel[:, 10:14].sum(1)
    return dataclasses.replace(base, params={**base.params, "lm_head": {"kernel": kernel}})


@pytest.fixture(scope="module")
def bank() -> Any:
    return cases.make_bank(ADAPTERS)


@pytest.fixture(scope="module")
def decoder(base: FrozenBase) -> Decoder:
    return Decoder(base, cases.tokenizer(), CONFIG)


@pytest.fixture(scope="module")
def expected(base: FrozenBase, bank: Any) -> list[list[Continuation]]:
    return [
        [slow_text(base, cases.adapter(bank, a), text, NEW) for text in TEXTS]
        for a in range(ADAPTERS)
    ]


def prompts(texts: list[str] = TEXTS, new: int = NEW) -> list[Prompt]:
    return [Prompt(text, new) for text in texts]


def test_cache_equals_no_cache(
    decoder: Decoder, bank: Any, expected: list[list[Continuation]]
) -> None:
    assert decoder.generate(prompts(), bank, progress=False) == expected
    finished = {c.finished for row in expected for c in row}
    assert finished == {True, False}  # both endings occur


def test_order_and_company_do_not_matter(
    decoder: Decoder, bank: Any, expected: list[list[Continuation]]
) -> None:
    decoder.generate(prompts(), bank, progress=False)
    compiled = decoder.compilations
    turned = decoder.generate(prompts()[::-1], bank, progress=False)
    assert [row[::-1] for row in turned] == expected
    (alone,) = decoder.generate(prompts()[1:2], jax.tree.map(lambda x: x[:1], bank), progress=False)
    assert alone == expected[0][1:2]
    assert decoder.compilations == compiled <= 4  # empty rows, steps, arrivals of two lengths


def test_waiting_prompts_take_free_rows(base: FrozenBase, bank: Any) -> None:
    """Ten prompts that end after 1 to 12 tokens go through four rows of two adapters, each as if it were alone."""
    asked = [Prompt(TEXTS[n % len(TEXTS)] + " dog" * (n // 2), 1 + (5 * n) % 12) for n in range(10)]
    two = jax.tree.map(lambda x: x[:2], bank)
    config = dataclasses.replace(CONFIG, decode_batch=4, bank_width=2)
    decoder = Decoder(base, cases.tokenizer(), config)
    found = decoder.generate(asked, two, progress=False)
    fed = looked_at = 0
    for a in range(2):
        for prompt, got in zip(asked, found[a], strict=True):
            ids = cases.tokenizer().encode(prompt.text)
            lora = cases.adapter(bank, a)
            assert got == slow_text(base, lora, prompt.text, prompt.max_new_tokens)
            out = slow_greedy(base, lora, ids, prompt.max_new_tokens, (2,))
            fed += len(out) - 1
            looked_at += sum(len(ids) + i for i in range(1, len(out)))
    counts = decoder.counts
    assert counts.generated_tokens == fed + 2 * len(asked)
    assert counts.decode_step_rows == 8 * counts.decode_steps
    assert counts.decode_step_adapters == 2 * counts.decode_steps
    assert counts.decode_step_slots == looked_at
    # In batches of four the longest of each would set the pace: 12 + 11 + 4 tokens and more.
    assert counts.decode_steps < 20
    assert fed > 0.6 * counts.decode_step_rows


def test_a_cache_grows_by_halves_of_what_it_may_become() -> None:
    assert cache_sizes(608, 84) == (160, 320, 608)
    assert cache_sizes(128, 84) == (128,), "half of it has no room for a prompt and what follows"
    assert cache_sizes(32, 1) == (32,)
    assert decode_rows(ScoreConfig(), cases.mesh_of(1)) == 64
    three = AbstractMesh((3, 1, 1), MESH_AXES)
    assert decode_rows(ScoreConfig(), three) == 33, "no CPU"
    assert decode_rows(CONFIG, cases.mesh_of(8)) == 4, "of which four have rows of their own"


def test_prompts_are_padded_to_a_new_length_where_that_is_worth_a_program() -> None:
    assert padded_length(84, 64, (), 4096) == 88
    assert padded_length(3, 64, (), 4096) == 8
    assert padded_length(204, 64, (), 4096) == 208, "a sixteenth of 256"
    assert padded_length(84, 64, (88, 104, 200), 4096) == 88
    assert padded_length(70, 100, (104,), 4096) == 104, "100 x 32 places are not worth it"
    assert padded_length(70, 128, (104,), 4096) == 72
    assert padded_length(70, 128, (104,), math.inf) == 104
    assert padded_length(94, 10**6, (104,), 4096) == 104, "a shorter one would be little shorter"
    assert padded_length(40, 1, (104,), 4096) == 40, "more than half would be padding"


def test_a_growing_cache_changes_no_text(
    base: FrozenBase, bank: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some rows end before it grows, others arrive after; and a run that is taken up in the middle of it."""
    longer = dataclasses.replace(base.config, max_position_embeddings=256)
    kernel = np.array(base.params["lm_head"]["kernel"])
    kernel[:, 2] = 0  # end-of-sequence is never the likeliest
    params = {**base.params, "lm_head": {"kernel": kernel}}
    endless = dataclasses.replace(base, config=longer, params=params)
    config = dataclasses.replace(CONFIG, decode_batch=2, bank_width=2)
    two = jax.tree.map(lambda x: x[:2], bank)
    asked = [
        Prompt(TEXTS[n % len(TEXTS)], new) for n, new in enumerate((150, 150, 5, 20, 150, 150, 3))
    ]

    first = Decoder(endless, cases.tokenizer(), config)  # whose programs are those of all
    advance = first._generation.advance
    sizes: list[int] = []

    def watched(weights: Any, lora: Any, params: Any, state: Any, *rest: Any, **more: Any) -> Any:
        sizes.append(state.caches[0].keys.shape[-2])
        return advance(weights, lora, params, state, *rest, **more)

    monkeypatch.setattr(first._generation, "advance", watched)

    def run(kept: Section = NOTHING) -> list[list[Continuation]]:
        sizes.clear()
        decoder = Decoder(endless, cases.tokenizer(), config)
        decoder.compiled_by(first)
        return decoder.generate(asked, two, progress=False, kept=kept)

    found = run()
    assert sorted(sizes) == sizes
    assert len({*sizes}) == 3, "small, larger, whole"
    path = tmp_path / "journal"
    # The first run writes all, the others continue behind so many of its lines.
    for kept in (1, 6, 3):
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        path.write_text("".join(lines[:kept]))
        with Journal(path) as journal:
            journal.begin("header", lambda header: header == "header")
            assert run(journal.of("bank")) == found
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "cache_sizes", lambda slots, longest: (slots,))
        assert run() == found
    assert len({*sizes}) == 1


def test_what_decoding_has_to_read(base: FrozenBase, bank: Any) -> None:
    """Of one prompt: at every step all weights but the embedding table, and the keys and values so far."""
    config = dataclasses.replace(CONFIG, decode_batch=1)
    decoder = Decoder(base, cases.tokenizer(), config)
    one = jax.tree.map(lambda x: x[:1], bank)
    decoder.generate([Prompt("Q: the", 3)], one, progress=False)
    new = decoder.counts.generated_tokens
    assert decoder.counts.decode_steps == new - 1 > 0
    c, float32 = cases.CONFIG, 4
    projections = 2 * c.hidden_size * 8 * (4 + 2) + 3 * c.hidden_size * c.intermediate_size
    layer = projections + 2 * c.hidden_size
    weights = 2 * layer + c.hidden_size + c.hidden_size * c.vocab_size
    adapter = sum(leaf[0].size for leaf in jax.tree.leaves(bank))
    length = len(cases.tokenizer().encode("Q: the"))
    slots = sum(length + i for i in range(1, new))
    expected = (new - 1) * (weights + adapter) + slots * 2 * 2 * 2 * 8
    assert decode_bytes(base, decoder.counts) == float32 * expected


def test_the_width_of_a_bank_that_decodes(base: FrozenBase) -> None:
    """On a CPU that of the other passes, unless it is given."""
    config = dataclasses.replace(CONFIG, bank_width=2)
    assert Decoder(base, cases.tokenizer(), config).width(5) == 2
    wide = dataclasses.replace(config, decode_bank_width=4)
    assert Decoder(base, cases.tokenizer(), wide).width(5) == 4


@pytest.mark.slow
def test_eight_devices_equal_one(
    base: FrozenBase, bank: Any, expected: list[list[Continuation]]
) -> None:
    eight = cases.make_base(devices=8)
    placement = jax.tree.map(lambda leaf: leaf.sharding, eight.params)
    eight = dataclasses.replace(eight, params=jax.device_put(base.params, placement))
    many = Decoder(eight, cases.tokenizer(), CONFIG)
    assert many.generate(prompts(), bank, progress=False) == expected
    text = next(c.text for c in expected[0] if len(c.text) > 4)
    asked = [prompt._replace(stop=(text[2:4],)) for prompt in prompts(new=40)]
    alone = Decoder(base, cases.tokenizer(), CONFIG)
    assert many.generate(asked, bank, progress=False) == alone.generate(asked, bank, progress=False)


def test_stop_strings_cut_the_text(
    decoder: Decoder, bank: Any, expected: list[list[Continuation]]
) -> None:
    text = next(c.text for c in expected[0] if len(c.text) > 4 and not c.finished)
    number = [c.text for c in expected[0]].index(text)
    stops = (text[3:5], text[2:4], "never said")
    (row,) = decoder.generate(
        [Prompt(TEXTS[number], NEW, stops)], jax.tree.map(lambda x: x[:1], bank), progress=False
    )
    cut = min(text.find(stop) for stop in stops[:2])
    assert row == [Continuation(text[:cut], True)]


@pytest.mark.slow
def test_a_stop_string_ends_the_work(base: FrozenBase, bank: Any) -> None:
    """Rows that have said one make room within a stride, in a bank too; the others are continued as ever."""
    endless = dataclasses.replace(
        base, config=dataclasses.replace(base.config, max_position_embeddings=256)
    )
    kernel = np.array(base.params["lm_head"]["kernel"])
    kernel[:, 2] = -kernel[:, 10:14].sum(1)  # end-of-sequence is never said
    endless = dataclasses.replace(endless, params={**base.params, "lm_head": {"kernel": kernel}})
    two = jax.tree.map(lambda x: x[:2], bank)
    config = dataclasses.replace(CONFIG, decode_batch=2, bank_width=2)
    long, count = 160, 6
    whole = Decoder(endless, cases.tokenizer(), config)
    texts = [TEXTS[n % len(TEXTS)] + " dog" * n for n in range(count)]
    full = whole.generate(prompts(texts, long), two, progress=False)
    # Every second prompt stops at something that its own text says early, and that no other one asks for.
    stops = [(full[0][n].text[2:5],) if n % 2 else () for n in range(count)]
    asked = [Prompt(text, long, stop) for text, stop in zip(texts, stops, strict=True)]
    decoder = Decoder(endless, cases.tokenizer(), config)
    found = decoder.generate(asked, two, progress=False)
    for ours, theirs in zip(found, full, strict=True):
        for one, other, stop in zip(ours, theirs, stops, strict=True):
            at = other.text.find(stop[0]) if stop else -1
            assert one == (other if at < 0 else Continuation(other.text[:at], True))
    assert decoder.counts.generated_tokens <= (count // 2) * long * 2 + long * 3 + 3 * (STRIDE + 1)
    # With the stop left in, the text is the beginning of what the model would have said.
    kept = [prompt._replace(keep_stop=True) for prompt in asked if prompt.stop]
    one = jax.tree.map(lambda x: x[:1], bank)
    decoder = Decoder(endless, cases.tokenizer(), dataclasses.replace(config, decode_batch=1))
    (row,) = decoder.generate(kept, one, progress=False)
    for got, prompt in zip(row, kept, strict=True):
        text = full[0][texts.index(prompt.text)].text
        assert text.startswith(got.text)
        assert prompt.stop[0] in got.text
    assert decoder.counts.generated_tokens <= len(kept) * (STRIDE + 1)
    assert decoder.counts.decode_steps <= len(kept) * STRIDE


def test_long_prompts_make_room(decoder: Decoder, base: FrozenBase, bank: Any) -> None:
    """Context 96: a prompt of 1 + 95 tokens loses 10 of them, behind the BOS."""
    one = jax.tree.map(lambda x: x[:1], bank)
    text = "0123456789" * 9 + "abcde"
    ((long,),) = decoder.generate([Prompt(text, NEW)], one, progress=False)
    assert long.dropped_tokens == 10
    ids = cases.tokenizer().encode(text)
    out = slow_greedy(base, cases.adapter(bank, 0), [ids[0], *ids[11:]], NEW, (2,))
    known = [i for i in out if i < cases.tokenizer().vocab_size]
    assert long.text == cases.tokenizer().decode(known)


def test_generation_ends_with_the_context(base: FrozenBase, bank: Any) -> None:
    """More new tokens than fit: the prompt stays whole, being under half the context, and the text ends."""
    mute = np.array(base.params["lm_head"]["kernel"])
    mute[:, 2] = 0
    endless = dataclasses.replace(base, params={**base.params, "lm_head": {"kernel": mute}})
    one = jax.tree.map(lambda x: x[:1], bank)
    decoder = Decoder(endless, cases.tokenizer(), CONFIG)
    ((full,),) = decoder.generate([Prompt("Q: 34567890", 90)], one, progress=False)
    assert (full.dropped_tokens, full.finished) == (0, False)
    ids = cases.tokenizer().encode("Q: 34567890")
    out = slow_greedy(endless, cases.adapter(bank, 0), ids, cases.LONGEST - len(ids), (2,))
    known = [i for i in out if i < cases.tokenizer().vocab_size]
    assert full.text == cases.tokenizer().decode(known)


def test_generation_and_likelihood_requests_mix(
    base: FrozenBase, bank: Any, expected: list[list[Continuation]]
) -> None:
    scorer = Scorer(base, cases.tokenizer(), CONFIG)
    requests = []
    for i, text in enumerate(TEXTS):
        requests.append(Request("test", f"g{i}", "", "", f"<s>{text}", max_new_tokens=NEW))
        if i % 2:
            requests.append(cases.request(f"l{i}", text, "A", "B"))
    scored = scorer.score(requests, bank, progress=False)
    for a in range(ADAPTERS):
        assert [r.key for r in scored[a]] == [r.key for r in requests]
        generated = [r for r in scored[a] if r.text is not None]
        assert [(r.text, r.finished) for r in generated] == [
            (c.text, c.finished) for c in expected[a]
        ]
        assert all(len(r.logprobs) == 2 for r in scored[a] if r.text is None)
    report = scorer.report()
    assert report["generated_requests"] == ADAPTERS * len(TEXTS)
    assert 0 < report["prompt_tokens"] < report["padded_prompt_tokens"]
    assert report["requests"] == ADAPTERS * len(requests)


def test_trained_model_tells_its_story(shared_data: Path) -> None:
    """stories260K: the text is the one that the weights' author publishes."""
    directory = shared_data / "models" / "stories260K"
    base = load_base(directory, cases.LORA, Compute(mesh=cases.mesh_of(1)))
    tokenizer = Tokenizer.from_directory(directory)
    zeros = jax.tree.map(
        lambda leaf: np.zeros((1, *leaf.shape), np.float32), abstract(base.config, cases.LORA).lora
    )
    start = "Once upon a time"
    decoder = Decoder(base, tokenizer, ScoreConfig(decode_batch=2))
    ((told, again),) = decoder.generate([Prompt(start, 64)] * 2, zeros, progress=False)
    assert told == again
    assert told.text.startswith(
        ", there was a little girl named Lily. She loved to play outside in the park. "
        "One day, she saw a big, red ball."
    )
    slow = slow_greedy(
        base, cases.adapter(zeros, 0), tokenizer.encode(start), 64, (tokenizer.eos_id,)
    )
    assert told.text == tokenizer.decode(slow)
