"""Scores do not depend on how requests are batched, shared, sharded or grouped over adapters."""

from __future__ import annotations

import dataclasses
import io
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pytest
import scoring_cases as cases
from jax.sharding import AbstractMesh

from sycojax.config import ScoreConfig
from sycojax.data.encode import encode_pair
from sycojax.errors import SycojaxError
from sycojax.models.base import FrozenBase
from sycojax.parallel.mesh import MESH_AXES
from sycojax.records import Record
from sycojax.requests import Request
from sycojax.scoring import batches
from sycojax.scoring.bank import pass_width
from sycojax.scoring.scorer import Counts, Scorer
from sycojax.scoring.tree import Completion

CONFIG = ScoreConfig(batch_tokens=256, buckets=(32, 64, 128))
ADAPTERS = 3
REQUESTS = cases.sample_requests()


@pytest.fixture(scope="module")
def base() -> FrozenBase:
    return cases.make_base()


@pytest.fixture(scope="module")
def bank() -> Any:
    return cases.make_bank(ADAPTERS)


@pytest.fixture(scope="module")
def scorer(base: FrozenBase) -> Scorer:
    return Scorer(base, cases.tokenizer(), CONFIG)


@pytest.fixture(scope="module")
def scored(scorer: Scorer, bank: Any) -> list[list[Record]]:
    return scorer.score(REQUESTS, bank, progress=False)


def test_batches_are_of_a_size_that_suits_the_devices(base: FrozenBase):
    sizes = Scorer(base, cases.tokenizer(), ScoreConfig()).buckets
    assert sizes.batch_tokens == batches.CPU_TOKENS
    planned = AbstractMesh((1, 1, 1), MESH_AXES)  # accelerators that are not here
    elsewhere = dataclasses.replace(base, compute=dataclasses.replace(base.compute, mesh=planned))
    sizes = Scorer(elsewhere, cases.tokenizer(), ScoreConfig()).buckets
    assert sizes.batch_tokens == batches.TOKENS


def member(bank: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index : index + 1], bank)


def assert_same(a: list[list[Record]], b: list[list[Record]]) -> None:
    assert [[r.key for r in row] for row in a] == [[r.key for r in row] for row in b]
    for x, y in zip(itertools.chain(*a), itertools.chain(*b), strict=True):
        assert_close(x.logprobs, y.logprobs)
        assert (x.n_tokens, x.greedy) == (y.n_tokens, y.greedy)


def assert_close(a: Any, b: Any) -> None:
    """To 1e-5 nats, and a few units in the last place of float32 for long candidates."""
    np.testing.assert_allclose(a, b, rtol=5e-7, atol=1e-5)


def test_equals_one_sequence_at_a_time(
    base: FrozenBase, bank: Any, scored: list[list[Record]]
) -> None:
    for a in range(ADAPTERS):
        for request, record in zip(REQUESTS, scored[a], strict=True):
            expected = cases.slow_request(base, cases.adapter(bank, a), request)
            assert_close(record.logprobs, [e[0] for e in expected])
            assert record.greedy == tuple(e[1] for e in expected)
    # The adapters do something.
    assert np.abs(np.subtract(scored[0][0].logprobs, scored[1][0].logprobs)).min() > 0.01


def test_greedy_is_told_from_nearly_greedy(base: FrozenBase, scorer: Scorer, bank: Any) -> None:
    ids = [1, 40, 41, 42]
    for _ in range(3):
        ids.append(int(cases.full_logits(base, cases.adapter(bank, 1), ids)[-1].argmax()))
    other = [*ids[:-1], ids[-1] - 1]
    completions = [Completion(tuple(x), 4) for x in (ids, other, ids[:5])]
    scores = scorer.score_completions(completions, bank, progress=False)
    assert scores.greedy[1].tolist() == [True, False, True]


def test_repeated_work_is_done_once(scorer: Scorer, bank: Any) -> None:
    scorer.counts = Counts()
    one = scorer.score(REQUESTS, member(bank, 0), progress=False)
    before = dataclasses.replace(scorer.counts)
    again = [dataclasses.replace(r, item=f"again {r.item}") for r in REQUESTS]
    two = scorer.score([*REQUESTS, *again], member(bank, 0), progress=False)
    assert_same([two[0][: len(REQUESTS)]], one)
    assert [r.logprobs for r in two[0][len(REQUESTS) :]] == [r.logprobs for r in one[0]]
    pairs = {(q.prompt, c) for q in REQUESTS for c in q.candidates}
    assert before.completions == scorer.counts.completions - before.completions == len(pairs)
    assert scorer.counts.real_tokens == 2 * before.real_tokens
    assert before.unique_tokens <= before.real_tokens < before.naive_tokens


