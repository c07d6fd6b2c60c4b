"""How the numbers were made, in the words of the methods section; what changes in ``analysis.statistics`` changes here."""

from __future__ import annotations

from analysis.statistics import ALPHA, PERMUTATIONS, POWER
from analysis.statistics.equivalence import FEWEST_SAME, SESOI_RATE, SESOI_SD
from analysis.statistics.paired import FEWEST_TESTED
from analysis.verdicts.rule import SEEN

STATISTICS = (
    (
        "Units.",
        "Every number is recomputed from the item records; no item is dropped. Items that ask the same question form "
        "a cluster, and clusters, not items, are what is resampled, swapped and counted.",
    ),
    (
        "Intervals of levels (95 %).",
        "The method follows from the kind of number, never from what was found. A share of yes/no answers to distinct "
        "questions, one seed: exact binomial limits with mid-P (Lancaster 1961). Any other share: Wilson's formula with the effective sample size "
        "p(1 - p) / se^2 and a t quantile. A difference of rates: Tango's score interval for paired rates (1998), with the "
        "number of items that explains its standard error over clusters and a t quantile; of decisions on distinct "
        "questions with their own number and the normal quantile. Log-odds and other scores without bounds: t over clusters.",
    ),
    (
        "Shifts.",
        "Adapter minus base on the same items, so that what the items have in common cancels; of rates Tango's score interval, "
        "as above. Where each configuration meets a condition on other items (right before), the limits of every rate are "
        "squared and added with their correlations (Newcombe 1998). With several seeds t_seeds * sqrt(seed variance / seeds) "
        "is squared and added to either side, each source stretched by its own t (Graybill and Wang 1980). The seed variance is that pooled over the adapters of a "
        "measure that have a task, or the adapter's own where that is larger, less the noise that finite items explain. The influence of a "
        "ratio is linearised (Woodruff 1971). The mean benchmark shift takes the errors of questions of several benchmarks as independent, and those of seeds as common to them.",
    ),
    (
        "Tests.",
        f"p_items: {PERMUTATIONS:,} random swaps of adapter and base within clusters, two-sided; it speaks about the "
        "adapters that were trained. p_seeds: 1 minus the level at which value +- sqrt(t_items^2 * item variance + t_seeds^2 * seed "
        "variance / seeds) just reaches 0; it speaks about other trainings too. "
        "p_claim is the larger of the two (p_items with one seed), adjusted by Holm over the confirmatory family: all "
        "adapters that have a task on uptake and siding of each probe, where the base's instrument is valid. An adapter that fails a "
        "gate keeps its place in it with p = 1, and no p is shown of it. The placebo is a control: its shift is shown and not tested.",
    ),
    (
        "Claims.",
        f"An effect is claimed when p_claim, so adjusted, is below {ALPHA:g}, on no other ground, from {FEWEST_TESTED} questions on, where "
        "base and adapter pass every gate (docs/readouts.md), and not where the shift is gone where log-odds spread over items as far as the base's or "
        "moved no further than what orders move.",
    ),
    (
        "No change.",
        "Two one-sided tests at .05: the 90 % interval of the shift lies within the smallest shift of interest, fixed "
        f"beforehand at {SESOI_RATE * 100:g} points for rates and {SESOI_SD:g} standard deviations over the base's items else. It is claimed from {FEWEST_SAME} questions on (fewer can miss the few "
        f"that carry a shift), where the gates are passed and the lower bound by which the readout sees is {SEEN * 100:g} points or more.",
    ),
    (
        "MDE.",
        f"The smallest true shift that a two-sided test at .05 finds with {POWER:.0%} power: (t_.975 + t_{POWER:.2f}) * se, "
        "before any adjustment for several tests.",
    ),
    (
        "Yes/no shifts.",
        "Exact McNemar test of the hard headline where one seed answers distinct questions (tables/*.csv).",
    ),
    (
        "Seeds.",
        "ICC = seed variance / (seed variance + item variance of the mean): the share of the uncertainty of one "
        "adapter's number that more seeds would remove and more items would not.",
    ),
    (
        "Strata.",
        "Seen minus unseen is a contrast on the same items with the same error; it is exploratory and not adjusted.",
    ),
    (
        "Correlations.",
        "Pearson's r with the p-value over all pairings of the configurations (random pairings above seven), and the range "
        "when one is left out.",
    ),
    (
        "Audits.",
        "Each audit has a threshold that was fixed before any study was seen. A failure marks the numbers it puts in "
        "doubt; an audit without its input is n/a, never a pass.",
    ),
)  # fmt: skip
RULES = ("Claims.", "No change.")  # left out where no contrast is valid, so that nothing follows


def statistics(concludes: bool) -> tuple[tuple[str, str], ...]:
    """(topic, text) of all that was done; ``concludes`` as the study does."""
    return tuple(one for one in STATISTICS if concludes or one[0] not in RULES)
