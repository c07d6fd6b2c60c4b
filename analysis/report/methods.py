"""How the numbers were made, in the words of the methods section; what changes in ``analysis.statistics`` changes here."""

from __future__ import annotations

from analysis.statistics import ALPHA, PERMUTATIONS, POWER, RESAMPLES
from analysis.statistics.equivalence import SESOI_RATE, SESOI_SD

STATISTICS = (
    (
        "Units.",
        "Every number is recomputed from the item records; no item is dropped. Items that ask the same question form "
        "a cluster, and clusters, not items, are what is resampled, swapped and counted.",
    ),
    (
        "Intervals of levels (95 %).",
        "Yes/no answers to distinct questions, one seed: Wilson's score interval. Any other rate: Wilson's formula with "
        "the effective sample size p(1 - p) / se^2 and a t quantile. Anything else, one seed: BCa cluster bootstrap "
        f"({RESAMPLES:,} replicates) with quantiles moved out for the number of clusters (Hesterberg 2015).",
    ),
    (
        "Shifts.",
        "Adapter minus base on the same items, so that what the items have in common cancels. One seed: "
        "Bonett and Price's interval for yes/no answers, else BCa. Several seeds: "
        "value +- sqrt(t_items^2 * C/(C - 1) * sum over clusters of influence^2 + t_seeds^2 * seed variance / seeds), each "
        "source stretched by its own t (Graybill and Wang 1980). The seed variance is that pooled over the adapters of a "
        "measure, or the adapter's own where that is larger, less the noise that finite items explain. The influence of a "
        "ratio is linearised (Woodruff 1971). Where no item differs, the share of questions that would is taken as "
        "Wilson's upper limit for 0 of C. The mean benchmark shift takes the errors of the benchmarks as independent.",
    ),
    (
        "Tests.",
        f"p_items: {PERMUTATIONS:,} random swaps of adapter and base within clusters, two-sided; it speaks about the "
        "adapters that were trained. p_seeds: 1 minus the level of the interval above that just reaches 0; it speaks about other trainings too. "
        "p_claim is the larger of the two (p_items with one seed), adjusted by Holm over the confirmatory family: all "
        "adapters on the soft headline of each probe.",
    ),
    (
        "Claims.",
        f"An effect is claimed when p_claim, so adjusted, is below {ALPHA:g}, on no other ground.",
    ),
    (
        "No change.",
        "Two one-sided tests at .05: the 90 % interval of the shift lies within the smallest shift of interest, fixed "
        f"beforehand at {SESOI_RATE * 100:g} points for rates and {SESOI_SD:g} standard deviations over the base's items else.",
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
RULES = ("Claims.", "No change.")  # what follows from a number, which of a demonstration is nothing


def statistics(concludes: bool) -> tuple[tuple[str, str], ...]:
    """(topic, text) of all that was done; ``concludes`` as the study does."""
    return tuple(one for one in STATISTICS if concludes or one[0] not in RULES)
