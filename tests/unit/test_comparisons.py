"""Paired tests and Holm's adjustment against implementations written here, on random tables."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refusal
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from genosiege.comparisons import (
    holm,
    holm_levels,
    mcnemar,
    mcnemar_family,
    signed_rank_p,
    smallest_difference,
)


def outcomes(only_first: int, only_second: int, both: int, neither: int) -> np.ndarray:
    """Two rows of outcomes with these counts."""
    counts = [only_first, only_second, both, neither]
    return np.repeat([[1, 0], [0, 1], [1, 1], [0, 0]], counts, axis=0).T.astype(bool)


def random_tables(seed: int, n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [outcomes(*rng.integers(0, rng.choice([3, 12, 60]), size=4)) for _ in range(n)]


# McNemar ------------------------------------------------------------------------------


def exact_mcnemar(only_first: int, only_second: int) -> float:
    """Add up, in whole numbers, the chances of what is no likelier than what was seen."""
    n = only_first + only_second
    seen = math.comb(n, only_first)
    return sum(math.comb(n, k) for k in range(n + 1) if math.comb(n, k) <= seen) / 2**n


def test_mcnemar_adds_up_the_binomial_chances_on_random_tables() -> None:
    for first, second in random_tables(0, 200):
        found = mcnemar(first, second)

        assert found.n_first_only == sum(first & ~second)
        assert found.n_second_only == sum(second & ~first)
        assert found.p == pytest.approx(exact_mcnemar(found.n_first_only, found.n_second_only))
        if len(first):
            assert found.difference == pytest.approx(first.mean() - second.mean())


def constrained_score(only_first: int, only_second: int, n: int, difference: float) -> float:
    """Score of a difference, its variance from a likelihood maximised by brute force."""

    def minus_log_likelihood(rate: float) -> float:
        rates = [rate + difference, rate, 1 - 2 * rate - difference]
        counts = [only_first, only_second, n - only_first - only_second]
        return -sum(c * math.log(max(r, 1e-300)) for c, r in zip(counts, rates, strict=True) if c)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    best = minimize_scalar(
        minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    )
    variance = (2 * best.x + difference - difference**2) / n
    return float(((only_first - only_second) / n - difference) / math.sqrt(variance))


def test_ends_of_the_difference_have_the_score_of_the_level_on_random_tables() -> None:
    checked = 0
    for first, second in random_tables(1, 60):
        level = 0.9
        found = mcnemar(first, second, level)
        if found.n_first_only + found.n_second_only == 0 or len(first) < 4:
            continue
        counts = (found.n_first_only, found.n_second_only, found.n)
        z = norm.ppf(0.95)
        for end, sign in zip(found.interval, (1, -1), strict=True):
            if abs(end) < 1 - 1e-6:
                assert constrained_score(*counts, end) == pytest.approx(sign * z, abs=2e-3)
                checked += 1
    assert checked > 80


def test_difference_reproduces_a_published_interval() -> None:
    # Airway hyper-responsiveness before and after transplantation, Bentur et al. 2009, as
    # analysed by Fagerland, Lydersen and Laake (2014), Stat. Med. 33, 2850–2875.
    found = mcnemar(*outcomes(1, 7, 1, 12))

    assert found.interval == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert found.p == pytest.approx(0.0703, abs=5e-5)


def test_exchanging_the_measurements_mirrors_the_difference() -> None:
    for first, second in random_tables(2, 30):
        found, mirrored = mcnemar(first, second), mcnemar(second, first)

        assert mirrored.p == pytest.approx(found.p)
        assert mirrored.interval == pytest.approx((-found.interval.high, -found.interval.low))


def test_without_discordant_units_nothing_differs() -> None:
    found = mcnemar(*outcomes(0, 0, 30, 20))

    assert (found.difference, found.p) == (0.0, 1.0)
    z2 = norm.ppf(0.975) ** 2
    assert found.interval == pytest.approx((-z2 / (50 + z2), z2 / (50 + z2)))


def test_the_whole_range_of_a_difference_is_reached() -> None:
    assert mcnemar(*outcomes(9, 0, 0, 0)).interval.high == 1.0
    assert mcnemar(*outcomes(0, 9, 0, 0)).interval.low == -1.0
    assert mcnemar([], []).interval == (-1.0, 1.0)


@given(*[st.integers(0, 30)] * 4, st.floats(0.5, 0.9999))
def test_ends_of_a_difference_lie_between_minus_one_and_one(
    only_first: int, only_second: int, both: int, neither: int, level: float
) -> None:
    found = mcnemar(*outcomes(only_first, only_second, both, neither), level)

    assert -1 <= found.interval.low <= found.interval.high <= 1
    if found.n:
        assert found.interval.low <= found.difference <= found.interval.high


@pytest.mark.parametrize("n", [1, 2, 6, 100])
def test_discordance_in_one_direction_alone_leaves_an_interval(n: int) -> None:
    # Tango's score statistic, with the nuisance rate (1 - d) / 2 that maximises the likelihood.
    def statistic(d: float) -> float:
        variance = n * (2 * (1 - d) / 2 + d * (1 - d))
        return (n - n * d) / float(np.sqrt(variance))

    low = mcnemar(*outcomes(n, 0, 0, 0)).interval.low

    assert statistic(low) == pytest.approx(norm.ppf(0.975))
    assert mcnemar(*outcomes(0, n, 0, 0)).interval.high == pytest.approx(-low)
    assert (low > 0) == (n > norm.ppf(0.975) ** 2)


def test_intervals_of_a_difference_cover_it_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    draws = rng.multinomial(80, [0.15, 0.05, 0.3, 0.5], size=400)

    covered = [
        low <= 0.10 <= high for low, high in (mcnemar(*outcomes(*draw)).interval for draw in draws)
    ]

    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


# Wilcoxon -----------------------------------------------------------------------------


def signed_rank_chances(n: int) -> list[int]:
    """Rank sums of all 2^n ways to sign n ranks."""
    return [
        sum(rank for rank, sign in enumerate(signs, start=1) if sign)
        for signs in itertools.product([0, 1], repeat=n)
    ]


@pytest.mark.parametrize("n", [6, 8, 11])
def test_signed_rank_counts_all_signs_of_the_ranks(n: int) -> None:
    rng = np.random.default_rng(n)
    sums = np.array(signed_rank_chances(n))
    for _ in range(10):
        differences = rng.normal(0.5, 1, n)
        ranks = np.argsort(np.argsort(np.abs(differences))) + 1
        seen = ranks[differences > 0].sum()
        p = min(1.0, 2 * min(np.mean(sums <= seen), np.mean(sums >= seen)))

        assert signed_rank_p(differences) == pytest.approx(p)


def test_equal_measurements_do_not_differ() -> None:
    assert signed_rank_p([0.0, 0.0, 0.0]) == signed_rank_p([]) == 1.0


# Power --------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "discordant"), [(60, 0.3), (200, 0.15), (500, 0.1), (500, 0.6)])
@pytest.mark.parametrize("level", [0.95, 0.9875])
def test_the_smallest_difference_is_shown_in_four_of_five_trials(
    n: int, discordant: float, level: float
) -> None:
    rng = np.random.default_rng(n)
    difference = smallest_difference(n, discordant, level)
    gained, lost = (discordant + difference) / 2, (discordant - difference) / 2
    chances = [gained, lost, 0, 1 - discordant]
    counts = rng.multinomial(n, chances, size=600)

    shown = [mcnemar(*outcomes(*draw), level=level).interval.low > 0 for draw in counts]

    assert np.mean(shown) == pytest.approx(0.8, abs=0.06)


def test_where_all_that_differ_are_gains_the_difference_is_their_share() -> None:
    # z² (1 + √(1 − Δ) · z' / z)² = n Δ, by trying.
    z, z_power = norm.ppf(0.975), norm.ppf(0.8)
    tried = np.linspace(1e-6, 1, 1_000_001)
    enough = tried[500 * tried >= (z + z_power * np.sqrt(1 - tried)) ** 2]

    assert smallest_difference(500, 0.0) == pytest.approx(enough[0], abs=2e-6)
    assert smallest_difference(500, 0.001) == pytest.approx(smallest_difference(500, 0.0))


def test_too_few_units_show_no_difference_at_all() -> None:
    assert math.isnan(smallest_difference(0, 0.0)) and math.isnan(smallest_difference(3, 0.0))
    assert smallest_difference(4, 0.0) < 1


# Holm ---------------------------------------------------------------------------------


def holm_by_hand(p_values: list[float], alpha: float) -> set[int]:
    """Step down until one is not rejected."""
    rejected: set[int] = set()
    for index in sorted(range(len(p_values)), key=lambda i: p_values[i]):
        if p_values[index] > alpha / (len(p_values) - len(rejected)):
            break
        rejected.add(index)
    return rejected


def random_p_values(seed: int) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [
        list(np.round(rng.beta(0.3, 2, size=rng.integers(1, 9)), rng.choice([2, 6])))
        for _ in range(200)
    ]


def test_holm_rejects_what_stepping_down_rejects() -> None:
    # Few tables: statsmodels collects garbage at each call.
    for p_values in random_p_values(5)[:25]:
        adjusted = holm(p_values)
        for alpha in (0.01, 0.05, 0.2, 0.5):
            # An adjusted value that equals alpha may round to either side.
            if not np.isclose(adjusted, alpha, rtol=1e-9).any():
                assert set(np.flatnonzero(adjusted <= alpha)) == holm_by_hand(p_values, alpha)


def test_holm_multiplies_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    assert len(holm([])) == 0


def test_what_was_not_tested_does_not_count() -> None:
    assert holm([0.01, math.nan, 0.04])[[0, 2]] == pytest.approx([0.02, 0.04])
    assert math.isnan(holm([0.01, math.nan, 0.04])[1])


def test_each_comparison_gets_the_level_at_which_holm_looks_at_it() -> None:
    assert holm_levels([0.02, 0.001, 0.3]) == pytest.approx([0.975, 1 - 0.05 / 3, 0.95])
    # 0.04 > 0.05 / 2 stops the procedure: the last keeps that level too.
    assert holm_levels([0.04, 0.001, 0.045]) == pytest.approx([0.975, 1 - 0.05 / 3, 0.975])


def test_a_p_value_is_below_its_own_level_exactly_where_holm_rejects() -> None:
    for p_values in random_p_values(6):
        own = 1 - holm_levels(p_values)
        steps = own * np.arange(len(p_values), 0, -1).max()
        assert (steps >= 0.05 * (1 - 1e-9)).all()
        close = np.isclose(p_values, own, rtol=1e-9)
        below = {i for i in np.flatnonzero(np.array(p_values) <= own) if not close[i]}
        assert below == {i for i in holm_by_hand(p_values, 0.05) if not close[i]}


def test_a_family_is_compared_at_holms_levels() -> None:
    strong, weak, none = outcomes(40, 5, 9, 9), outcomes(12, 4, 9, 9), outcomes(3, 3, 9, 9)

    found = mcnemar_family([none, strong, weak])

    p_values = [mcnemar(*pair).p for pair in (none, strong, weak)]
    assert [one.p_adjusted for one in found] == pytest.approx(list(holm(p_values)))
    assert found[1].level == pytest.approx(1 - 0.05 / 3)
    assert found[1].rates == mcnemar(*strong, level=found[1].level)
    assert found[1].rates.interval.low > 0 > found[0].rates.interval.low
    assert mcnemar_family([]) == []


# Refusals -----------------------------------------------------------------------------


def test_impossible_input_is_refused() -> None:
    assert "two values of each unit" in refusal(mcnemar, [True], [True, False])
    assert "level 1.0" in refusal(mcnemar, [True], [True], level=1.0)
    assert "between 0 and 1" in refusal(holm, [0.1, 1.2])
