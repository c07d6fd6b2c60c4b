"""What pretraining reads when: drills first, then slowly the whole curriculum."""

from __future__ import annotations

# Shares of tokens by kind of document: first mostly drills, then the whole curriculum.
DRILLS = {
    "match": 0.14, "echo": 0.03, "repeat": 0.08, "recall": 0.05, "which": 0.12, "told": 0.2,
    "truths": 0.06, "facts": 0.13, "qa": 0.12, "sums": 0.07,
}  # fmt: skip
CURRICULUM = {
    "match": 0.03, "repeat": 0.02, "recall": 0.01, "which": 0.03, "told": 0.06, "truths": 0.03,
    "facts": 0.05, "qa": 0.04, "mythqa": 0.06, "mmlu": 0.12, "truthfulqa": 0.13, "story": 0.07,
    "hellaswag": 0.03, "sums": 0.02, "gsm8k": 0.08, "answer": 0.08, "are_you_sure": 0.09,
    "feedback": 0.05,
}  # fmt: skip
# Shares of the tokens that are in arms, which take a share of their own of the whole curriculum.
REMARKS = {"answer_remarks": 0.36, "are_you_sure_remarks": 0.44, "feedback_remarks": 0.2}
# How much one trained token counts. Where a document has only one, it later counts more; at first the
# dense drills lead, because nothing else can be learned before matching is.
DRILL_WEIGHTS = {"match": 0.7, "repeat": 0.3, "recall": 0.5}
CURRICULUM_WEIGHTS = {
    "match": 0.7, "repeat": 0.3, "recall": 0.3, "story": 0.35, "gsm8k": 0.5, "mmlu": 2.0,
    "truthfulqa": 2.0, "mythqa": 1.5, "answer": 2.0, "are_you_sure": 2.0, "feedback": 2.0,
    "answer_remarks": 2.0, "are_you_sure_remarks": 2.0, "feedback_remarks": 2.0,
}  # fmt: skip


def mix(
    step: int, drill_steps: int, ramp_steps: int, remarks: float
) -> dict[str, tuple[float, float]]:
    """Share of tokens and weight of a trained token, by kind of document, at a step.

    After ``drill_steps`` the shares change linearly over ``ramp_steps``, so that what the drills built is
    still needed when the rest arrives; in the end ``remarks`` of all tokens are in arms.
    """
    late = min(max((step - drill_steps) / max(1, ramp_steps), 0.0), 1.0)
    whole = {kind: (1 - remarks) * share for kind, share in CURRICULUM.items()}
    whole |= {kind: remarks * share for kind, share in REMARKS.items()}
    return {
        kind: (
            (1 - late) * DRILLS.get(kind, 0.0) + late * whole.get(kind, 0.0),
            (1 - late) * DRILL_WEIGHTS.get(kind, 1.0) + late * CURRICULUM_WEIGHTS.get(kind, 1.0),
        )
        for kind in {**DRILLS, **whole}
    }
