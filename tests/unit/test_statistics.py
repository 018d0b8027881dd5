"""Intervals against independent implementations and cases with a known answer."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from genosiege.errors import InputError
from genosiege.statistics import (
    bootstrap_interval,
    clustered_wilson_interval,
    weighted_mean,
    weighted_median,
    wilson_interval,
)


def wilson_by_hand(successes: float, n: float, level: float) -> tuple[float, float]:
    z = norm.ppf((1 + level) / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return centre - half, centre + half


def test_wilson_agrees_with_the_formula_and_with_scipy_on_random_tables() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        n = int(generator.integers(1, 2000))
        successes = int(generator.integers(0, n + 1))
        level = float(generator.uniform(0.5, 0.999))

        interval = wilson_interval(successes, n, level)

        assert interval == pytest.approx(wilson_by_hand(successes, n, level), abs=1e-9)
        other = binomtest(successes, n).proportion_ci(level, method="wilson")
        assert interval == pytest.approx((other.low, other.high), abs=1e-9)


def test_ends_of_wilsons_interval_are_the_rates_whose_score_is_that_of_the_level() -> None:
    generator = np.random.default_rng(10)
    for _ in range(100):
        n = int(generator.integers(2, 500))
        successes = int(generator.integers(1, n))
        z = norm.ppf(0.975)

        def excess(rate: float, seen: float = successes / n, n: int = n, z: float = z) -> float:
            return (seen - rate) ** 2 - z * z * rate * (1 - rate) / n

        low = brentq(excess, 0, successes / n, xtol=1e-14)
        high = brentq(excess, successes / n, 1, xtol=1e-14)

        assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-9)


def test_wilson_reproduces_a_published_reference_value() -> None:
    assert wilson_interval(346, 749) == pytest.approx((0.427, 0.498), abs=5e-4)


def test_wilson_without_trials_is_the_whole_unit_interval() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0.5, 0.9999))
def test_wilsons_ends_lie_in_the_unit_interval_with_the_rate_between_them(
    n: int, share: float, level: float
) -> None:
    for successes in (0, n, round(share * n), share * n):
        low, high = wilson_interval(successes, n, level)

        assert 0 <= low <= successes / n <= high <= 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=60))
def test_clustered_ends_lie_in_the_unit_interval(trials: list[tuple[bool, int]]) -> None:
    outcomes, clusters = zip(*trials, strict=True)

    low, high = clustered_wilson_interval(outcomes, clusters)

    assert 0 <= low <= high <= 1
    assert low == 0 if not any(outcomes) else low > 0
    assert high == 1 if all(outcomes) else high < 1


@pytest.mark.parametrize(
    ("successes", "n", "level"),
    [(-1, 5, 0.95), (6, 5, 0.95), (math.nan, 5, 0.95), (1, -1, 0.95), (1, 5, 0.0), (1, 5, 1.0)],
)
def test_wilson_refuses_impossible_input(successes: float, n: float, level: float) -> None:
    with pytest.raises(InputError):
        wilson_interval(successes, n, level)


def test_clusters_of_one_trial_give_wilsons_interval() -> None:
    outcomes = np.random.default_rng(1).random(50) < 0.3

    interval = clustered_wilson_interval(outcomes, np.arange(50))

    assert interval == pytest.approx(wilson_interval(int(outcomes.sum()), 50))


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_identical_repeats_of_a_trial_add_nothing(rate: float) -> None:
    once = np.arange(50) < rate * 50

    interval = clustered_wilson_interval(np.repeat(once, 3), np.repeat(np.arange(50), 3))

    # The between-cluster variance has G − 1 in its denominator: the cap of 3 binds here.
    assert interval == pytest.approx(wilson_interval(int(once.sum()), 50))


def test_independent_repeats_of_a_trial_count_almost_in_full() -> None:
    outcomes = np.random.default_rng(2).random(3000) < 0.5
    full = wilson_interval(int(outcomes.sum()), 3000)

    interval = clustered_wilson_interval(outcomes, np.arange(3000) % 1000)

    width = interval.high - interval.low
    assert full.high - full.low <= width < 1.1 * (full.high - full.low)


def bootstrap_by_loops(
    values: np.ndarray, factors: list[np.ndarray], generator: np.random.Generator, n: int
) -> tuple[float, float]:
    """Resample by building each resampled data set row by row."""
    estimates = []
    for _ in range(n):
        drawn = [generator.choice(np.unique(f), size=len(np.unique(f))) for f in factors]
        sample = []
        for i, value in enumerate(values):
            copies = 1
            for factor, levels in zip(factors, drawn, strict=True):
                copies *= list(levels).count(factor[i])
            sample += [value] * copies
        estimates.append(np.mean(sample))
    return float(np.quantile(estimates, 0.025)), float(np.quantile(estimates, 0.975))


@pytest.mark.parametrize("crossed", [False, True])
def test_bootstrap_agrees_with_resampling_row_by_row(crossed: bool) -> None:
    generator = np.random.default_rng(3)
    sequences, seeds = np.repeat(np.arange(12), 4), np.tile(np.arange(4), 12)
    values = sequences * 0.3 + seeds * 0.5 + generator.normal(size=48)
    factors = [sequences, seeds] if crossed else [sequences]
    expected = bootstrap_by_loops(values, factors, np.random.default_rng(4), 3000)

    interval = bootstrap_interval(
        values, tuple(factors), weighted_mean, np.random.default_rng(5), n_resamples=20000
    )

    assert interval == pytest.approx(expected, abs=0.06)


def test_bootstrap_is_as_wide_as_the_clusters_demand() -> None:
    means = np.random.default_rng(6).normal(size=400)
    values, clusters = np.repeat(means, 5), np.repeat(np.arange(400), 5)
    half = 1.96 * means.std() / math.sqrt(400)

    interval = bootstrap_interval(values, clusters, weighted_mean, np.random.default_rng(7))

    assert interval == pytest.approx((means.mean() - half, means.mean() + half), abs=0.015)


def test_bootstrap_does_not_depend_on_how_many_resamples_are_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(8).normal(size=30)
    arguments = (values, np.arange(30), weighted_mean)
    whole = bootstrap_interval(*arguments, np.random.default_rng(9))

    monkeypatch.setattr("genosiege.statistics.MEMORY_CELLS", 100)

    assert bootstrap_interval(*arguments, np.random.default_rng(9)) == pytest.approx(whole)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0]])
def test_bootstrap_of_a_single_cluster_knows_no_interval(values: list[float]) -> None:
    clusters = ["one"] * len(values)

    interval = bootstrap_interval(values, clusters, weighted_mean, np.random.default_rng(0))

    assert np.isnan(interval).all()


def test_bootstrap_refuses_clusters_of_another_length() -> None:
    with pytest.raises(InputError, match="one cluster for each"):
        bootstrap_interval([1.0, 2.0], ["a"], weighted_mean, np.random.default_rng(0))


def test_weighted_median_is_the_median_of_the_repeated_values() -> None:
    generator = np.random.default_rng(5)
    for _ in range(300):
        n = int(generator.integers(1, 12))
        # Few different values, so that ties occur.
        values = generator.integers(0, 6, size=n) * generator.choice([1.0, 0.37])
        weights = generator.integers(0, 4, size=(7, n)).astype(float)

        found = weighted_median(values, weights)

        for median, row in zip(found, weights.astype(int), strict=True):
            repeated = [value for value, k in zip(values, row, strict=True) for _ in range(k)]
            if repeated:
                assert median == pytest.approx(np.median(repeated))
            else:
                assert math.isnan(median)


def test_weighted_median_halves_the_weight_on_either_side_by_brute_force() -> None:
    generator = np.random.default_rng(6)
    for _ in range(200):
        values = generator.normal(size=int(generator.integers(1, 9)))
        weights = generator.exponential(size=(1, len(values)))
        half = weights.sum() / 2

        (median,) = weighted_median(values, weights)

        (middle,) = [
            v
            for v in values
            if weights[0][values < v].sum() < half and weights[0][values > v].sum() < half
        ]
        assert median == pytest.approx(middle)


def test_weighted_median_does_not_depend_on_the_scale_of_weights_and_may_have_no_value() -> None:
    values, weights = np.array([3.0, 1.0, 2.0, 2.0]), np.array([[1.0, 1.0, 0.0, 2.0]])

    assert weighted_median(values, weights / 8) == weighted_median(values, weights) == [2.0]
    assert np.isnan(weighted_median(np.array([]), np.ones((3, 0)))).tolist() == [True] * 3


def test_bootstrap_of_a_median_agrees_with_resampling_row_by_row() -> None:
    generator = np.random.default_rng(7)
    values = generator.integers(1, 11, size=60).astype(float)
    drawn = generator.integers(60, size=(20_000, 60))
    expected = np.quantile(np.median(values[drawn], axis=1), [0.025, 0.975])

    interval = bootstrap_interval(values, np.arange(60), weighted_median, generator)

    assert interval == pytest.approx(expected, abs=0.51)
