"""``sycojax.load`` against lm-evaluation-harness's own ``hf`` model: the same numbers for the same strings."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import sycojax

pytestmark = pytest.mark.parity

PAIRS = [
    ("Once upon a time, there was a little", " girl named Lily."),
    ("Once upon a time, there was a little ", "dog"),  # the space moves to the continuation
    ("Question: Where did Tim go?\nAnswer:", " He went to the park\nto play."),
    ("", "She was very happy."),
    ("The cat sat", "."),
    ("One day, " * 200, "she saw a big, red ball."),  # longer than the context: cut on the left
]


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
