"""Intervals of the measures of detection, and what they cover."""

import numpy as np
import pytest

from genosiege.detection.operating_points import Side, alarms, count_alarms, resamples
from genosiege.detection.options import UPPER
from genosiege.detection.roc import aurocs
from genosiege.detection.tables import (
    measures,
)
from genosiege.detection.tables.measures import Auroc, Rate, auroc_interval
from genosiege.statistics import wilson_interval

Z = 1.959963984540054


@pytest.mark.parametrize(("value", "m", "n"), [(0.8, 50, 50), (1.0, 30, 12), (0.93, 5, 200)])
def test_the_ends_of_an_auroc_are_z_standard_errors_away(value: float, m: int, n: int) -> None:
    low, high = auroc_interval(value, m, n)

    def variance(theta: float) -> float:
        more = (m + n) / 2 - 1
        first, second = (1 - theta) / (2 - theta), theta / (1 + theta)
        return theta * (1 - theta) * (1 + more * first + more * second) / (m * n)

    assert low < value
    assert value - low == pytest.approx(Z * np.sqrt(variance(low)))
    assert high - value == pytest.approx(Z * np.sqrt(variance(high)), abs=1e-9)


def test_an_auroc_of_one_pair_is_a_trial() -> None:
    assert auroc_interval(1.0, 1, 1) == pytest.approx(wilson_interval(1, 1))


def test_the_interval_of_an_auroc_turns_around() -> None:
    low, high = auroc_interval(0.7, 8, 20)

    assert auroc_interval(0.3, 20, 8) == pytest.approx((1 - high, 1 - low))


def rate_of(hits: list[bool], resampled: list[float]) -> Rate:
    return Rate(np.array([np.mean(hits), *resampled]), np.array(hits), np.arange(len(hits)))


def test_a_rate_between_0_and_1_takes_percentiles() -> None:
    rate = rate_of([True] * 6 + [False] * 6, list(np.linspace(0, 1, 201)))

    assert list(measures.rates("x", [rate]).values()) == pytest.approx([0.5, 0.025, 0.975])


def test_a_rate_of_1_takes_the_wider_interval() -> None:
    unmoved = measures.rates("x", [rate_of([True] * 30, [1.0] * 50)])
    moved = measures.rates("x", [rate_of([True] * 30, [0.2] * 50)])

    assert (unmoved["x_low"], unmoved["x_high"]) == pytest.approx(wilson_interval(30, 30))
    assert (moved["x_low"], moved["x_high"]) == (0.2, 1.0)


def test_few_clusters_take_the_wider_interval() -> None:
    found = measures.rates("x", [rate_of([True, False, False], [1 / 3] * 50)])

    assert list(found.values()) == pytest.approx([1 / 3, *wilson_interval(1, 3)])


def test_an_auroc_that_no_resample_moves_has_an_interval() -> None:
    ids = np.arange(40)
    constant = measures.aurocs("x", [Auroc(np.full(51, 0.5), ids, ids)])
    perfect = measures.aurocs("x", [Auroc(np.full(51, 1.0), ids, ids[:12])])

    assert (constant["x_low"], constant["x_high"]) == auroc_interval(0.5, 40, 40)
    assert (perfect["x_low"], perfect["x_high"]) == auroc_interval(1.0, 40, 12)


def test_the_mean_is_over_the_seeds_that_have_a_value() -> None:
    ids = np.arange(40)
    seeds = [Auroc(np.full(21, value), ids, ids) for value in (0.6, np.nan, 0.8)]

    assert measures.aurocs("x", seeds)["x"] == pytest.approx(0.7)
    assert np.isnan([*measures.aurocs("x", seeds[1:2]).values()]).all()
    assert np.isnan([*measures.rates("x", []).values()]).all()


def test_a_resample_without_samples_of_one_seed_is_the_mean_of_the_others() -> None:
    ids = np.arange(40)
    full, gaps = np.tile([0.2, 0.4], 101), np.tile([0.6, np.nan], 101)
    seeds = [Auroc(values, ids, ids) for values in (full, gaps)]

    found = measures.aurocs("x", seeds)

    # All means are 0.4: no spread, so that the interval is the analytic one.
    assert list(found.values()) == pytest.approx([0.4, *auroc_interval(0.4, 40, 40)])


@pytest.mark.parametrize(("n", "shift", "true"), [(40, 1.0, 0.7602), (25, 3.5, 0.99333)])
def test_intervals_of_auroc_cover_the_truth(n: int, shift: float, true: float) -> None:
    rng = np.random.default_rng(n)
    inside = 0
    for _ in range(200):
        drawn = resamples(np.arange(n), 200, rng)
        natural = Side(rng.normal(size=n), np.arange(n))
        attacked = Side(rng.normal(shift, 1, n), np.arange(n))
        area = aurocs(natural, [attacked], drawn)[0]
        found = measures.aurocs("x", [Auroc(area, natural.clusters, attacked.clusters)])
        inside += found["x_low"] <= true <= found["x_high"]

    assert inside / 200 > 0.88


def test_intervals_of_a_rate_cover_what_other_validation_data_would_give() -> None:
    rng = np.random.default_rng(11)
    n, v, shift = 60, 59, 2.0
    inside = 0
    # Rank 3 of 59: what a threshold over many validation sets gives on average.
    highs = np.sort(rng.normal(size=(4000, v)), axis=1)[:, -3]
    true = float(np.mean(rng.normal(shift, 1, (4000, 25)) > highs[:, None]))
    for _ in range(200):
        drawn = resamples(np.arange(n + v), 200, rng)
        validation = Side(rng.normal(size=v), n + np.arange(v))
        attacked = Side(rng.normal(shift, 1, n), np.arange(n))
        alarm = alarms(validation, 0.05, drawn, UPPER)
        values = count_alarms(attacked, alarm, drawn).share
        rate = Rate(values, alarm.rings(attacked.scores)[0], attacked.clusters)
        found = measures.rates("x", [rate])
        inside += found["x_low"] <= true <= found["x_high"]

    assert inside / 200 > 0.88
