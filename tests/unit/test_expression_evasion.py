"""Evasion by decoded values, with autoencoders and models whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_expression_vae import Scaling, out_of_fold, two_clouds

from genosiege.expression import evasion, fimba, targets, vae, vae_training
from genosiege.expression.fimba_options import Fimba
from genosiege.expression.samples import Samples

OPTIONS = Fimba(
    targets=("opposite",), k=(1, 3, "all"), t=(0.5, 0.9), random_sets=2, values=("interpolated",)
)
SHAP = {("shap", "global"): np.array([1, 0, 2, 3, 4, 5])}


class Linear:
    """Logistic in the sum of the first two genes; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def predict_proba(self, values):
        self.asked.append(values.copy())
        positive = 1 / (1 + np.exp(-4.0 * values[:, :2].astype(np.float64).sum(axis=1)))
        return np.stack([1 - positive, positive], axis=1)


@pytest.fixture
def test():
    return two_clouds(30, 1)


@pytest.fixture
def train():
    return two_clouds(50, 2)


def opposite(train):
    return {"opposite": targets.opposite_targets(train)}


def attack(test, train, vaes, options=OPTIONS, goals=None, model=None):
    goals = goals or opposite(train)
    return evasion.attack(model or Linear(), vaes, test, train, goals, SHAP, options, 7)


def test_an_autoencoder_that_changes_nothing_gives_the_rows_of_fimba(test, train):
    expected = fimba.attack(Linear(), test, train, opposite(train), SHAP, OPTIONS, 7)

    rows = attack(test, train, {50: Scaling(test.genes)})

    decoded = rows[rows["values"] == "decoded"]
    assert list(rows.columns) == [
        *expected.columns[:7],
        "fraction",
        *expected.columns[7:],
    ]
    keys = ["targets", "importance", "features", "feature_set", "k", "t", "id"]
    both = decoded.merge(expected, on=keys, suffixes=("", "_fimba"), validate="1:1")
    assert len(both) == len(decoded) == len(expected) == 3 * 3 * 2 * 30
    for column in ("p_true_after", "l2"):
        assert np.allclose(both[column], both[f"{column}_fimba"], atol=1e-6)
    for column in ("correct_after", "l0", "label", "status", "neighbours_true", "p_true_before"):
        assert (both[column] == both[f"{column}_fimba"]).all()


def test_the_control_is_the_reconstruction_of_all_features(test, train):
    rows = attack(test, train, {50: Scaling(test.genes, 0.25)})

    control = rows[rows["values"] == "reconstructed"]
    assert control["id"].tolist() == test.ids.tolist()
    probability = Linear().predict_proba(np.float32(0.25) * test.values)
    expected = probability[np.arange(30), test.labels]
    assert np.allclose(control["p_true_after"], expected, atol=1e-6)
    assert np.allclose(control["l2"], 0.75 * np.linalg.norm(test.values, axis=1), atol=1e-5)
    assert set(control[["targets", "importance", "features"]].to_numpy().ravel()) == {"none"}
    assert control["t"].isna().all()
    assert (control["k"] == 6).all() and (control["l0"] == 6).all()


def test_only_the_first_k_features_take_decoded_values(test, train):
    model, tripled = Linear(), Scaling(test.genes, 3.0)
    one = Fimba(features=("shap",), targets=("opposite",), k=(2,), t=(0.5,))

    attack(test, train, {50: tripled}, one, model=model)

    moved = model.asked[-1]  # before, control, moved
    goal = opposite(train)["opposite"]
    aim = 3 * (0.5 * test.values + 0.5 * targets.assign(goal, test).values)
    assert np.allclose(moved[:, [1, 0]], aim[:, [1, 0]], atol=1e-6)
    assert np.array_equal(moved[:, 2:], test.values[:, 2:])


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_the_ends_of_the_way_are_the_two_reconstructions(test, train, t):
    model, halved = Linear(), Scaling(test.genes, 0.5)
    whole = Fimba(features=("shap",), targets=("opposite",), k=("all",), t=(t,))

    attack(test, train, {50: halved}, whole, model=model)

    aims = targets.assign(opposite(train)["opposite"], test).values
    assert np.allclose(model.asked[-1], 0.5 * (aims if t else test.values), atol=1e-6)


