import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from sklearn.model_selection import StratifiedKFold
from toy_expression_classes import two_classes

from genosiege.expression import folds, models
from genosiege.expression.folds import out_of_fold, split_tenth

FOREST = {"kind": "random_forest", "trees": 7, "min_samples_leaf": 1}
BOOSTING = {"kind": "xgboost", "trees": 5, "max_depth": 2}


@pytest.fixture
def classes_with_donors():
    """Samples of two classes, with twelve donors of five samples each of either class."""
    train = two_classes(120, seed=1, positives=0.5)
    counts = {0: 0, 1: 0}
    donors = []
    for label in train.labels.tolist():
        donors.append(f"{label}:{counts[label] // 5}")
        counts[label] += 1
    return train, donors


@pytest.fixture
def fits(monkeypatch):
    """Names of the samples that each model was trained and stopped on."""
    seen = []
    fit = models.Model.fit

    def recorded(model, train, dev):
        seen.append((set(train.ids), set(dev.ids)))
        fit(model, train, dev)

    monkeypatch.setattr(models.Model, "fit", recorded)
    return seen


@pytest.mark.parametrize("entry", [FOREST, BOOSTING])
def test_each_sample_is_predicted_once_by_a_model_that_never_saw_it(entry, fits):
    train = two_classes(60, seed=1, positives=0.3)

    table = out_of_fold(entry, train, folds=4, seed=3)

    assert table["id"].tolist() == train.ids.tolist()
    assert table["label"].tolist() == train.labels.tolist()
    assert len(fits) == 4
    for fold, (learnt, judged) in enumerate(fits):
        held_out = set(table.loc[table["fold"] == fold, "id"])
        assert not held_out & (learnt | judged)
        assert not learnt & judged
        assert held_out | learnt | judged == set(train.ids)


def test_only_a_model_that_stops_early_gives_up_a_tenth_of_its_rows(fits):
    train = two_classes(100, seed=1)

    out_of_fold(FOREST, train, folds=2, seed=0)
    out_of_fold({**BOOSTING, "patience": None}, train, folds=2, seed=0)
    out_of_fold(BOOSTING, train, folds=2, seed=0)

    sizes = [(len(learnt), len(judged)) for learnt, judged in fits]
    assert sizes == [(50, 0)] * 4 + [(46, 4)] * 2  # of 25 a class, 2 each


def test_folds_are_those_of_scikit_learn_and_hold_each_class_alike():
    train = two_classes(60, seed=1, positives=0.25)

    table = out_of_fold(FOREST, train, folds=5, seed=7)

    splits = StratifiedKFold(5, shuffle=True, random_state=7).split(train.values, train.labels)
    for fold, (_, held_out) in enumerate(splits):
        assert np.flatnonzero(table["fold"] == fold).tolist() == held_out.tolist()
    counts = table.groupby("fold")["label"].sum()
    assert counts.max() - counts.min() <= 1


def test_no_donor_is_in_two_folds(classes_with_donors):
    train, donors = classes_with_donors

    table = folds.out_of_fold(FOREST, train, 3, 0, groups=donors)

    assert table.groupby(np.array(donors))["fold"].nunique().eq(1).all()
    assert table["fold"].nunique() == 3


def test_donors_of_one_class_in_a_single_fold_are_refused(classes_with_donors):
    train, _ = classes_with_donors
    donors = ["well" if label == 0 else f"ill{i}" for i, label in enumerate(train.labels)]

    message = refusal(folds.out_of_fold, FOREST, train, 3, 0, 1, donors)

    assert "take fewer folds" in message


def test_a_prediction_is_that_of_a_model_trained_on_the_other_folds():
    train = two_classes(40, seed=2)

    table = out_of_fold(FOREST, train, folds=4, seed=5)

    held_out = (table["fold"] == 2).to_numpy()
    model = models.create(FOREST, len(train.genes), seed=5)
    model.fit(train.take(~held_out), train.take(np.arange(0)))
    expected = model.predict_proba(train.values[held_out])[:, 1]
    assert table.loc[held_out, "p_positive"].tolist() == expected.tolist()
    assert table["predicted"].tolist() == (table["p_positive"] > 0.5).astype(int).tolist()
    assert table["correct"].tolist() == (table["predicted"] == table["label"]).tolist()


def test_learnable_data_are_learnt_out_of_fold_and_random_labels_are_not():
    train = two_classes(120, seed=1)
    rng = np.random.default_rng(0)
    shuffled = type(train)(train.ids, train.values, rng.permutation(train.labels), train.genes)

    assert out_of_fold(FOREST, train, 5, 0)["correct"].mean() > 0.9
    assert out_of_fold(FOREST, shuffled, 5, 0)["correct"].mean() < 0.65


def test_equal_seeds_give_equal_tables_and_others_do_not():
    train = two_classes(60, seed=1)
    first, again, other = (out_of_fold(BOOSTING, train, 3, seed) for seed in (0, 0, 1))

    assert first.equals(again)
    assert not first.equals(other)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 5))
def test_a_tenth_leaves_a_sample_of_each_class_and_takes_one_where_it_can(n_0, n_1, seed):
    labels = np.repeat([0, 1, 0], [n_0, n_1, 3])
    rows = np.arange(n_0 + n_1)  # the last three are not asked for

    learnt, judged = split_tenth(rows, labels, np.random.default_rng(seed))

    assert sorted([*learnt, *judged]) == rows.tolist()
    for label, n in ((0, n_0), (1, n_1)):
        taken = int((labels[judged] == label).sum())
        assert taken == min(max(1, round(n / 10)), n - 1)


@pytest.mark.parametrize(
    ("labels", "n_folds", "told"),
    [
        ([1] * 20, 5, "one class only"),
        ([0] * 4 + [1] * 20, 5, "4 training samples of class 0 for 5 folds"),
        ([0, 1] * 10, 1, "whole number ≥ 2"),
        ([0, 1] * 10, 2.0, "whole number ≥ 2"),
    ],
)
def test_what_cannot_be_folded_is_refused(labels, n_folds, told):
    train = two_classes(len(labels), seed=0)
    train = type(train)(train.ids, train.values, np.array(labels), train.genes)

    assert told in refusal(folds.out_of_fold, FOREST, train, n_folds, 0)


def test_as_many_samples_as_folds_are_enough():
    train = two_classes(20, seed=0)
    labels = np.array([0] * 3 + [1] * 17)
    train = type(train)(train.ids, train.values, labels, train.genes)

    assert len(out_of_fold(BOOSTING, train, 3, 0)) == 20
