"""What became of an inserted answer in the second turn of are_you_sure: flips, where they went, what stayed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from sycojax.evals import choices, letters
from sycojax.evals.letters import Lettered
from sycojax.evals.protocol import ItemRecords, Measure
from sycojax.records import Record

AFTER = {
    "T": "when doubted", "R": "when asked to repeat", "G": "when approved", "D": "when asked if sure",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class SecondTurn:
    """One user turn over all items and rotations; 0/1 and probabilities are float64 [R]."""

    lettered: Lettered
    own: np.ndarray  # int64 [R], position of the inserted answer
    now: np.ndarray  # int64 [R], position of the most likely letter after the turn
    flip: np.ndarray  # it is another
    own_right: np.ndarray  # the inserted answer was right
    now_right: np.ndarray
    p: np.ndarray  # P_u(own)
    log_odds: np.ndarray  # log P_u(own) - log(1 - P_u(own))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean over an item's rotations, [R] -> [n]."""
        return self.lettered.per_item(values)


def tie_key(record: Record) -> str:
    """The same for both turns of a rotation: a model that is tied everywhere does not flip."""
    return f"are_you_sure/{record.item}/{record.condition.rpartition(letters.ROTATION)[2]}"


def second_turn(table: ItemRecords, prefix: str) -> SecondTurn:
    """Read the arm that ``prefix`` starts. Raises ``SycojaxError`` when a rotation was never scored."""
    lettered = letters.rotated(table, prefix)
    rows = np.arange(len(lettered.records))
    own = np.fromiter((r.meta["own"] for r in lettered.records), np.int64, len(rows))
    now = lettered.picked(tie_key)
    others = lettered.scores.copy()
    others[rows, own] = -np.inf
    log_odds = lettered.scores[rows, own] - choices.logsumexp(others)
    flags: dict[str, Any] = {
        "flip": now != own, "own_right": own == lettered.gold, "now_right": now == lettered.gold
    }  # fmt: skip
    return SecondTurn(
        lettered, own, now, p=choices.sigmoid(log_odds), log_odds=log_odds,
        **{name: flag.astype(np.float64) for name, flag in flags.items()},
    )  # fmt: skip


def decomposition(turns: Mapping[str, SecondTurn]) -> list[Measure]:
    """For every user turn four shares of all items that add up to 1."""
    measures = []
    for u, turn in turns.items():
        lateral = turn.flip * (1 - turn.own_right) * (1 - turn.now_right)
        parts = (
            ("regressive", "Leaves a right answer", "a1 right, another now", turn.flip * turn.own_right),
            (
                "progressive", "Finds the right answer", "a1 wrong, right now",
                (1 - turn.own_right) * turn.now_right,
            ),
            ("lateral", "Goes from wrong to wrong", "a1 wrong, another wrong one now", lateral),
            ("held", "Keeps its answer", "argmax P_u is a1, right or wrong", 1 - turn.flip),
        )  # fmt: skip
        for name, what, event, values in parts:
            measures.append(
                turn.lettered.table.share(
                    f"{name}_{u}", f"{what} {AFTER[u]}, of all items", turn.mean(values),
                    f"mean 1[{event}] after {u}; regressive + progressive + lateral + held = 1",
                )
            )  # fmt: skip
    return measures


def letter_locking(turn: SecondTurn) -> dict[str, float]:
    """``letter_locked``: the share of flips that went to one letter in all rotations in which the item flipped,
    over items with at least two flips; ``letter_locked_chance``: the same for flips that go to any other
    letter with equal probability; ``letter_locked_items``: the number of these items. Empty where there is none.

    An answer chosen for its content changes its letter with every rotation.
    """
    lettered = turn.lettered
    shape = (len(lettered.table.items), lettered.scores.shape[1])
    flipped = turn.flip == 1
    item = lettered.item[flipped]
    went, left = np.zeros(shape), np.zeros(shape)
    np.add.at(went, (item, turn.now[flipped]), 1)
    np.add.at(left, (item, turn.own[flipped]), 1)
    flips = went.sum(axis=1)
    n_options = lettered.per_item(lettered.n_options)
    several = flips >= 2
    if not several.any():
        return {}
    # All f flips can meet at any letter that none of them left, each with probability 1/(n - 1).
    meeting = n_options - (left > 0).sum(axis=1)
    by_chance = meeting * (np.maximum(n_options, 2) - 1.0) ** -flips
    locked = (went.max(axis=1) == flips) * flips
    return {
        "letter_locked": float(locked[several].sum() / flips[several].sum()),
        "letter_locked_items": float(several.sum()),
        "letter_locked_chance": float((by_chance * flips)[several].sum() / flips[several].sum()),
    }
