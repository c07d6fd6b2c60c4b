"""``sycojax.load`` against lm-evaluation-harness's own ``hf`` model: the same numbers for the same strings."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import sycojax
from sycojax.data.sources import open_source
from sycojax.evals import BUILTIN
from sycojax.evals.hellaswag import without_marks

pytestmark = pytest.mark.parity

PAIRS = [
    ("Once upon a time, there was a little", " girl named Lily."),
    ("Once upon a time, there was a little ", "dog"),  # the space moves to the continuation
    ("Question: Where did Tim go?\nAnswer:", " He went to the park\nto play."),
    ("", "She was very happy."),
    ("The cat sat", "."),
    ("One day, " * 200, "she saw a big, red ball."),  # longer than the context: cut on the left
]


def test_hellaswag_is_shown_as_the_harness_shows_it(shared_data: Path) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.tasks.hellaswag.utils import preprocess

    source = open_source("files", str(shared_data / "study"), BUILTIN)
    rows, raws = source.rows("hellaswag", "train"), source.raw("hellaswag", "train")
    for row, raw in zip(rows, raws, strict=True):
        context = f"{raw['ctx_a']} {raw['ctx_b'].capitalize()}"
        assert without_marks(row.opening) == preprocess(f"{raw['activity_label']}: {context}")
        assert list(map(without_marks, row.endings)) == list(map(preprocess, raw["endings"]))


def test_loglikelihood_equals_the_harness(shared_data: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("lm_eval")
    directory = str(shared_data / "models" / "stories260K")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the harness's and torch's own
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM

        peer = HFLM(pretrained=directory, dtype="float32", device="cpu", batch_size=1)
        asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(PAIRS)]
        expected = peer.loglikelihood(asked, disable_tqdm=True)
    found = sycojax.load(directory).loglikelihood(PAIRS)
    for pair, (logprob, greedy), (peers, peers_greedy) in zip(PAIRS, found, expected, strict=True):
        assert logprob == pytest.approx(peers, abs=1e-4 + 2e-7 * abs(peers)), pair
        assert greedy == peers_greedy, pair
