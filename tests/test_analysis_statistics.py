"""The statistics against known answers, SciPy, brute force and small simulations."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from analysis.records.measures import common_items
from analysis.statistics import (
    Error,
    Resampled,
    benjamini_hochberg,
    correlation,
    equivalent,
    error,
    holm,
    icc,
    level,
    mcnemar,
    mid_p,
    minimum_detectable,
    paired_score,
    pooled_spread,
    resample,
    shift,
    smallest_of_interest,
    swap_test,
    wilson,
)
from analysis.statistics.estimates import bootstrap_weights
from sycojax.evals.protocol import Measure


def measure(values, weights=None, clusters=None, unit="rate", items=None) -> Measure:
    above = np.atleast_2d(np.asarray(values, float))
    below = np.ones_like(above) if weights is None else np.atleast_2d(np.asarray(weights, float))
    n = above.shape[1]
    items = tuple(f"i{i}" for i in range(n)) if items is None else items
    clusters = items if clusters is None else tuple(map(str, clusters))
    return Measure("m", "M", unit, items, clusters, above * below, below, "mean")


def rates(values, weights=None, clusters=None, shares=False) -> Resampled:
    made = measure(values, weights, clusters)
    return resample(dataclasses.replace(made, shares=shares))


def nats(values, weights=None, clusters=None) -> Resampled:
    return resample(measure(values, weights, clusters, "nats"))


def test_wilson_known_answers() -> None:
    low, high = wilson(0, 300)
    assert low == 0
    assert high == pytest.approx(0.01264, abs=1e-5)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert all(map(math.isnan, wilson(0, 0)))


def test_a_plain_rate_has_exact_limits_with_half_the_chance_of_what_was_found() -> None:
    """And a clustered one of zero counts the clusters."""
    for successes, n in ((8, 10), (1, 5), (0, 60), (300, 300)):
        low, high = mid_p(successes, n)
        x = stats.binom(n, low)
        assert low == 0 or x.sf(successes) + x.pmf(successes) / 2 == pytest.approx(0.025)
        x = stats.binom(n, high)
        assert high == 1 or x.cdf(successes - 1) + x.pmf(successes) / 2 == pytest.approx(0.025)
        exact = stats.binomtest(successes, n).proportion_ci(0.95, method="exact")
        assert exact.low <= low <= successes / n <= high <= exact.high
    found = level([rates([1] * 8 + [0] * 2, shares=True)])
    assert (found.value, found.low, found.high) == pytest.approx((0.8, *mid_p(8, 10)))
    assert (found.items, found.clusters) == (10, 10)
    found = level([rates([0] * 40, clusters=[i // 2 for i in range(40)], shares=True)])
    assert (found.low, found.high) == pytest.approx(wilson(0, 20))


def test_tangos_interval_has_known_answers() -> None:
    """His own example (Stat. Med. 1998): of 44 pairs 12 go up and 1 down; and where nothing differs z^2 / (n + z^2)."""
    z = stats.norm.ppf(0.975)
    assert paired_score(0, 0, 60, z)[1] == pytest.approx(z * z / (60 + z * z))
    low, high = paired_score(12, 1, 44, z)
    for limit, sign in ((low, 1), (high, -1)):
        # By hand: the statistic with the share that goes down estimated by maximum likelihood at the limit.
        grid = np.linspace(1e-9, (1 - abs(limit)) / 2, 400_001)
        down = grid if limit >= 0 else grid - limit
        likelihood = 12 * np.log(down + limit) + np.log(down)
        likelihood += 31 * np.log(np.maximum(1 - 2 * down - limit, 1e-300))
        q = down[np.argmax(likelihood)]
        error = math.sqrt((2 * q + limit - limit**2) / 44)
        assert (11 / 44 - limit) / error == pytest.approx(sign * z, abs=1e-4)
    assert paired_score(1, 12, 44, z) == pytest.approx((-high, -low))


@pytest.mark.parametrize("n", [5, 10, 30])
def test_every_outcome_counted_no_truth_is_held_too_seldom(n: int) -> None:
    """Exact coverage: of gains and losses of pairs by Tango's interval, of rates by mid-P, where Wilson's fails."""
    z = stats.norm.ppf(0.975)
    found = [(g, k, *paired_score(g, k, n, z)) for g in range(n + 1) for k in range(n + 1 - g)]
    for differ in (0.02, 0.05, 0.1, 0.2, 0.5, 0.8):
        for up in (0.5, 2 / 3, 1.0):
            rates_of = [differ * up, differ * (1 - up), 1 - differ]
            truth = differ * (2 * up - 1)
            held = [(g, k) for g, k, low, high in found if low - 1e-9 <= truth <= high + 1e-9]
            chance = stats.multinomial(n, rates_of)
            assert sum(chance.pmf([g, k, n - g - k]) for g, k in held) >= 0.9275, (differ, up)

    def lowest(interval) -> float:
        ends = np.array([interval(x, n) for x in range(n + 1)])
        at = np.linspace(0.001, 0.5, 500)[:, None]
        held = (ends[:, 0] <= at) & (at <= ends[:, 1])
        return float((stats.binom.pmf(np.arange(n + 1), n, at) * held).sum(axis=1).min())

    assert lowest(mid_p) >= 0.91
    assert lowest(wilson) < 0.87


def test_a_score_interval_needs_no_whole_numbers() -> None:
    """Twice everything in pairs that agree says what once says, with t for z: only the number of pairs counts."""
    once = np.array([1] * 6 + [-1] * 2 + [0] * 52)
    found = level([rates(np.repeat(once, 2), clusters=np.repeat(np.arange(60), 2))])
    variance = once.var() / 59
    reach = stats.t.ppf(0.975, 59)
    size = (8 / 60 - (4 / 60) ** 2) / variance
    by_hand = paired_score(6 / 60 * size, 2 / 60 * size, size, reach)
    assert (found.low, found.high) == pytest.approx(by_hand)
    z = level([rates(once)])
    assert found.low == pytest.approx(z.low, abs=0.005)
    assert found.high > z.high


@pytest.mark.parametrize("others", [0.0, -1e-9])
def test_the_method_does_not_look_at_the_sign_of_one_item(others: float) -> None:
    """A difference that happens to have no negative item is no share."""
    values = np.zeros(60)
    values[0], values[-1] = 0.9, others
    found = level([rates(values)])
    assert found.low < 0 < found.high
    assert (found.low, found.high) == pytest.approx((-0.0433, 0.0830), abs=5e-4)


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_few_questions_say_little(n: int) -> None:
    """Their interval holds the truth and nothing follows from it; five points are there each time."""
    held = same = 0
    for i in range(300):
        rng = np.random.default_rng([n, i])
        before, moved = rng.uniform(-0.2, 0.2, n), rng.normal(0.05, 0.05, n)
        found = shift([rates(before + moved)], rates(before))
        held += found.low <= 0.05 <= found.high
        same += equivalent([rates(before + moved)], rates(before)) is True
    assert held >= 0.915 * 300  # a true .95 does with probability .99
    assert same == 0


def test_a_shift_of_conditional_rates_is_newcombes() -> None:
    """Each configuration right on questions of its own: no item is in both, so their limits are squared and added."""
    adapter = rates([1, 1, 0, 0, 0] + [0] * 8, [1] * 5 + [0] * 8, shares=True)
    base = rates([0] * 5 + [1] * 2 + [0] * 6, [0] * 5 + [1] * 8, shares=True)
    found = shift([adapter], base)
    (l1, u1), (l0, u0) = mid_p(2, 5), mid_p(2, 8)
    low = 0.15 - math.hypot(0.4 - l1, u0 - 0.25)
    high = 0.15 + math.hypot(u1 - 0.4, 0.25 - l0)
    assert (found.value, found.low, found.high) == pytest.approx((0.15, low, high))


def test_difference_of_conditional_rates_keeps_its_two_denominators() -> None:
    above = np.array([[1, 0, 1, 0, 0, 0], [0, 0, 0, -1, 0, 0]], float)
    below = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], float)
    sample = rates(above, below)
    assert sample.value == pytest.approx(2 / 3 - 1 / 3)
    counts = bootstrap_weights(6)[0]
    by_hand = (counts * above[0]).sum() / (counts * below[0]).sum()
    by_hand += (counts * above[1]).sum() / (counts * below[1]).sum()
    assert sample.replicates[0] == pytest.approx(by_hand)


def test_paired_shift_is_as_narrow_as_its_differences() -> None:
    rng = np.random.default_rng(4)
    item, noise = rng.normal(size=200), 0.1 * rng.normal(size=200)
    base, adapter = nats(item), nats(item + 0.5 + noise)
    found = shift([adapter], base)
    half_width = 1.96 * noise.std() / math.sqrt(200)
    assert found.value == pytest.approx(0.5 + noise.mean())
    assert found.high - found.low == pytest.approx(2 * half_width, rel=0.12)
    assert found.excludes_zero
    assert not level([base]).excludes_zero


def test_no_difference_at_all_still_has_a_width() -> None:
    """Tango's for yes/no answers, the same with t for graded ones, no interval without a scale."""
    sample = rates([0, 1, 1, 0] * 25)
    found = shift([sample], sample)
    assert (found.low, found.high) == pytest.approx((-0.0370, 0.0370), abs=1e-4)
    assert swap_test([sample], sample) == mcnemar(sample, sample) == 1
    graded = rates([0.25, 0.75] * 50)
    found = shift([graded, graded], graded)
    t = stats.t.ppf(0.975, 99)
    assert (found.value, found.high) == pytest.approx((0, t * t / (100 + t * t)))
    flat = nats([0.25, 0.75] * 50)
    assert shift([flat], flat).note == "no variation"


