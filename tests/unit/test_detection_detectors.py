"""Detectors of vectors: known answers on Gaussians, brute force, and what they depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from scipy import integrate, stats
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from toy_expression_classes import two_classes
from toy_expression_models import Logistic
from toy_expression_vae import Scaling

from genosiege.detection import covariance, detectors, options
from genosiege.detection.detectors import (
    IsolationForest,
    Mahalanobis,
    ModelMargin,
    NearestNeighbours,
    Reconstruction,
)

P = 12
GENES = tuple(f"g{column}" for column in range(P))


def gaussian(seed, n, p=P, shift=0.0):
    """Rows of independent standard normal columns, the first of them moved."""
    values = np.random.default_rng(seed).normal(size=(n, p))
    values[:, 0] += shift
    return values.astype(np.float32)


def ones(n):
    return np.ones(n, dtype=np.int64)


def built(names=options.EXPRESSION, vae=None, neighbours=3, trees=30, seed=4):
    return detectors.build(
        names,
        model=Logistic(np.linspace(1, -1, P)),
        vae=vae or Scaling(GENES, 0.5),
        options=options.Detection(neighbours=neighbours, trees=trees),
        seed=seed,
        threads=1,
    )


def auroc(natural, attacked):
    truth = np.repeat([0, 1], [len(natural), len(attacked)])
    return roc_auc_score(truth, np.concatenate([natural, attacked]))


@pytest.mark.parametrize("name", options.EXPRESSION)
def test_equal_distributions_are_told_apart_by_chance_only(name):
    n = 1500
    detector = built([name])[name].fit(gaussian(0, 400), np.arange(400) % 2)

    found = auroc(detector.score(gaussian(1, n)), detector.score(gaussian(2, n)))

    # The standard deviation of AUROC on equal distributions is sqrt((2n + 1) / (12 n²)).
    assert abs(found - 0.5) < 3.3 * np.sqrt((2 * n + 1) / (12 * n**2))


@pytest.mark.parametrize("shift", [1.5, 3.0])
def test_mahalanobis_of_shifted_gaussians_has_the_analytic_auroc(shift):
    n, p = 6000, 8
    # Squared distances are χ² with p degrees of freedom, noncentral by shift² where shifted.
    expected = integrate.quad(
        lambda d: stats.chi2.cdf(d, p) * stats.ncx2.pdf(d, p, shift**2), 0, 200
    )[0]
    detector = Mahalanobis().fit(gaussian(0, 20_000, p), ones(20_000))

    natural, attacked = gaussian(1, n, p), gaussian(2, n, p, shift)

    found = auroc(detector.score(natural), detector.score(attacked))
    assert found == pytest.approx(expected, abs=0.015)


def test_mahalanobis_scores_natural_gaussians_as_chi_squared():
    mixing = np.eye(6) + 0.5 * np.eye(6, k=1)  # correlated, and far from singular
    train, new = (gaussian(seed, 20_000, 6) @ mixing + 2 for seed in (0, 1))

    found = Mahalanobis().fit(train.astype(np.float32), ones(20_000)).score(new)

    assert found.mean() == pytest.approx(6, rel=0.03)
    assert np.quantile(found, 0.95) == pytest.approx(stats.chi2.ppf(0.95, 6), rel=0.04)


@pytest.mark.parametrize("n", [8, 200])
def test_mahalanobis_equals_its_formula_with_the_inverse(n):
    rng = np.random.default_rng(5)
    labels = np.arange(n) % 3
    train = (rng.normal(size=(n, P)) + labels[:, None]).astype(np.float32)
    rows = gaussian(6, 10)
    means = [train[labels == label].astype(float).mean(axis=0) for label in range(3)]
    centred = np.stack([row - means[label] for row, label in zip(train, labels, strict=True)])
    inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(centred).covariance_)

    found = Mahalanobis().fit(train, labels).score(rows)

    expected = [min((row - mean) @ inverse @ (row - mean) for mean in means) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@given(st.integers(2, 40), st.integers(1, 30), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_the_shrunk_covariance_is_that_of_scikit_learn(n, p, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, p)) @ rng.normal(size=(p, p))
    other = LedoitWolf(assume_centered=True).fit(rows)

    found = covariance.shrinkage(rows, rows.T @ rows / n)

    assert found == pytest.approx(other.shrinkage_, abs=1e-9)
    np.testing.assert_allclose(
        covariance.shrunk(rows), other.covariance_, rtol=1e-5, atol=1e-5 * np.square(rows).mean()
    )


def test_a_covariance_that_has_no_inverse_gets_one():
    pair = np.array([[1.0, 2.0, 0.0], [-1.0, -2.0, 0.0]])  # two opposite rows: nothing to shrink

    assert covariance.shrinkage(pair, pair.T @ pair / 2) == 0
    assert np.linalg.eigvalsh(covariance.shrunk(pair)).min() > 0
    assert np.array_equal(covariance.shrunk(np.zeros((4, 3))), np.eye(3))


@pytest.mark.parametrize("name", options.EXPRESSION)
@pytest.mark.parametrize("kind", ["few rows", "one row", "constant columns", "all equal"])
def test_scores_stay_finite_on_poor_training_rows(name, kind):
    train, labels = gaussian(0, 40), np.arange(40) % 2
    if kind == "few rows":
        train, labels = train[:5], labels[:5]
    elif kind == "one row":
        train, labels = train[:1], labels[:1]
    elif kind == "constant columns":
        train[:, 3:7] = 0.3
    else:
        train[:] = 0.3

    found = detectors.scores({name: built([name])[name].fit(train, labels)}, gaussian(1, 9))

    assert list(found) == [f"score_{name}"] and found[f"score_{name}"].shape == (9,)


def test_mahalanobis_of_equal_rows_is_the_squared_euclidean_distance():
    train = np.full((20, P), 0.3, dtype=np.float32)
    rows = gaussian(1, 5)

    found = Mahalanobis().fit(train, np.arange(20) % 2).score(rows)

    np.testing.assert_allclose(found, np.square(rows - train[0].astype(float)).sum(axis=1))


@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_nearest_neighbours_equal_brute_force(n_train, n, seed, far):
    rng = np.random.default_rng(seed)
    offset = 1000 if far else 0
    train, rows = (
        (rng.normal(size=(size, 4)) + offset).astype(np.float32) for size in (n_train, 6)
    )
    rows[0] = train[0]

    found = NearestNeighbours(n).fit(train, ones(n_train)).score(rows)

    every = np.linalg.norm(rows[:, None].astype(float) - train[None], axis=2)
    np.testing.assert_allclose(found, np.sort(every, axis=1)[:, :n].mean(axis=1), atol=1e-10)


def test_a_training_row_is_its_own_nearest_neighbour_at_no_distance():
    train = gaussian(0, 30) + np.float32(50)

    assert (NearestNeighbours(1).fit(train, ones(30)).score(train) == 0).all()


def test_the_isolation_forest_finds_what_lies_apart():
    train = gaussian(0, 300)
    detector = IsolationForest(50, 3).fit(train, ones(300))

    found = detector.score(np.vstack([train[:50], np.full((1, P), 8, np.float32)]))

    assert found.argmax() == 50 and (found > 0).all() and (found < 1).all()


def test_the_reconstruction_error_is_the_mean_square_over_columns():
    rows = gaussian(0, 7)

    found = Reconstruction(Scaling(GENES, 0.25)).fit(rows, ones(7)).score(rows)

    np.testing.assert_allclose(found, np.square(0.75 * rows).mean(axis=1), rtol=1e-6)


def test_the_margin_is_highest_where_the_model_cannot_decide():
    model = Logistic([1.0, 0.0])
    rows = np.array([[0, 5], [1, 5], [-1, 5], [20, 5]], dtype=np.float32)

    found = ModelMargin(model).score(rows)

    positive = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(found, [0, 1 - 2 * positive, 1 - 2 * positive, -1], atol=1e-8)


def test_scores_depend_neither_on_blocks_nor_on_the_order_of_rows(monkeypatch):
    train, labels, rows = gaussian(0, 60), np.arange(60) % 2, gaussian(1, 23, shift=1)
    whole = {name: found.fit(train, labels) for name, found in built().items()}
    expected = detectors.scores(whole, rows)
    shuffled = np.random.default_rng(2).permutation(23)

    reordered = detectors.scores(whole, rows[shuffled])
    monkeypatch.setattr(detectors, "MEMORY_CELLS", 70)  # a row at a time, or five
    blockwise = detectors.scores(whole, rows)

    for name, found in expected.items():
        np.testing.assert_allclose(blockwise[name], found, rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(reordered[name], found[shuffled], rtol=1e-9, err_msg=name)


def test_blocks_of_rows_are_bounded(monkeypatch):
    monkeypatch.setattr(detectors, "MEMORY_CELLS", 5 * P)
    vae = Scaling(GENES)

    Reconstruction(vae).score(gaussian(0, 23))

    assert [len(rows) for rows in vae.seen] == [5, 5, 5, 5, 3]


def test_the_order_of_training_rows_changes_no_distance():
    train, labels, rows = gaussian(0, 60), np.arange(60) % 2, gaussian(1, 9)
    other = np.random.default_rng(2).permutation(60)

    for name in ("spectral", "mahalanobis", "nearest_neighbours"):
        found = built([name])[name].fit(train, labels).score(rows)
        again = built([name])[name].fit(train[other], labels[other]).score(rows)
        np.testing.assert_allclose(again, found, rtol=1e-9)


def test_the_same_seed_gives_the_same_scores_and_another_other_ones():
    train, rows = gaussian(0, 60), gaussian(1, 9)

    one, two, other = (
        detectors.scores(
            {name: found.fit(train, ones(60)) for name, found in built(seed=seed).items()}, rows
        )
        for seed in (4, 4, 5)
    )

    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["score_isolation_forest"], other["score_isolation_forest"])


def test_threads_that_grow_the_forest_change_no_score():
    train, rows = gaussian(0, 300), gaussian(1, 9)

    one, two = (
        IsolationForest(20, 3, threads).fit(train, ones(300)).score(rows) for threads in (1, 2)
    )

    assert np.array_equal(one, two)


def test_no_row_gives_no_score():
    fitted = {name: found.fit(gaussian(0, 20), ones(20)) for name, found in built().items()}

    found = detectors.scores(fitted, np.empty((0, P), dtype=np.float32))

    assert [scores.shape for scores in found.values()] == [(0,)] * len(options.EXPRESSION)


def test_fitting_and_scoring_leave_the_rows_as_they_are():
    train, rows = gaussian(0, 40), gaussian(1, 9)
    before = train.copy(), rows.copy()

    detectors.scores({k: d.fit(train, ones(40)) for k, d in built().items()}, rows)

    assert np.array_equal(train, before[0]) and np.array_equal(rows, before[1])


class Spy:
    """Remembers what it is fitted on."""

    def fit(self, values, labels):
        self.fitted = values, labels
        return self

    def score(self, values):
        return np.full(len(values), np.nan)


def test_all_detectors_are_fitted_on_the_same_stratified_training_rows():
    train = two_classes(200, 1, positives=0.3)
    spies = {"one": Spy(), "two": Spy()}

    found = detectors.fitted(spies, train, 50, 7)

    assert found == spies
    values, labels = spies["one"].fitted
    assert len(labels) == 50 and labels.sum() == 15
    assert np.array_equal(values, spies["two"].fitted[0])
    known = {row.tobytes(): label for row, label in zip(train.values, train.labels, strict=True)}
    assert [known[row.tobytes()] for row in values] == labels.tolist()
    again, other = (detectors.fitted({"x": Spy()}, train, 50, seed)["x"] for seed in (7, 8))
    assert np.array_equal(again.fitted[0], values)
    assert not np.array_equal(other.fitted[0], values)


@pytest.mark.parametrize("fit_samples", [None, 200, 5000])
def test_all_training_rows_serve_where_as_many_are_asked_for(fit_samples):
    train = two_classes(200, 1)

    spy = detectors.fitted({"one": Spy()}, train, fit_samples, 7)["one"]

    assert np.array_equal(spy.fitted[0], train.values)


def test_detectors_are_built_in_the_order_asked_with_their_options():
    names = ["margin", "nearest_neighbours", "spectral"]

    found = built(names, neighbours=1)

    assert list(found) == names
    rows = gaussian(0, 20)
    assert (found["nearest_neighbours"].fit(rows, ones(20)).score(rows) == 0).all()


def test_what_cannot_be_is_refused():
    rows = gaussian(0, 20)
    arguments = {"model": Logistic(ones(P)), "vae": None, "options": options.Detection(), "seed": 1}

    assert "there is no VAE" in refusal(detectors.build, ["margin", "vae"], **arguments)
    assert "choose among" in refusal(detectors.build, ["kmer"], **arguments)
    assert "at least 1" in refusal(NearestNeighbours, 0)
    assert "missing or infinite" in refusal(detectors.scores, {"spy": Spy()}, rows)
    for detector in (Mahalanobis(), NearestNeighbours(2), IsolationForest(5)):
        assert "not fitted" in refusal(detector.score, rows)
        assert "at least one row" in refusal(detector.fit, rows[:0], ones(0))
        assert "a label for each row" in refusal(detector.fit, rows, ones(19))
        detector.fit(rows, ones(20))
        assert "rows of 12 numbers" in refusal(detector.score, rows[:, :5])
