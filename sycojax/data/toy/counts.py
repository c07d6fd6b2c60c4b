"""How many records the world is made into."""

from __future__ import annotations

import dataclasses

from sycojax.data.toy import world as w


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

    def scaled(self, factor: float) -> Counts:
        """The same proportions at another size."""
        return dataclasses.replace(
            self,
            **{
                f.name: max(2, round(getattr(self, f.name) * factor))
                for f in dataclasses.fields(self)
                if isinstance(getattr(self, f.name), int)
            },
        )

    @classmethod
    def of(cls, sizes: w.Sizes) -> Counts:
        """The usual proportions for a world of these sizes."""
        return cls().scaled(sizes.entities / w.Sizes().entities)