def test_graded_answers_that_do_not_differ_are_no_decisions() -> None:
    """Their error is estimated, whether or not one of them moves by a hair."""
    same, moved = np.full(6, 0.3), np.array([0.3] * 5 + [0.3 + 1e-9])
    ends = [shift([rates(v)], rates(same)) for v in (same, moved)]
    assert ends[0].note == ends[1].note == "score, effective n"
    assert ends[0].high > shift([rates(np.zeros(6))], rates(np.zeros(6))).high


def test_empty_condition_is_nan_with_a_reason() -> None:
    sample = rates([1, 1, 0], weights=[0, 0, 0])
    assert math.isnan(level([sample]).value)
    assert level([sample]).note == "no item to count"
    assert math.isnan(swap_test([sample], sample))


def test_a_rare_condition_gives_a_value_without_interval() -> None:
    sample = nats([[0.5] + [0] * 39], [[1] + [0] * 39])
    assert level([sample]).value == 0.5
    assert math.isnan(level([sample]).low)


def test_seeds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    item = rng.normal(size=300)
    base = nats(item)
    agreeing = [nats(item + 1 + 0.01 * rng.normal(size=300)) for _ in range(3)]
    apart = [nats(item + c) for c in (0.0, 1.0, 2.0)]
    narrow, wide = shift(agreeing, base), shift(apart, base)
    assert narrow.high - narrow.low < 0.02
    assert wide.value == pytest.approx(1)
    half = stats.t.ppf(0.975, 2) * 1.0 / math.sqrt(3)  # nothing but the three seed means
    assert (wide.low, wide.high) == pytest.approx((1 - half, 1 + half))
    by_scipy = stats.ttest_1samp([0.0, 1.0, 2.0], 0).pvalue
    assert error([(1, apart), (-1, [base])]).p == pytest.approx(by_scipy)
    pooled = shift(apart, base, pooled_spread([agreeing, apart]))
    assert pooled.high == pytest.approx(1 + stats.t.ppf(0.975, 4) / math.sqrt(3))


