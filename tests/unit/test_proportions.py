"""The difference of two independent rates: published intervals, brute force and properties."""

import math

import numpy as np
import pytest
from refusals import refusal
from scipy.stats import binom

from genosiege.comparisons import holm
from genosiege.proportions import Counts, newcombe, newcombe_family
from genosiege.statistics import wilson_interval


def randomly(seed: int, n: int) -> list[Counts]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 80, size=(n, 2))
    return [
        Counts(int(rng.integers(one + 1)), int(one), int(rng.integers(two + 1)), int(two))
        for one, two in sizes
    ]


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0000),
        ((10, 10, 0, 10), 0.6075, 1.0000),
    ],
)
def test_intervals_are_those_of_the_paper(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    # Newcombe (1998), Stat. Med. 17, 873-890, table II, method 10.
    found = newcombe(Counts(*counts))

    assert found.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])
    assert tuple(found.interval) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_ends_join_both_wilson_intervals_on_random_counts(level: float) -> None:
    for counts in randomly(0, 200):
        found = newcombe(counts, level)

        one, two = counts.successes / counts.n, counts.other_successes / counts.other_n
        first, second = wilson_interval(*counts[:2], level), wilson_interval(*counts[2:], level)
        low = one - two - math.sqrt((one - first.low) ** 2 + (second.high - two) ** 2)
        high = one - two + math.sqrt((first.high - one) ** 2 + (two - second.low) ** 2)
        assert tuple(found.interval) == pytest.approx((low, high), abs=1e-9)
        assert -1 <= found.interval.low <= found.value <= found.interval.high <= 1


def test_p_is_where_an_end_of_the_interval_reaches_0_on_random_counts() -> None:
    for counts in randomly(1, 200):
        found = newcombe(counts)

        if found.value == 0:
            assert found.p == 1
        elif 1e-9 < found.p < 1 - 1e-9:
            interval = newcombe(counts, 1 - found.p).interval
            assert min(abs(end) for end in interval) == pytest.approx(0, abs=1e-7)
            excluded = found.interval.low > 0 or found.interval.high < 0
            assert excluded == (found.p < 0.05)


def test_the_test_is_wrong_in_one_of_twenty_at_most_or_little_more() -> None:
    n, m = 30, 45
    rejected = np.array(
        [[newcombe(Counts(i, n, j, m)).p < 0.05 for j in range(m + 1)] for i in range(n + 1)]
    )

    sizes = []
    for rate in np.linspace(0.05, 0.95, 19):
        chances = np.outer(
            binom.pmf(np.arange(n + 1), n, rate), binom.pmf(np.arange(m + 1), m, rate)
        )
        sizes.append(chances[rejected].sum())

    assert max(sizes) < 0.06
    assert np.mean(sizes) > 0.03


def test_turning_the_two_turns_the_difference() -> None:
    for counts in randomly(2, 50):
        turned = newcombe(Counts(*counts[2:], *counts[:2]))

        found = newcombe(counts).turned()
        assert found.value == pytest.approx(turned.value)
        assert tuple(found.interval) == pytest.approx(tuple(turned.interval))
        assert found.p == pytest.approx(turned.p)
    assert str(newcombe(Counts(1, 2, 1, 2)).turned().value) == "0.0"


def test_rates_without_trials_are_not_compared() -> None:
    for counts in (Counts(0, 0, 3, 4), Counts(3, 4, 0, 0), Counts(0, 0, 0, 0)):
        found = newcombe(counts)
        assert np.isnan([found.value, *found.interval, found.p]).all()


def test_a_family_is_adjusted_and_its_intervals_agree_with_its_p_values() -> None:
    outside = 0
    for seed in range(40):
        family = [*randomly(seed, 6), Counts(0, 0, 1, 1)]

        found = newcombe_family(family)

        alone = [newcombe(counts) for counts in family]
        expected = holm([one.p for one in alone[:-1]])
        assert [one.p for one in found[:-1]] == pytest.approx(expected)
        assert [one.value for one in found[:-1]] == [one.value for one in alone[:-1]]
        for adjusted, one in zip(found[:-1], alone, strict=False):
            excluded = adjusted.interval.low > 0 or adjusted.interval.high < 0
            assert excluded == (adjusted.p < 0.05)
            assert adjusted.interval.low <= one.interval.low
            outside += excluded
        assert math.isnan(found[-1].p) and math.isnan(found[-1].interval.low)
    assert 20 < outside < 220


def test_nothing_to_compare_is_an_empty_family() -> None:
    assert newcombe_family([]) == []


def test_wrong_counts_and_levels_are_refused() -> None:
    assert "5 successes of 4 trials" in refusal(newcombe, Counts(1, 2, 5, 4))
    assert "level 95" in refusal(newcombe, Counts(1, 2, 3, 4), 95)
