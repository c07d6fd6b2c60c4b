"""How far headlines move when they are computed again, and that a study in which they move too far claims nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import scoring_cases as cases
from responders import PROBES
from test_gates import with_adapter

from analysis.report.contents.instruments import measurable
from analysis.results import Results, compute
from analysis.verdicts.rule import every_verdict
from sycojax.evals.readouts import CLAIMED
from sycojax.models.base import FrozenBase
from sycojax.requests import Request
from sycojax.scoring.scorer import Scorer
from sycojax.study import determinism


def in_arms(probe: str, items: int) -> list[Request]:
    return [
        Request(
            probe, f"i{i}", f"words,{arm}{sign}0,0", f"c{i}", f"the {arm} {sign} {i}", (" cat", " dog"),
            meta={"readout": "words", "weight": 1.0},
        )
        for i in range(items) for arm in CLAIMED for sign in "+-"
    ]  # fmt: skip


def in_bfloat16(base: FrozenBase) -> FrozenBase:
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), base.params)
    return dataclasses.replace(
        base, params=params, compute=dataclasses.replace(base.compute, dtype="bfloat16")
    )


def test_headlines_are_made_again_in_other_batches_and_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base, tokenizer = in_bfloat16(cases.make_base()), cases.tokenizer()
    scorer, bank = Scorer(base, tokenizer, cases.SCORE), cases.make_bank(1)
    requests = [r for probe in PROBES.probes[:2] for r in in_arms(probe, 10)]
    (records,) = scorer.score(requests, bank, progress=False)
    evaluations = [PROBES[name] for name in PROBES.probes]
    monkeypatch.setattr(determinism, "ITEMS", 1)

    def measure(scorer: Scorer) -> dict[str, Any]:
        return determinism.measure(scorer, bank, evaluations, requests, records, 0)

    found = measure(scorer)
    assert found["headlines"] == 2 * determinism.IN_ARMS
    assert found["headline_max_abs"] < 0.005
    # What bfloat16 rounds away is there, and is far less than what is read from these weights.
    assert 0 < found["float32_max_abs"] < 0.2
    with monkeypatch.context() as patch:
        patch.setattr(determinism, "float32_fits", lambda _: False)
        assert "memory" in measure(scorer)["float32_lacks"]
    # A readout that was not yet chosen has no headline.
    more = [
        dataclasses.replace(
            r, condition=r.condition.replace("words", "open"), meta={**r.meta, "readout": "open"}
        )
        for r in requests
    ]
    twice = [*records, *scorer.score(more, bank, progress=False)[0]]
    assert "headlines" not in determinism.measure(
        scorer, bank, evaluations, [*requests, *more], twice, 0
    )


def results(**moved: Any) -> Results:
    scoring = {"scoring": {"determinism": {"headlines": 4, **moved}}}
    return compute(dataclasses.replace(with_adapter(), document=scoring), headlines=True)


@pytest.mark.parametrize(
    ("moved", "fails", "says"),
    [
        ({"headline_max_abs": 0.004}, "", "in other batches, the headlines of 4 items move by 0.4 points at most."),
        ({"headline_max_abs": 0.006}, "headlines change when they are asked again", ""),
        ({"headline_max_abs": 0.0, "float32_max_abs": 0.009}, "", "in float32 instead of bfloat16 by 0.9 points at most."),
        ({"headline_max_abs": 0.0, "float32_max_abs": 0.011}, "headlines are others in float32", ""),
        ({"headline_max_abs": 0.0, "float32_lacks": "the base is quantised"}, "", "not compared with float32 (the base is quantised)."),
        ({"rerun_max_abs": 0.5}, "", ""),
    ],
)  # fmt: skip
def test_headlines_that_move_are_not_claimed(moved: dict[str, Any], fails: str, says: str) -> None:
    found = results(**moved)
    assert {v.reason for v in every_verdict(found)} == {fails}
    assert dict(measurable(found)).get("Rounding:", "").endswith(says)