def test_seeds_without_a_difference_are_no_proof_of_none() -> None:
    """Another adapter's seeds differ a little, this one's on no item: the interval is still that of 0 of n."""
    zeros = rates(np.zeros(60))
    rng = np.random.default_rng(6)
    other = [rates((rng.random(60) < rate).astype(float)) for rate in (0.02, 0.05)]
    found = shift([zeros, zeros], zeros, pooled_spread([other]))
    one = shift([zeros, zeros], zeros)
    assert found.value == one.value == 0
    assert found.high >= one.high > 0.05
    assert found.low == -found.high


def test_error_of_one_seed_is_the_clustered_standard_error() -> None:
    rng = np.random.default_rng(8)
    base, adapter = (rng.normal(size=120) for _ in range(2))
    found = error([(1, [nats(adapter)]), (-1, [nats(base)])])
    assert found.se == pytest.approx(stats.sem(adapter - base))
    assert found.p == pytest.approx(stats.ttest_rel(adapter, base).pvalue)
    assert math.isnan(icc(found, 1))


def test_icc_is_one_where_items_do_not_matter() -> None:
    item = np.random.default_rng(9).normal(size=50)
    base = nats(item)
    apart = [nats(item + c) for c in (0.0, 1.0, 2.0)]
    assert icc(error([(1, apart), (-1, [base])]), 3) == pytest.approx(1)


def test_sign_flips_agree_with_scipy() -> None:
    rng = np.random.default_rng(10)
    base, adapter = rng.normal(size=60), rng.normal(size=60) + 0.25
    ours = swap_test([nats(adapter)], nats(base))
    theirs = stats.permutation_test(
        (adapter - base,), np.mean, permutation_type="samples", n_resamples=9999,
        rng=np.random.default_rng(0),
    ).pvalue  # fmt: skip
    assert ours == pytest.approx(theirs, abs=0.015)


def test_swapping_numerators_only_is_the_same_as_forming_ratios_anew() -> None:
    rng = np.random.default_rng(11)
    base, *seeds = (rng.normal(size=40) for _ in range(3))
    weighted = [np.full(40, 1.0), *(np.where(np.arange(40) == 0, 1 + 1e-9, 1.0) for _ in seeds)]
    plain = [nats(v) for v in (base, *seeds)]
    ratios = [nats(v, w) for v, w in zip((base, *seeds), weighted, strict=True)]
    assert swap_test(plain[1:], plain[0]) == pytest.approx(
        swap_test(ratios[1:], ratios[0]), abs=1e-3
    )


