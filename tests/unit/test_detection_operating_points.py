"""Thresholds, suspicion, AUROCs and their resamples, against brute force and known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from genosiege.detection import operating_points
from genosiege.detection.operating_points import (
    Alarm,
    Resamples,
    Side,
    Suspicion,
    alarms,
    count_alarms,
    resamples,
    threshold,
    thresholds,
)
from genosiege.detection.options import BOTH, TAILS, UPPER
from genosiege.detection.roc import auroc, aurocs, roc_points

# Few different values, so that there are ties.
SCORES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=25)


def brute_auroc(natural: NDArray[np.float64], attacked: NDArray[np.float64]) -> float:
    return float(np.mean([(a > n) + (a == n) / 2 for a in attacked for n in natural]))


def side(scores: object, clusters: object) -> Side:
    return Side(np.asarray(scores, dtype=float), np.asarray(clusters))


# Thresholds -------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "rank"), [(19, 1), (20, 1), (38, 1), (39, 2), (100, 5), (399, 20)])
def test_the_threshold_is_the_conformal_rank(n: int, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(n).astype(float)

    assert threshold(scores, 0.05) == n - rank


def test_too_few_samples_attain_no_rate() -> None:
    assert np.isnan(threshold(np.arange(18), 0.05))
    assert np.isnan(threshold(np.arange(98), 0.01))
    assert threshold(np.arange(99), 0.01) == 98
    assert np.isnan(threshold([], 0.05))


def test_a_rank_is_not_lost_to_rounding() -> None:
    # 0.29 · 100 is 28.999999999999996.
    assert threshold(np.arange(99), 0.29) == 99 - 29


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [25, 40])
def test_natural_data_are_flagged_at_most_so_often(n: int, ties: bool) -> None:
    rng = np.random.default_rng([n, ties])
    drawn = rng.normal(size=(20_000, n + 1))
    drawn = drawn.round(0) if ties else drawn

    flagged = np.mean([row[-1] > threshold(row[:-1], 0.05) for row in drawn])

    attained = np.floor(0.05 * (n + 1)) / (n + 1)
    assert flagged <= 0.05 + 0.004
    if not ties:
        assert flagged == pytest.approx(attained, abs=0.006)


# Suspicion --------------------------------------------------------------------------


def test_suspicion_is_0_at_the_median_and_1_at_the_threshold() -> None:
    scores = np.random.default_rng(1).normal(5, 3, 101)
    suspicion = Suspicion.from_validation(scores, UPPER)

    found = suspicion.of([np.median(scores), threshold(scores, 0.05)])

    assert found == pytest.approx([0, 1])
    assert suspicion.of(np.zeros((2, 3))).shape == (2, 3)


def test_with_both_tails_one_in_forty_natural_scores_is_beyond_1_on_either_side() -> None:
    drawn = np.random.default_rng(0).lognormal(size=1999)

    beyond = Suspicion.from_validation(drawn).of(drawn) > 1

    assert (beyond & (drawn > 1)).sum() == (beyond & (drawn < 1)).sum() == 49
    assert (Suspicion.from_validation(drawn).of(drawn) >= 0).all()


@pytest.mark.parametrize("tails", TAILS)
@pytest.mark.parametrize(("fpr", "v"), [(0.05, 39), (0.05, 60), (0.05, 177), (0.01, 199)])
def test_natural_data_raise_the_alarm_no_oftener_than_promised(
    tails: str, fpr: float, v: int
) -> None:
    rng = np.random.default_rng(2)
    rates = []
    for _ in range(400):
        scores, new = rng.gamma(2, size=v), rng.gamma(2, size=500)
        validation = Side(scores, np.arange(v))
        alarm = alarms(validation, fpr, resamples(np.arange(v), 0, rng), tails)
        rates.append(alarm.rings(new)[0].mean())

    error = 3 * np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) <= fpr + error
    assert np.mean(rates) >= fpr * (v - 20) / (v + 1) - error


def test_both_tails_need_twice_as_many_validation_samples() -> None:
    rng = np.random.default_rng(0)

    def known(v: int, fpr: float, tails: str) -> bool:
        side = Side(rng.normal(size=v), np.arange(v))
        return alarms(side, fpr, resamples(np.arange(v), 3, rng), tails).known

    assert [known(v, 0.05, UPPER) for v in (18, 19)] == [False, True]
    assert [known(v, 0.05, BOTH) for v in (38, 39)] == [False, True]
    assert [known(v, 0.01, BOTH) for v in (198, 199)] == [False, True]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60))
def test_high_scores_alone_keep_their_order(scores: list[float]) -> None:
    found = Suspicion.from_validation(scores, UPPER).of(scores)

    assert (np.diff(found[np.argsort(scores)]) >= 0).all()


def test_suspicion_of_few_samples_takes_the_largest() -> None:
    assert Suspicion.from_validation([0.0, 1.0, 5.0], UPPER).of([1.0, 5.0]).tolist() == [0, 1]
    assert Suspicion.from_validation([0.0, 1.0, 5.0]).of([1.0, 0.0, 5.0]).tolist() == [0, 1, 1]


def test_a_side_without_spread_takes_the_scale_of_the_other() -> None:
    scores = [0.0] * 30 + list(range(1, 21))

    found = Suspicion.from_validation(scores).of([0.0, 20.0, -20.0])

    assert found.tolist() == [0, 1, 1]


@pytest.mark.parametrize("tails", TAILS)
def test_suspicion_of_a_constant_score_has_scale_1(tails: str) -> None:
    assert Suspicion.from_validation([2.0] * 30, tails).of([2.0, 4.5]).tolist() == [0, 2.5]


# AUROC ------------------------------------------------------------------------------


@given(natural=SCORES, attacked=SCORES)
def test_auroc_counts_pairs(natural: list[float], attacked: list[float]) -> None:
    first, second = np.array(natural), np.array(attacked)

    assert auroc(first, second)[0] == pytest.approx(brute_auroc(first, second))


@given(natural=SCORES, attacked=SCORES)
def test_auroc_turns_around_with_the_sides(natural: list[float], attacked: list[float]) -> None:
    assert auroc(natural, attacked)[0] == pytest.approx(1 - auroc(attacked, natural)[0])


@settings(max_examples=20, deadline=None)
@given(natural=SCORES, attacked=SCORES, seed=st.integers(0, 99))
def test_weighted_auroc_is_that_of_scikit_learn(
    natural: list[float], attacked: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.random((3, len(natural))) + 0.1, rng.random((3, len(attacked))) + 0.1

    found = auroc(natural, attacked, first, second)

    labels = np.repeat([0, 1], [len(natural), len(attacked)])
    for row in range(3):
        weights = np.concatenate([first[row], second[row]])
        expected = roc_auc_score(labels, [*natural, *attacked], sample_weight=weights)
        assert found[row] == pytest.approx(expected)


def test_whole_weights_repeat_samples() -> None:
    rng = np.random.default_rng(2)
    natural, attacked = rng.integers(0, 9, 12).astype(float), rng.integers(3, 12, 7).astype(float)
    first, second = rng.integers(0, 3, (1, 12)), rng.integers(0, 3, (1, 7))

    found = auroc(natural, attacked, first, second)[0]

    expected = brute_auroc(np.repeat(natural, first[0]), np.repeat(attacked, second[0]))
    assert found == pytest.approx(expected)


def test_separated_gaussians_have_their_analytic_auroc() -> None:
    rng = np.random.default_rng(3)

    found = auroc(rng.normal(size=20_000), rng.normal(1, 1, 20_000))[0]

    # Φ(1 / √2); its standard error is below .0025.
    assert found == pytest.approx(0.7602499, abs=0.008)


def test_an_empty_side_has_no_auroc() -> None:
    assert np.isnan(auroc([], [1.0])).all()
    assert np.isnan(auroc([1.0], [])).all()


def test_blocks_do_not_change_an_auroc(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    natural, attacked = rng.normal(size=11), rng.normal(size=9)
    weights = rng.random((7, 11)), rng.random((7, 9))
    whole = auroc(natural, attacked, *weights)

    monkeypatch.setattr(operating_points, "MEMORY_CELLS", 25)

    assert auroc(natural, attacked, *weights).tolist() == whole.tolist()
    assert len(auroc(natural, attacked, None, weights[1])) == 7


# Resamples --------------------------------------------------------------------------


def test_resamples_draw_as_many_clusters_as_there_are() -> None:
    drawn = resamples(["b", "a", "b", "c"], 500, np.random.default_rng(5))

    assert drawn.names.tolist() == ["a", "b", "c"]
    assert drawn.counts.shape == (501, 3)
    assert drawn.counts[0].tolist() == [1, 1, 1]
    assert (drawn.counts.sum(axis=1) == 3).all()
    assert drawn.counts[1:].mean(axis=0) == pytest.approx(np.ones(3), abs=0.15)
    assert (drawn.counts[1:] == 3).any()


def test_samples_of_one_cluster_move_together() -> None:
    drawn = resamples(["a", "b", "c"], 50, np.random.default_rng(6))

    weights = drawn.of(np.array(["c", "a", "c"]))

    assert (weights[:, 0] == weights[:, 2]).all()
    assert weights[:, 1].tolist() == drawn.counts[:, 0].tolist()


def test_blocks_do_not_change_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = resamples(np.arange(10), 40, np.random.default_rng(7))
    data = side(np.arange(10) % 4, np.arange(10))
    found = aurocs(data, [data], whole)[0], thresholds(data, 0.2, whole)

    monkeypatch.setattr(operating_points, "MEMORY_CELLS", 33)

    again = resamples(np.arange(10), 40, np.random.default_rng(7))
    assert (again.counts == whole.counts).all()
    assert aurocs(data, [data], again)[0].tolist() == found[0].tolist()
    np.testing.assert_array_equal(thresholds(data, 0.2, again), found[1])


@settings(max_examples=25, deadline=None)
@given(natural=SCORES, attacked=SCORES, other=SCORES, seed=st.integers(0, 99))
def test_resampled_aurocs_are_those_of_the_drawn_samples(
    natural: list[float], attacked: list[float], other: list[float], seed: int
) -> None:
    drawn = resamples(np.arange(25), 4, np.random.default_rng(seed))
    sides = [side(scores, np.arange(len(scores))) for scores in (natural, attacked, other)]

    found = aurocs(sides[0], sides[1:], drawn)

    for values, against in zip(found, sides[1:], strict=True):
        for row, counts in enumerate(drawn.counts):
            first, second = (
                np.repeat(one.scores, counts[one.clusters]) for one in (sides[0], against)
            )
            expected = brute_auroc(first, second) if len(first) and len(second) else np.nan
            assert values[row] == pytest.approx(expected, nan_ok=True)


def test_resampled_thresholds_are_those_of_the_drawn_samples() -> None:
    rng = np.random.default_rng(8)
    validation = side(rng.integers(0, 30, 45), np.arange(45))
    drawn = resamples(np.arange(45), 60, rng)

    found = thresholds(validation, 0.05, drawn)

    # All of the clusters are validation samples, so each resample has 45 of them.
    expected = [np.sort(np.repeat(validation.scores, counts))[-2] for counts in drawn.counts]
    assert found.tolist() == expected
    assert found[0] == threshold(validation.scores, 0.05)
    assert len(set(found)) > 1


def test_a_threshold_keeps_its_share_where_a_resample_is_larger() -> None:
    counts = np.array([[1] * 40, [2] * 40, [1] * 20 + [0] * 20, [0] * 40])
    drawn = Resamples(np.arange(40), counts)

    found = thresholds(side(np.arange(40), np.arange(40)), 0.05, drawn)

    # Rank 2 of 40, 4 of 80, 1 of 20.
    np.testing.assert_array_equal(found, [38, 38, 19, np.nan])


def test_thresholds_of_too_few_are_unknown() -> None:
    drawn = resamples(np.arange(18), 5, np.random.default_rng(9))

    assert np.isnan(thresholds(side(np.arange(18), np.arange(18)), 0.05, drawn)).all()


def test_counts_are_of_what_is_strictly_beyond() -> None:
    drawn = Resamples(np.arange(3), np.array([[1, 1, 1], [0, 3, 0], [2, 0, 1], [1, 1, 1]]))
    alarm = Alarm(np.array([0.0, -9, 0.5, np.nan]), np.array([1.0, 0.5, 5.0, np.nan]))

    found = count_alarms(side([0, 1, 2], [0, 1, 2]), alarm, drawn)

    np.testing.assert_array_equal(found.above, [1, 3, 2, np.nan])
    np.testing.assert_array_equal(found.total, [3, 3, 3, 3])
    np.testing.assert_allclose(found.share, [1 / 3, 1, 2 / 3, np.nan])


# ROC --------------------------------------------------------------------------------


@given(natural=SCORES, attacked=SCORES)
def test_a_roc_curve_has_the_area_and_no_needless_point(
    natural: list[float], attacked: list[float]
) -> None:
    curve = roc_points(natural, attacked)

    assert (curve.fpr[0], curve.tpr[0]) == (0, 0)
    assert (curve.fpr[-1], curve.tpr[-1]) == (1, 1)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(auroc(natural, attacked)[0])
    width, height = np.diff(curve.fpr), np.diff(curve.tpr)
    assert (width >= 0).all()
    assert (height >= 0).all()
    assert (np.abs(width[:-1] * height[1:] - width[1:] * height[:-1]) > 1e-9).all()


def test_a_long_roc_curve_is_thinned() -> None:
    rng = np.random.default_rng(10)
    natural, attacked = rng.normal(size=3000), rng.normal(1, 1, 3000)

    curve = roc_points(natural, attacked)

    assert 150 < len(curve.fpr) <= 200
    assert (curve.fpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 1, 1)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(
        auroc(natural, attacked)[0], abs=0.002
    )