def test_a_class_without_targets_stays_as_it_is(test, train):
    wrong = np.flatnonzero(train.labels == 1)[:2]  # no false positive
    errors = {"error": targets.error_targets(train, out_of_fold(train, wrong))}
    options = Fimba(targets=("error",), k=(2, "all"), random_sets=1)

    rows = attack(test, train, {50: Scaling(test.genes, 0.1)}, options, errors)

    decoded = rows[rows["values"] == "decoded"]
    negative = decoded[decoded["label"] == 0]
    assert (negative["status"] == "no_targets").all() and len(negative) == 4 * 15
    assert (negative["p_true_after"] == negative["p_true_before"]).all()
    assert (negative["l0"] == 0).all() and (negative["l2"] == 0).all()
    positive = decoded[decoded["label"] == 1]
    assert (positive["status"] == "attacked").all() and (positive["l0"] > 0).all()


def test_more_features_than_there_are_is_a_status(test, train):
    options = Fimba(targets=("opposite",), k=(2, 7), random_sets=1)

    rows = attack(test, train, {50: Scaling(test.genes)}, options)

    beyond = rows[rows["k"] == 7]
    assert set(beyond["status"]) == {"k_exceeds_features"} and len(beyond) == 2 * 30
    assert beyond["p_true_after"].isna().all() and not beyond["correct_after"].any()
    assert (rows.loc[rows["k"] == 2, "status"] == "attacked").all()


def test_all_features_are_the_same_in_any_order_and_asked_about_once(test, train):
    model = Linear()
    options = Fimba(targets=("opposite",), k=("all",), t=(0.5,), random_sets=3)

    rows = attack(test, train, {50: Scaling(test.genes, 0.5)}, options, model=model)

    assert len(model.asked) == 3  # before, control, moved
    decoded = rows[rows["values"] == "decoded"]
    assert decoded.groupby("id")["p_true_after"].nunique().max() == 1
    assert len(decoded) == 4 * 30


def test_each_autoencoder_has_its_own_rows(test, train):
    vaes = {10: Scaling(test.genes, 0.5), 100: Scaling(test.genes)}

    both = attack(test, train, vaes)

    for fraction, one in vaes.items():
        alone = attack(test, train, {fraction: one})
        mine = both[both["fraction"] == fraction].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, alone)


def test_the_same_test_samples_are_attacked_as_by_fimba(test, train):
    options = Fimba(targets=("opposite",), k=(1,), test_samples=8, random_sets=1)
    expected = fimba.attack(Linear(), test, train, opposite(train), SHAP, options, 7)

    rows = attack(test, train, {50: Scaling(test.genes)}, options)

    assert set(rows["id"]) == set(expected["id"]) and rows["id"].nunique() == 8


def test_a_trained_autoencoder_attacks_the_same_way_twice(test, train):
    small = vae_training.Training(
        widths=(8,), latent=2, epochs=30, batch_size=10, learning_rate=1e-2, beta=0.01
    )
    tables = []
    for _ in range(2):
        trained = vae_training.train(train, two_clouds(20, 3), 50, small, seed=7)
        tables.append(attack(test, train, {50: trained.vae}))

    pd.testing.assert_frame_equal(*tables)
    decoded = tables[0][tables[0]["values"] == "decoded"]
    near = decoded[(decoded["k"] == 6) & (decoded["t"] == 0.9)]
    assert near["correct_before"].mean() == 1
    assert near["correct_after"].mean() < 0.5
    # Decoded towards the other class, they lie among it.
    assert near["neighbours_true"].mean() < 0.5


def test_what_does_not_belong_together_is_refused(test, train):
    renamed = Samples(test.ids, test.values, test.labels, test.genes[::-1])

    assert "different genes" in refusal(attack, renamed, train, {50: Scaling(test.genes)})
    assert "other genes" in refusal(attack, test, train, {50: Scaling(test.genes[::-1])})
    assert "there is no VAE" in refusal(attack, test, train, {})
    errors = Fimba(targets=("error",))
    assert "targets of kind error" in refusal(
        attack, test, train, {50: Scaling(test.genes)}, errors
    )


def test_the_stand_in_answers_as_an_autoencoder_does():
    for name in ("check", "reconstruct", "interpolate"):
        assert callable(getattr(vae.Vae, name)) and callable(getattr(Scaling, name))