def test_mcnemar_known_answer() -> None:
    base = rates([0] * 9 + [1] + [0] * 20)
    adapter = rates([1] * 9 + [0] + [0] * 20)
    assert mcnemar(adapter, base) == pytest.approx(2 * 11 / 1024)
    clustered = rates([0, 1], clusters=[0, 0])
    assert math.isnan(mcnemar(clustered, clustered))


@pytest.mark.parametrize(
    ("n", "at_tenth", "at_fifth", "soft"),
    [(300, 0.051, 0.072, 0.16), (199, 0.062, 0.088, 0.20), (68, 0.106, 0.149, 0.34)],
)
def test_minimum_detectable_effect_of_the_design_table(
    n: int, at_tenth: float, at_fifth: float, soft: float
) -> None:
    for share, expected in ((0.1, at_tenth), (0.2, at_fifth)):
        found = Error(0.0, share / n, 1e6)
        # The table takes the effect out of the variance under the alternative; up to 1.5 % less.
        assert minimum_detectable(found) == pytest.approx(expected, rel=0.02)
    assert minimum_detectable(Error(0.0, 1 / n, n - 1)) == pytest.approx(soft, abs=6e-3)


def test_equivalence_needs_enough_items() -> None:
    rng = np.random.default_rng(12)
    for n, expected in ((59, None), (60, False), (3000, True)):
        base, adapter = (rates(0.5 + 0.2 * rng.normal(size=n)) for _ in range(2))
        assert equivalent([adapter], base) is expected
    base = nats(rng.normal(size=400) * 3)
    assert smallest_of_interest(base) == pytest.approx(0.6, abs=0.06)


@pytest.mark.parametrize(("questions", "times", "p"), [(8, 1, 2 / 2**8), (3, 20, 2 / 2**3)])
def test_swap_test_known_answer(questions: int, times: int, p: float) -> None:
    """All differences point one way: 2 of the swaps of whole questions are as extreme."""
    clusters = [i // times for i in range(questions * times)]
    base, adapter = (nats(made(len(clusters)), clusters=clusters) for made in (np.zeros, np.ones))
    assert swap_test([adapter], base) == pytest.approx(p, rel=0.1)


def test_common_items_realigns() -> None:
    a = measure([1, 2, 3], items=("x", "y", "z"), unit="nats")
    b = measure([30, 10], items=("z", "x"), unit="nats")
    left, right = common_items([a, b])
    assert left.items == right.items == ("x", "z")
    assert left.numerator.tolist() == [[1, 3]]
    assert right.numerator.tolist() == [[10, 30]]


def test_holm_known_answer() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm([0.02, math.nan, 0.6])
    assert adjusted[0] == pytest.approx(0.04)
    assert math.isnan(adjusted[1])


# The published scores of base, gsm8k, mmlu, truthfulqa, hellaswag and combined.
HELLASWAG = [0.734, 0.732, 0.722, 0.720, 0.706, 0.718]
FEEDBACK = [0.5, 0.4767, 0.5067, 0.58, 0.5967, 0.6166666666666667]


def test_benjamini_hochberg_known_answer() -> None:
    adjusted = benjamini_hochberg([0.01, math.nan, 0.02, 0.9])
    assert [adjusted[i] for i in (0, 2, 3)] == pytest.approx([0.03, 0.03, 0.9])
    assert math.isnan(adjusted[1])


def test_correlation_intervals() -> None:
    rng = np.random.default_rng(13)
    column = np.array(HELLASWAG)[:, None], np.array(FEEDBACK)[:, None]
    exact = tuple(c + np.zeros(2000) for c in column)
    noisy = tuple(c + 0.02 * rng.normal(size=(6, 2000)) for c in column)
    found, wide = (correlation(HELLASWAG, FEEDBACK, (a, b)) for a, b in (exact, noisy))
    assert (found.low, found.high) == pytest.approx((-0.98, 0.02), abs=0.005)
    assert (found.items_low, found.items_high) == pytest.approx((-0.98, 0.02), abs=0.1)
    assert wide.items_high > found.items_high + 0.1


def test_correlation_without_variation_or_points_is_nan() -> None:
    assert math.isnan(correlation([1, 1, 1, 1], [1, 2, 3, 4]).r)
    assert math.isnan(correlation([1, 2], [1, 2]).r)
    assert correlation([1, 2, 3, math.nan], [1, 2, 3, 4]).n == 3
