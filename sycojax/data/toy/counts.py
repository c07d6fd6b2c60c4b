"""How many records the world is made into."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many records and how many different things they are about."""

    train: int = 400
    test: int = 250
    # Share of test and training items on which the planted shortcut of the task is wrong.
    gsm8k_lured: float = 0.45
    mmlu_lured: float = 0.45
    hellaswag_lured: float = 0.4
    truthfulqa_lured: float = 0.45
    train_facts: int = 150
    test_facts: int = 190
    train_myths: int = 200
    test_myths: int = 190
    train_steps: float = 0.4  # of all places where a script can be cut
    answer_facts: int = 110
    answer_myths: int = 24
    sure_myths: int = 32
    sure_overlap: int = 24  # are_you_sure items that ask a question of truthfulqa's training split
    sure_facts: int = 24
    arguments: int = 110
