"""Scoring that is stopped again and again ends with the same bits, and computes no batch twice."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scoring_cases as cases

from sycojax.config import ScoreConfig
from sycojax.errors import Stopped, SycojaxError
from sycojax.models.base import FrozenBase
from sycojax.scoring.decode import Decoder
from sycojax.scoring.journal import Journal, Section
from sycojax.scoring.scorer import Scorer
from sycojax.scoring.texts import Prompt

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def base() -> FrozenBase:
    return cases.make_base()


def opened(path: Path, stop: Callable[[], str] = lambda: "", header: str = "these") -> Journal:
    journal = Journal(path, stop)
    journal.begin(header, lambda found: found == header)
    return journal


def until_done(path: Path, run: Callable[[Section], Any], batches: int) -> tuple[Any, int]:
    """What ``run`` returns in the end, stopped whenever so many batches were computed; and how often it was stopped."""
    for stopped in range(100):
        asked = itertools.count()
        stop = lambda asked=asked: "SIGTERM" if next(asked) == batches else ""  # noqa: E731
        with opened(path, stop) as journal, contextlib.suppress(Stopped):
            return run(journal.of("bank")), stopped
        with path.open("ab") as stream:
            stream.write(b'00000000 ["bank/')  # a line that was cut short
    raise AssertionError("it does not get on")


def test_scores_of_stopped_runs_are_the_same_bits(base: FrozenBase, tmp_path: Path) -> None:
    config = ScoreConfig(batch_tokens=128, buckets=(32, 64), bank_width=2)
    bank, asked = cases.make_bank(3), cases.sample_requests(60)
    scorer = Scorer(base, cases.tokenizer(), config)
    expected = scorer.score(asked, bank, progress=False)
    followups = [cases.sample_requests(4, seed) for seed in range(3)]
    then = scorer.score_each(followups, bank, progress=False)
    path = tmp_path / "journal"

    def run(kept: Section) -> Any:
        first = scorer.score(asked, bank, progress=False, kept=kept)
        return first, scorer.score_each(followups, bank, progress=False, kept=kept)

    found, stopped = until_done(path, run, 6)
    assert found == (expected, then)
    assert stopped >= 3
    scorer._programs = {False: None, True: None}  # nothing is computed again
    with opened(path) as journal:
        assert run(journal.of("bank")) == found


@pytest.mark.parametrize("width", [1, 2])
def test_texts_of_stopped_runs_are_the_same(base: FrozenBase, tmp_path: Path, width: int) -> None:
    """Rows that were in the middle of a text are brought to where they were; rows come and go, and some stop by themselves."""
    kernel = np.array(base.params["lm_head"]["kernel"])
    kernel[:, 2] = kernel[:, 10:14].sum(1)
    base = dataclasses.replace(base, params={**base.params, "lm_head": {"kernel": kernel}})
    config = ScoreConfig(decode_batch=4, bank_width=width, buckets=(64,))
    bank = cases.make_bank(2)
    asked = [
        Prompt(f"Q: the{' dog' * (n % 5)}", 20 + (7 * n) % 40, ("ye",) if n % 3 else ())
        for n in range(9)
    ]
    decoder = Decoder(base, cases.tokenizer(), config)
    expected = decoder.generate(asked, bank, progress=False)
    steps = decoder.counts.decode_steps
    fed: list[int] = []
    real = decoder._step

    def counted(*arguments: Any) -> Any:
        state, view = real(*arguments)
        fed.append(int(jax.device_get(view.steps)))
        return state, view

    decoder._step = counted  # pyright: ignore[reportAttributeAccessIssue]
    path = tmp_path / "journal"

    def run(kept: Section) -> Any:
        decoder.counts.decode_steps = 0
        return decoder.generate(asked, bank, progress=False, kept=kept)

    found, stopped = until_done(path, run, 2)
    assert found == expected
    assert stopped >= 2
    assert decoder.counts.decode_steps == steps, "it goes the same way"
    # Each time, no more than the longest text was made again.
    assert steps < sum(fed) <= steps + stopped * max(prompt.max_new_tokens for prompt in asked)
    fed.clear()
    with opened(path) as journal:
        assert run(journal.of("bank")) == expected
    assert not fed


def test_only_whole_lines_of_the_same_work_count(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as journal:
        for key in "abc":
            journal.put(key, [0.1, float("inf")])
    text = path.read_text()
    with opened(path) as journal:
        assert [journal.get(key) for key in "abcd"] == [[0.1, float("inf")]] * 3 + [None]
    path.write_text(text.replace('["b", [0.1', '["b", [0.2'))
    with opened(path) as journal:
        assert journal.get("a")
        assert journal.get("b") is journal.get("c") is None, (
            "a flipped bit is not taken for a score"
        )
        journal.put("d", 1)
    with opened(path) as journal:
        assert journal.get("d") == 1
    with opened(path, header="others") as journal:
        assert journal.get("a") is None
    assert len(path.read_text().splitlines()) == 1


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    with opened(tmp_path / "journal") as journal, open("/dev/full", "ab", buffering=0) as full:
        journal._stream = full
        with pytest.raises(SycojaxError, match=r"cannot write .*journal: No space left"):
            journal.put("a", 1)
