"""Lettered answers read as whole tables: accuracies, habits of position, and calibration.

A model that answers by position instead of by content shows as a gap between stored and rotated order, as a
letter that takes more than its share of the probability, and as recalls that differ between letters. Over the
rotations of an item every option stands at several letters, with four options at each letter once, so what a
letter gets on average owes nothing to the option behind it. Averaging the other way round, the log-probability
of an option over the letters it stood at, gives what the content gets and owes nothing to the letters
(the separation of Zheng et al. 2024, arXiv:2309.03882).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from sycojax.evals import choices
from sycojax.evals.protocol import ItemRecords, Measure, padded
from sycojax.records import Record

ROTATION = "rotation="
AUDITED = "ABCD"  # letters whose habits are told apart; of items that have at least these
ECE_BINS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Lettered:
    """R records of lettered questions: one row per item and rotation, C letters at most."""

    table: ItemRecords
    records: list[Record]
    item: np.ndarray  # int64 [R], index into the table's items
    rotation: np.ndarray  # int64 [R]
    gold: np.ndarray  # int64 [R], position of the right option
    n_options: np.ndarray  # int64 [R]
    scores: np.ndarray  # float64 [R, C] in nats, -inf past a record's letters

    @property
    def logp(self) -> np.ndarray:
        """Log-probabilities among the item's own letters, float64 [R, C]."""
        return self.scores - choices.logsumexp(self.scores)[:, None]

    def picked(self, key: Callable[[Record], str]) -> np.ndarray:
        """The most likely letter of every record, int64 [R]; ``key`` breaks ties."""
        return choices.pick_rows(self.scores, lambda row: key(self.records[row]))

    def per_item(self, values: np.ndarray) -> np.ndarray:
        """Mean over an item's rotations, [R] -> float64 [n]."""
        n = len(self.table.items)
        return np.bincount(self.item, values, n) / np.bincount(self.item, minlength=n)

    def even_minus_odd(self, values: np.ndarray) -> np.ndarray:
        """Mean over an item's even rotations less that over its odd ones, [R] -> float64 [n].

        Half of what was measured against the other half: nothing but noise, 0 expected.
        """
        n, odd = len(self.table.items), self.rotation % 2
        sums = [np.bincount(self.item, values * half, n) for half in (1 - odd, odd)]
        counts = [np.bincount(self.item, half, n) for half in (1 - odd, odd)]
        return sums[0] / np.maximum(counts[0], 1) - sums[1] / np.maximum(counts[1], 1)


def rotated(table: ItemRecords, prefix: str = ROTATION) -> Lettered:
    """The records of all rotations, of the arm that ``prefix`` starts.

    Raises ``SycojaxError`` when one was never scored.
    """
    found: list[Record] = []
    counts = []
    for item in table.items:
        first = table.get(item, f"{prefix}0")
        k = min(len(first.logprobs), choices.MAX_ROTATIONS)
        found.append(first)
        found += [table.get(item, f"{prefix}{i}") for i in range(1, k)]
        counts.append(k)
    rotation = np.concatenate([np.arange(k) for k in counts]) if counts else np.arange(0)
    return _lettered(table, found, np.repeat(np.arange(len(counts)), counts), rotation)


def single(table: ItemRecords, condition: str) -> Lettered:
    """The records of one condition."""
    found = [table.get(item, condition) for item in table.items]
    return _lettered(table, found, np.arange(len(found)), np.zeros(len(found), np.int64))


def _lettered(
    table: ItemRecords, records: list[Record], item: np.ndarray, rotation: np.ndarray
) -> Lettered:
    gold = np.fromiter((r.meta["gold"] for r in records), np.int64, len(records))
    n_options = np.fromiter((len(r.logprobs) for r in records), np.int64, len(records))
    scores = padded([r.logprobs for r in records], -np.inf)
    return Lettered(table, records, item.astype(np.int64), rotation, gold, n_options, scores)


def lettered_measures(records: Sequence[Record]) -> list[Measure]:
    """What a lettered benchmark measures: accuracies, their gap, and where the answers stand."""
    table = ItemRecords(_lettered_only(records))
    turned, stored = rotated(table), single(table, "as_is")
    picked = turned.picked(lambda r: r.key)
    accuracy = turned.per_item(picked == turned.gold)
    as_is = (stored.picked(lambda r: r.key) == stored.gold).astype(np.float64)
    recipe_asks_stored = bool(stored.records) and bool(stored.records[0].meta["stored"])
    return [
        table.share(
            "accuracy", "Accuracy, options rotated", accuracy,
            "share of rotations in which the right letter is the most likely, mean over items",
            headline="" if recipe_asks_stored else "hard",
        ),
        table.share(
            "accuracy_as_is", "Accuracy, stored option order", as_is,
            "share of items whose right letter is the most likely in stored order",
            headline="hard" if recipe_asks_stored else "",
        ),
        table.mean(
            "position_gap", "Accuracy in stored order minus rotated", as_is - accuracy,
            "accuracy_as_is - accuracy: what knowing the position is worth",
        ),
        table.mean(
            "rotation_null", "Accuracy in even minus odd rotations",
            turned.even_minus_odd((picked == turned.gold).astype(np.float64)),
            "mean over items of accuracy in rotations 0, 2 minus in rotations 1, 3: noise alone",
        ),
        table.share(
            "accuracy_content", "Accuracy, letters averaged out", content_hits(turned),
            "share of items whose right option has the highest mean log P over the letters it stood at",
        ),
        table.share(
            "first_letter", "Share of answers A, options rotated", turned.per_item(picked == 0),
            "share of rotations in which A is the most likely letter; the mean of 1/n when position is ignored",
        ),
        *letter_masses(turned),
    ]  # fmt: skip