def test_order_and_company_do_not_matter(
    scorer: Scorer, bank: Any, scored: list[list[Record]]
) -> None:
    compiled = scorer.compilations
    turned = scorer.score(REQUESTS[::-1], bank, progress=False)
    assert_same([row[::-1] for row in turned], scored)
    # Each candidate by itself: no shared prefix, no neighbours in the row.
    for number, request in enumerate(REQUESTS[:8]):
        for c, candidate in enumerate(request.candidates):
            alone = dataclasses.replace(request, candidates=(candidate,))
            records = scorer.score([alone], member(bank, 1), progress=False)[0]
            assert_close(records[0].logprobs[0], scored[1][number].logprobs[c])
    assert scorer.compilations == compiled


@pytest.mark.parametrize("config", [
    dataclasses.replace(CONFIG, buckets=(128,), batch_tokens=128),
    dataclasses.replace(CONFIG, buckets=(16, 40), batch_tokens=40),
    dataclasses.replace(CONFIG, bank_width=2),  # 3 adapters: the last pass overlaps
    dataclasses.replace(CONFIG, bank_width=8),
], ids=["long rows", "short rows", "bank of two", "bank of all"])  # fmt: skip
def test_shapes_and_bank_width_do_not_matter(
    base: FrozenBase, bank: Any, scored: list[list[Record]], config: ScoreConfig
) -> None:
    other = Scorer(base, cases.tokenizer(), config)
    assert_same(other.score(REQUESTS, bank, progress=False), scored)


def test_a_few_questions_do_not_fill_a_large_batch(
    base: FrozenBase, bank: Any, scored: list[list[Record]]
) -> None:
    """And later calls find the programs of earlier ones, whichever came first."""
    small, large = REQUESTS[:1], cases.sample_requests(200, 3)
    config = dataclasses.replace(CONFIG, batch_tokens=8 * 1024)
    scorer = Scorer(base, cases.tokenizer(), config)
    assert_same(scorer.score(small, bank, progress=False), [row[:1] for row in scored])
    assert scorer.counts.padded_tokens <= 512 * ADAPTERS
    scorer.score(large, member(bank, 0), progress=False)
    assert scorer.compilations == 2
    scorer.score(small, member(bank, 0), progress=False)
    scorer.score(large[::-1], member(bank, 1), progress=False)
    assert scorer.compilations == 2
    turned = Scorer(base, cases.tokenizer(), config)
    turned.score(large, member(bank, 0), progress=False)
    turned.score(small, member(bank, 0), progress=False)
    assert turned.compilations == 1


def test_no_round_compiles_again(scorer: Scorer, bank: Any, scored: list[list[Record]]) -> None:
    compiled = scorer.compilations
    assert compiled == len(scorer.report()["row_lengths"]) <= 2
    followups = [cases.sample_requests(4, seed) for seed in range(ADAPTERS)]
    with jax.transfer_guard("disallow"):  # nothing moves between host and device by accident
        each = scorer.score_each(followups, jax.device_put(bank), progress=False)
    for a, requests in enumerate(followups):
        assert_same([each[a]], [scorer.score(requests, bank, progress=False)[a]])
    scorer.score(cases.sample_requests(40, 9), bank, progress=False)
    scorer.score(REQUESTS[:1], member(bank, 2), progress=False)
    assert scorer.compilations == compiled


def test_the_next_configuration_costs_no_encoding(
    base: FrozenBase, scorer: Scorer, bank: Any
) -> None:
    asked = cases.sample_requests(3, seed=5)
    scorer.tokenizer, kept = Counting(), scorer.tokenizer
    try:
        first = scorer.score(asked, member(bank, 0), progress=False)
        once = scorer.tokenizer.calls
        prompts = {r.prompt for r in asked}
        assert once == len(prompts | {r.prompt + c for r in asked for c in r.candidates})
        second = scorer.score(asked, member(bank, 1), progress=False)
        assert scorer.tokenizer.calls == once
    finally:
        scorer.tokenizer = kept
    assert_same(
        [*first, *second], [scorer.score(asked, member(bank, a), progress=False)[0] for a in (0, 1)]
    )


class Counting:
    """The test tokenizer, with a count of what it encoded."""

    def __init__(self) -> None:
        self.calls, self._tokenizer = 0, cases.tokenizer()

    def encode_batch(
        self, texts: Sequence[str], *, add_special_tokens: bool = True
    ) -> list[list[int]]:
        self.calls += len(texts)
        return self._tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens)


def test_a_small_bank_takes_the_program_of_a_full_one() -> None:
    assert pass_width(5, 4, ()) == 4
    assert pass_width(3, 4, {4}) == 4
    assert pass_width(3, 4, {1}) == 3
    assert pass_width(1, 4, {4}) == 1


def asked_of(base: FrozenBase, request: Any) -> list[Any]:
    bank = cases.make_bank(1)
    return Scorer(base, cases.tokenizer(), CONFIG).score([request], bank, progress=False)[0]


def generated(prompt: str, tokens: int) -> Request:
    return Request("test", "g", "", "g", f"<s>{prompt}", (), tokens)


def changed(base: FrozenBase, **config: Any) -> FrozenBase:
    return dataclasses.replace(base, config=dataclasses.replace(base.config, **config))


