"""Effects against doses: which doses a sweep has, the series along each, and the trend per doubling."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.results import Results
from analysis.statistics import Estimate, Resampled, error, pooled_spread, resample
from analysis.sweep.load import Point, Sweep, label, setting_text, short

STEPS = "training steps"


@dataclasses.dataclass(frozen=True)
class Dose:
    """A quantity that points differ in; ``keys`` are the settings that it stands for."""

    name: str  # of files
    title: str
    keys: tuple[str, ...]
    along: tuple[str, ...] = ()  # keys that the sweep changes together with these

    def of(self, point: Point) -> float:
        """How much of it a point got."""
        if self.title == STEPS:
            return float(np.mean(point.steps)) if point.steps else math.nan
        if self.keys == ("data.train_limit",):
            return float(point.examples)  # 0 rows stand for all, and some are dropped
        value = point.settings[self.keys[0]]
        return float(value)


@dataclasses.dataclass(frozen=True)
class Series:
    """Points of one adapter that differ in the dose alone, in its order."""

    family: int
    adapter: str
    label: str  # the settings that they share
    points: tuple[Point, ...]


def doses(sweep: Sweep) -> list[Dose]:
    """Training steps, then every key that takes several numbers; of keys that change together, the first.

    A key is no dose where no line would have two points: one that changes the questions, for example, since points are
    joined only where the base was asked the same.
    """
    found = [dose for dose in [_steps(sweep)] if dose]
    for key in sweep.factors:
        if any(dose.keys == (key,) or key in dose.along for dose in found):
            continue  # the same curve again
        values = [point.settings[key] for point in sweep.points if key in point.settings]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(values):
            title = (
                "training examples" if key == "data.train_limit" else short(key).replace("_", " ")
            )
            dose = Dose(short(key), title, (key,), _along(sweep, (key,)))
            found += [dose] if any(_amounts(sweep, dose)) else []
    return found


def _steps(sweep: Sweep) -> Dose | None:
    """The dose "training steps", or None where they do not vary.

    In a grid of data and epochs, twice the data and twice the epochs come to the same steps but are not the same
    training. So the steps that one key sets are the dose, and every value of the other keys has a line of its own. Where
    no single key gives such lines, all of them together are the dose.
    """
    # Keys that change how many steps there are. A curve against steps may stand for any of them.
    lengths = tuple(key for key in sweep.factors if key in sweep.document["lengths"])
    ways = [Dose("steps", STEPS, (key,), _along(sweep, (key,))) for key in lengths]
    for dose in ways:
        if all(found := _amounts(sweep, dose)) and found:
            return dose
    pooled = Dose("steps", STEPS, lengths, _along(sweep, lengths))
    return pooled if lengths and any(_amounts(sweep, pooled)) else None


def _amounts(sweep: Sweep, dose: Dose) -> list[bool]:
    """For every line along the dose, whether its points got different amounts of it."""
    return [len({dose.of(p) for p in line.points}) > 1 for line in series(sweep, dose)]


def _along(sweep: Sweep, keys: tuple[str, ...]) -> tuple[str, ...]:
    """The other keys that change together with ``keys``: each value of ``keys`` comes with one value of theirs, and back."""
    moving = []
    settings = [point.settings for point in sweep.points if point.settings]
    for other in sweep.factors:
        pairs = {
            (*(setting_text(s[key]) for key in keys), setting_text(s[other])) for s in settings
        }
        ones, others = {pair[:-1] for pair in pairs}, {pair[-1] for pair in pairs}
        if other not in keys and len(pairs) == len(ones) == len(others) > 1:
            moving.append(other)
    return tuple(moving)


def series(sweep: Sweep, dose: Dose) -> list[Series]:
    """All series along a dose, those of an adapter together."""
    found: dict[tuple[str, int, str], list[Point]] = {}
    for number, family in enumerate(sweep.families):
        for point in family.points:
            if not all(key in point.settings for key in dose.keys):
                continue
            rest = label(
                {k: v for k, v in point.settings.items() if k not in (*dose.keys, *dose.along)}
            )
            found.setdefault((point.adapter, number, rest), []).append(point)
    return [
        Series(family, adapter, rest, tuple(sorted(points, key=dose.of)))
        for (adapter, family, rest), points in sorted(found.items(), key=lambda item: item[0][0])
    ]


def replicates(results: Results, evaluation: str) -> dict[str, list[Resampled]]:
    """The headline of an evaluation, per group and seed."""
    study, lead = results.study, results.leading(evaluation)
    found = {
        group: [
            resample(measure)
            for c in study.of_adapter(group)
            if lead and (measure := study.measure(c.name, evaluation, lead.name))
        ]
        for group in study.adapters
    }
    return {group: seeds for group, seeds in found.items() if seeds}


def trend(line: Series, dose: Dose, samples: Mapping[str, Sequence[Resampled]]) -> Estimate | None:
    """Change of a headline per doubling of the dose, with its 95 % interval; ``samples`` as ``replicates`` gives them.

    The least-squares slope of the points' levels on log2(dose) is a weighted sum of adapters, so its error is that of
    any such sum (``statistics.seeds.error``): points share the items, and the spread between seeds is pooled over the
    sweep. The base cancels. None where there is no line to draw.
    """
    amounts = [dose.of(point) for point in line.points]
    mine = [samples.get(point.group, ()) for point in line.points]
    if not min(amounts) > 0 or len(set(amounts)) < 2 or not all(mine):
        return None
    if len({s.measure.items for seeds in mine for s in seeds}) > 1:
        return None
    x = np.log2(amounts)
    weights = (x - x.mean()) / float(((x - x.mean()) ** 2).sum())
    terms = list(zip(map(float, weights), mine, strict=True))
    found = error(terms, pooled_spread(list(samples.values())))
    half = found.half_width() if found.se > 1e-12 else math.nan  # or nothing differs between points
    return Estimate(found.value, found.value - half, found.value + half, note="no item differs")