def lettered_diagnostics(records: Sequence[Record]) -> dict[str, float]:
    """Coverage, ties, expected first letters, and the habits of ``letter_habits``."""
    table = ItemRecords(_lettered_only(records))
    if not table.items:
        return {}
    turned, stored = rotated(table), single(table, "as_is")
    found = letter_habits(turned, turned.picked(lambda r: r.key))
    not_a = stored.gold != 0
    if not_a.any():
        picked = stored.picked(lambda r: r.key)
        found["a_when_not_a"] = float((picked[not_a] == 0).mean())
    return found


def _lettered_only(records: Sequence[Record]) -> list[Record]:
    return [r for r in records if r.condition == "as_is" or r.condition.startswith(ROTATION)]


def letter_masses(turned: Lettered) -> list[Measure]:
    """Measures ``letter_mass_A`` to ``letter_mass_D``; empty where no item has four options."""
    eligible = _audited(turned)
    if not eligible.any():
        return []
    p = np.exp(turned.logp[:, : len(AUDITED)]) * eligible[:, None]
    of_all = turned.per_item(p.sum(axis=1))
    return [
        turned.table.rates(
            f"letter_mass_{letter}", f"Probability of the letter {letter}",
            [(turned.per_item(p[:, k]), of_all)],
            f"sum of P({letter}) / sum of P(A or B or C or D) over all rotations of items with four or more "
            "options; 1/4 when position is ignored",
        )
        for k, letter in enumerate(AUDITED)
    ]  # fmt: skip


def letter_habits(turned: Lettered, picked: np.ndarray) -> dict[str, float]:
    """Side figures of first answers in rotated order: what the letters get, how sure and how calibrated.

    ``letter_rstd`` is the standard deviation over letters of the recall of items whose right option stands
    there; ``letter_prior_A``... is the probability a letter gets for itself, the softmax of the mean over
    rotations of log P(letter) less the content of the option behind it (both Zheng et al. 2024); ``entropy``
    is the mean entropy of P_1 in nats; ``ece`` the expected calibration error over ten bins of equal width.
    """
    hit = picked == turned.gold
    logp = turned.logp
    p = np.exp(logp)
    surely = p.max(axis=1)
    bins = np.minimum((surely * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    not_a = turned.gold != 0
    mass = np.exp(choices.logsumexp(turned.scores))
    found = {
        "coverage_median": float(np.median(mass)),
        "coverage_mean": float(np.mean(mass)),
        "greedy": float(np.mean([any(r.greedy) for r in turned.records])),
        "ties": float(choices.tied_rows(turned.scores).sum()),
        "first_letter_expected": float(np.mean(1 / turned.n_options)),
        "a_when_not_a_rotated": float((picked[not_a] == 0).mean()) if not_a.any() else 0.0,
        "entropy": float(-(p * np.where(p > 0, logp, 0.0)).sum(axis=1).mean()),
        "ece": float(np.abs(np.bincount(bins, hit - surely)).sum() / len(hit)),
    }
    eligible = _audited(turned)
    at = [hit[eligible & (turned.gold == k)] for k in range(len(AUDITED))]
    if all(len(hits) for hits in at):
        found["letter_rstd"] = float(np.std([hits.mean() for hits in at]))
    if eligible.any():
        prior = _letter_prior(turned)[np.unique(turned.item[eligible])].mean(axis=0)
        found |= {
            f"letter_prior_{letter}": float(x) for letter, x in zip(AUDITED, prior, strict=True)
        }
    return found


def content_hits(turned: Lettered) -> np.ndarray:
    """Whether an item's right option has the highest mean log P, float64 [n]; ties by the item's name."""
    items = turned.table.items
    best = choices.pick_rows(_content(turned), lambda i: f"content/{items[i]}")
    _, first = np.unique(turned.item, return_index=True)
    right = _order(turned)[first, turned.gold[first]]
    return (best == right).astype(np.float64)


def _audited(turned: Lettered) -> np.ndarray:
    return turned.n_options >= len(AUDITED)


def _order(turned: Lettered) -> np.ndarray:
    """Stored index of the option at each letter, int64 [R, C]; its own index past a record's letters."""
    order = padded([r.meta["order"] for r in turned.records], -1).astype(np.int64)
    return np.where(order < 0, np.arange(order.shape[1]), order)


def _content(turned: Lettered) -> np.ndarray:
    """Mean log P of every stored option over the rotations, float64 [n, C]; -inf past an item's options."""
    logp, order = turned.logp, _order(turned)
    total = np.zeros((len(turned.table.items), logp.shape[1]))
    np.add.at(total, (turned.item[:, None], order), logp)
    return total / np.bincount(turned.item, minlength=len(total))[:, None]


def _letter_prior(turned: Lettered) -> np.ndarray:
    """What each of A to D gets for itself per item, float64 [n, 4]; rows of smaller items mean nothing."""
    behind = _content(turned)[turned.item[:, None], _order(turned)][:, : len(AUDITED)]
    shown = _audited(turned)[:, None]
    rest = np.where(shown, turned.logp[:, : len(AUDITED)], 0.0) - np.where(shown, behind, 0.0)
    mean = np.stack([turned.per_item(column) for column in rest.T], axis=1)
    return np.exp(mean - choices.logsumexp(mean)[:, None])