def test_only_ids_that_are_used_need_an_embedding(base: FrozenBase) -> None:
    """Tables of real checkpoints have fewer rows than the tokenizer has ids, or many more."""
    small = changed(base, vocab_size=50)
    within = cases.request("a", "0123456789", "a", "b")  # ids below 50
    assert asked_of(small, within) == asked_of(base, within)
    for request in (
        cases.request("b", "~", "a", "b"), cases.request("c", "0", "a", "~"),
        generated("~", 2),
    ):  # fmt: skip
        with pytest.raises(SycojaxError, match=r"token id \d+ has no embedding, the model has 50"):
            asked_of(small, request)
    completion = Completion((1, 60), 1)
    with pytest.raises(SycojaxError, match="text 0: token id 60 has no embedding"):
        Scorer(small, cases.tokenizer(), CONFIG).score_completions(
            [completion], cases.make_bank(1), progress=False
        )


def test_only_texts_longer_than_a_window_are_refused(base: FrozenBase) -> None:
    window = changed(base, sliding_window=12)
    within = cases.request("a", "0123456789", "a", "b")  # with BOS 11 inputs
    assert asked_of(window, within) == asked_of(base, within)
    longer = cases.request("b", "0123456789", "a", "bcd")
    with pytest.raises(
        SycojaxError, match=r"13 tokens, and layers of this model look back over 12 "
    ):
        asked_of(window, longer)
    fits = generated("012345", 5)
    assert asked_of(window, fits) == asked_of(base, fits)
    with pytest.raises(SycojaxError, match=r"and its 6 new tokens: 13 tokens, .* over 12 "):
        asked_of(window, generated("012345", 6))
    with pytest.raises(SycojaxError, match=r"text 0: 13 tokens, .* over 12 "):
        Scorer(window, cases.tokenizer(), CONFIG).score_completions(
            [Completion((1,) * 14, 13)], cases.make_bank(1), progress=False
        )


def test_score_each_wants_one_list_per_adapter(scorer: Scorer, bank: Any) -> None:
    with pytest.raises(SycojaxError, match="2 lists of requests for 3 adapters"):
        scorer.score_each([[], []], bank)
    assert scorer.score_each([[], [], []], bank) == [[], [], []]


def test_long_prompts_lose_their_oldest_tokens(scorer: Scorer, base: FrozenBase, bank: Any) -> None:
    long = cases.request("long", "0123456789" * 12, "A", "xyz", "AB")
    dropped = scorer.counts.dropped_tokens
    (record,) = scorer.score([long], member(bank, 0), progress=False)[0]
    # 1 + 120 prompt tokens, and two of "xyz" are fed: 123 against a context of 96.
    assert record.dropped_tokens == 123 - cases.LONGEST == 27
    assert scorer.counts.dropped_tokens == dropped + 27
    for candidate, logprob in zip(long.candidates, record.logprobs, strict=True):
        ids = encode_pair(cases.tokenizer().encode, long.prompt, candidate).token_ids
        kept = [ids[0], *ids[28:]]
        start = len(kept) - len(candidate)
        expected, _ = cases.slow_score(base, cases.adapter(bank, 0), kept, start)
        assert_close(logprob, expected)


def test_a_candidate_longer_than_the_context_is_refused(scorer: Scorer, bank: Any) -> None:
    fits = cases.request("fits", "Q", "x" * cases.LONGEST)
    (record,) = scorer.score([fits], member(bank, 0), progress=False)[0]
    assert record.n_tokens == (cases.LONGEST,)
    too_long = cases.request("too long", "Q", "x" * (cases.LONGEST + 1))
    with pytest.raises(SycojaxError, match=r"test/too long/.*context of 96"):
        scorer.score([too_long], bank, progress=False)


def test_broken_weights_are_reported(base: FrozenBase, bank: Any, scorer: Scorer) -> None:
    broken = member(bank, 0)
    broken["layers"]["mlp"]["up_proj"]["lora_b"] = np.full_like(
        broken["layers"]["mlp"]["up_proj"]["lora_b"], np.nan
    )
    with pytest.raises(SycojaxError, match=r"test/0/: scores .*nan.* not finite"):
        scorer.score(REQUESTS, broken, progress=False)


def test_boundary_inside_a_token_is_counted(scorer: Scorer, bank: Any) -> None:
    before = scorer.counts.merged_pairs
    request: Request = cases.request("merged", "pick (", "A", "B")
    (record,) = scorer.score([request], member(bank, 0), progress=False)[0]
    assert record.n_tokens == (1, 1)  # "(A" is one token and is scored whole
    assert scorer.counts.merged_pairs == before + 1


def test_progress_is_shown_to_people_unless_quiet(
    scorer: Scorer, bank: Any, scored: list[list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    pairs = {(q.prompt, c) for q in REQUESTS for c in q.candidates}
    total = ADAPTERS * len(pairs)
    for terminal, progress, shown in (
        (Terminal(), True, True),
        (Terminal(), False, False),
        (io.StringIO(), True, False),  # a log file gets no bars
    ):
        monkeypatch.setattr("sys.stderr", terminal)
        scorer.score(REQUESTS, bank, progress=progress)
        assert (f"/{total} " in terminal.getvalue()) == shown
