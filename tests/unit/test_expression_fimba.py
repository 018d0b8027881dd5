"""FIMBA: what is moved and how far, every setting of the grid, and what a model makes of it."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from toy_expression_models import (
    Logistic,
    drawn,
    moved_by_loops,
    nearest_by_loops,
    options,
    out_of_fold,
    samples,
)

from genosiege.expression import fimba, judging, targets
from genosiege.expression.fimba_options import Fimba

P = 8
TRAIN, TEST = drawn(0, 50, P, "train"), drawn(1, 30, P, "test")
WEIGHTS = np.linspace(2, 0.2, P)
WRONG = np.array([0, 1, 6, 9])
RANKINGS = {
    ("shap", "global"): np.random.default_rng(2).permutation(P),
    ("shap", "per_sample"): np.argsort(np.random.default_rng(3).random((30, P)), axis=1),
}
COLUMNS = [
    "targets", "importance", "features", "feature_set", "values", "k", "t", "id", "label",
    "p_true_before", "correct_before", "p_true_after", "correct_after", "l0", "l2",
    "neighbours_true", "status",
]  # fmt: skip


def attack(model=None, chosen=None, seed=0, wrong=WRONG, test=TEST, rankings=RANKINGS):
    made = targets.make(["error", "opposite"], TRAIN, out_of_fold(TRAIN, wrong))
    return fimba.attack(
        model or Logistic(WEIGHTS), test, TRAIN, made, rankings, chosen or options(), seed
    )


@st.composite
def movements(draw):
    n, p = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    values, aims = rng.uniform(-1.5, 1.5, (2, n, p)).astype(np.float32)
    per_sample = draw(st.booleans())
    order = np.argsort(rng.random((n, p) if per_sample else p), axis=-1)
    return values, aims, order, draw(st.integers(0, p))


@given(movements(), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_moving_equals_the_loop_over_samples_and_features(movement, t):
    values, aims, order, k = movement

    moved = fimba.move(values, aims, order, k, t)

    np.testing.assert_allclose(moved, moved_by_loops(values, aims, order, k, t), atol=1e-6)
    assert moved.dtype == np.float32 and moved is not values


@given(movements())
@settings(max_examples=40, deadline=None)
def test_the_default_t_is_the_last_step_but_one_of_ten(movement):
    values, aims, order, k = movement

    moved = fimba.move(values, aims, order, k, Fimba().t[0])

    expected = np.linspace(values.astype(float), aims.astype(float), 10)[-2]
    chosen = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(chosen, np.broadcast_to(order, values.shape)[:, :k], True, axis=1)
    np.testing.assert_allclose(moved[chosen], expected[chosen], atol=1e-6)


@given(movements(), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_only_the_first_k_change_and_both_ends_are_exact(movement, t):
    values, aims, order, k = movement
    before = values.copy()
    rest = np.broadcast_to(order, values.shape)[:, k:]
    first = np.broadcast_to(order, values.shape)[:, :k]

    def of(matrix, columns):
        return np.take_along_axis(matrix, columns, axis=1)

    assert np.array_equal(of(fimba.move(values, aims, order, k, t), rest), of(values, rest))
    assert np.array_equal(fimba.move(values, aims, order, k, 0.0), values)
    assert np.array_equal(of(fimba.move(values, aims, order, k, 1.0), first), of(aims, first))
    assert np.array_equal(fimba.move(values, values, order, k, t), values)
    assert np.array_equal(values, before)


def test_many_samples_are_moved_as_each_alone():
    rng = np.random.default_rng(5)
    values, aims = rng.uniform(-1, 1, (2, 600, 5)).astype(np.float32)
    order = np.argsort(rng.random((600, 5)), axis=1)

    for own in (order, order[0]):
        together = fimba.move(values, aims, own, 3, 0.7)
        for row in (0, 255, 256, 599):
            mine = own[row : row + 1] if own.ndim == 2 else own
            alone = fimba.move(values[row : row + 1], aims[row : row + 1], mine, 3, 0.7)
            assert np.array_equal(together[row : row + 1], alone)


def test_shapes_k_and_t_that_cannot_be_are_refused():
    values, order = np.zeros((2, 3), dtype=np.float32), np.arange(3)

    assert "do not fit" in refusal(fimba.move, values, values[:1], order, 1, 0.5)
    assert "do not fit" in refusal(fimba.move, values, values, order[:2], 1, 0.5)
    assert "k = 4" in refusal(fimba.move, values, values, order, 4, 0.5)
    assert "t = 1.5" in refusal(fimba.move, values, values, order, 1, 1.5)


def test_every_setting_of_the_grid_has_a_row_for_each_sample():
    chosen = options(importance=["global", "per_sample"], t=[0.5, 1.0], k=[2, 20, "all", P])

    table = attack(chosen=chosen)

    assert list(table.columns) == COLUMNS
    interpolated = {
        ("interpolated", kind, features, importance, number, k, t)
        for kind, k, t in itertools.product(("error", "opposite"), (2, 20, P), (0.5, 1.0))
        for features, importance, number in (
            ("shap", "global", 0), ("shap", "per_sample", 0),
            ("random", "none", 0), ("random", "none", 1),
        )
    }  # fmt: skip
    uniform = {("uniform", "none", *rest[2:6], None) for rest in interpolated}
    settings_found = table[
        ["values", "targets", "features", "importance", "feature_set", "k", "t"]
    ].astype(object)
    rows = settings_found.where(settings_found.notna(), None).itertuples(index=False, name=None)
    counts = pd.Series(list(rows)).value_counts()
    assert set(counts.index) == interpolated | uniform
    assert (counts == len(TEST)).all()


def test_interpolated_rows_equal_an_attack_in_plain_loops():
    model = Logistic(WEIGHTS)
    table = attack(model, options(importance=["global", "per_sample"], k=[3, "all"], t=[8 / 9]))
    rng_orders = {
        number: fimba.orders({}, options(features=["random"]), (30, P), 0)[number].order
        for number in (0, 1)
    }

    chosen = table[table["values"] == "interpolated"]
    assert len(chosen) == 2 * 4 * 2 * 30
    for row in chosen.itertuples():
        at = TEST.ids.tolist().index(row.id)
        sample, label = TEST.values[at], TEST.labels[at]
        candidates = np.flatnonzero(TRAIN.labels != label)
        if row.targets == "error":
            candidates = WRONG[TRAIN.labels[WRONG] == label]
        aim = TRAIN.values[candidates[nearest_by_loops(sample, TRAIN.values[candidates])]]
        order = RANKINGS.get(("shap", row.importance), rng_orders[row.feature_set])
        order = order[at] if order.ndim == 2 else order
        moved = moved_by_loops(sample[None], aim[None], order, row.k, 8 / 9)[0]
        positive = 1 / (1 + np.exp(-moved @ WEIGHTS))
        p_true = positive if label == 1 else 1 - positive
        nearby = np.argsort(((TRAIN.values - moved) ** 2).sum(axis=1))[:5]
        assert row.p_true_after == pytest.approx(p_true, abs=1e-6)
        assert row.correct_after == (p_true > 0.5)
        assert row.l0 == np.count_nonzero(np.abs(moved - sample) > 1e-9)
        assert row.l2 == pytest.approx(np.linalg.norm(moved - sample), abs=1e-5)
        assert row.neighbours_true == ((TRAIN.labels[nearby] == label).sum() >= 3)
        assert row.status == "attacked"


def test_uniform_values_are_drawn_once_and_larger_k_extend_smaller_ones():
    first, second = (fimba.uniform_values(TEST, number, 0) for number in (0, 1))
    few = TEST.take(np.array([4, 2]))

    assert np.array_equal(fimba.uniform_values(few, 0, 0), first[[4, 2]])
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, fimba.uniform_values(TEST, 0, 1))
    assert -1 <= first.min() < -0.9 and 0.9 < first.max() <= 1

    table = attack(chosen=options(k=[2, 3, "all"], values=["uniform"]))
    order = RANKINGS["shap", "global"]
    for k in (2, 3, P):
        moved = TEST.values.copy()
        moved[:, order[:k]] = first[:, order[:k]]
        rows = table[(table["k"] == k) & (table["features"] == "shap")]
        expected = judging.answers(Logistic(WEIGHTS), moved, TEST.labels).p_true
        np.testing.assert_allclose(rows["p_true_after"], expected, atol=1e-12)
        assert (rows["targets"] == "none").all() and rows["t"].isna().all()


def test_t_of_nothing_changes_nothing_and_is_not_asked_about():
    model = Logistic(WEIGHTS)

    table = attack(model, options(t=[0.0], values=["interpolated"]))

    assert (table["l0"] == 0).all() and (table["l2"] == 0).all()
    assert (table["p_true_after"] == table["p_true_before"]).all()
    assert model.n_queries == len(TEST)


def test_moving_all_features_is_asked_about_once_for_all_orders():
    model = Logistic(WEIGHTS)

    table = attack(model, options(k=["all"], values=["interpolated"], targets=["opposite"]))

    assert model.n_queries == 2 * len(TEST)
    sets = [rows["p_true_after"].tolist() for _, rows in table.groupby(["features", "feature_set"])]
    assert len(sets) == 3 and sets[0] == sets[1] == sets[2]


def test_batches_of_the_model_do_not_matter():
    tables = [attack(Logistic(WEIGHTS, batch_size=size)) for size in (1, 7, 1000)]

    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])


def test_a_perfect_classifier_is_a_status_and_its_samples_stay():
    table = attack(wrong=[])

    error = table[table["targets"] == "error"]
    error = error[error["k"] <= P]
    assert len(error) and set(error["status"]) == {judging.NO_TARGETS}
    assert (error["p_true_after"] == error["p_true_before"]).all()
    assert (error["correct_after"] == error["correct_before"]).all()
    assert (error["l0"] == 0).all() and (error["l2"] == 0).all()
    assert set(table.loc[table["targets"] != "error", "status"]) == {judging.ATTACKED}


def test_a_class_without_errors_is_a_status_of_its_samples_only():
    table = attack(wrong=[int(np.flatnonzero(TRAIN.labels == 0)[0])])

    error = table[table["targets"] == "error"]
    by_label = error.groupby("label")["status"].unique()
    assert by_label[0].tolist() == [judging.ATTACKED]
    assert by_label[1].tolist() == [judging.NO_TARGETS]


def test_more_features_than_there_are_is_a_status_with_nothing_after():
    model = Logistic(WEIGHTS)

    table = attack(model, options(k=[P + 1]))

    assert set(table["status"]) == {judging.K_EXCEEDS_FEATURES}
    assert table["p_true_after"].isna().all() and table["l2"].isna().all()
    assert not table["correct_after"].any() and (table["l0"] == 0).all()
    assert (table["k"] == P + 1).all() and table["p_true_before"].notna().all()
    assert model.n_queries == len(TEST)


def test_the_attacked_samples_are_drawn_in_proportion_and_drawing_again_keeps_them():
    labels = np.arange(100) < 30
    test = samples(np.arange(100)[:, None] / 100, labels, "test")
    chosen = options(test_samples=20)

    once = fimba.attacked(test, chosen, 0)

    assert len(once) == 20 and once.labels.sum() == 6
    assert fimba.attacked(once, chosen, 0).ids.tolist() == once.ids.tolist()
    assert fimba.attacked(test, chosen, 1).ids.tolist() != once.ids.tolist()
    assert fimba.attacked(test, options(), 0).ids.tolist() == test.ids.tolist()


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 45))
@settings(max_examples=60, deadline=None)
def test_a_drawn_part_keeps_each_class_that_has_room(negatives, positives, n):
    labels = np.repeat([0, 1], [negatives, positives])

    rows = fimba.stratified(labels, n, np.random.default_rng(0))

    m = negatives + positives
    assert len(set(rows.tolist())) == len(rows) == min(n, m)
    assert rows.tolist() == sorted(rows.tolist())
    if n >= 2:
        assert set(labels[rows]) == set(labels)
    assert abs(labels[rows].sum() - min(n, m) * positives / max(m, 1)) <= 1


def test_random_orders_are_the_same_for_all_models_and_others_for_another_seed():
    chosen = options(features=["random"], random_sets=3)

    def drawn_orders(seed):
        return [found.order.tolist() for found in fimba.orders({}, chosen, (30, P), seed)]

    assert all(sorted(order) == list(range(P)) for order in drawn_orders(0))
    assert drawn_orders(0) == drawn_orders(0) != drawn_orders(1)
    assert len({tuple(order) for order in drawn_orders(0)}) == 3


def test_what_is_missing_or_does_not_fit_is_refused():
    def tried(**changes):
        return refusal(attack, **changes)

    other = samples(TEST.values, TEST.labels, genes=tuple("abcdefgh"))
    assert "different genes" in tried(test=other)
    assert "no ranking by shap, global" in tried(rankings={})
    short = {("shap", "global"): np.arange(3)}
    assert "has shape (3,)" in tried(rankings=short)
    per_sample = {("shap", "per_sample"): RANKINGS["shap", "per_sample"][:4]}
    chosen = options(importance=["per_sample"])
    assert "has shape (4, 8)" in tried(rankings=per_sample, chosen=chosen)
    assert "no targets of kind test_error" in tried(chosen=options(targets=["test_error"]))


@pytest.mark.parametrize(
    ("given_options", "message"),
    [
        ({"features": ["shapley"]}, 'fimba, features "shapley"'),
        ({"importance": []}, "fimba, importance ()"),
        ({"targets": ["error", "error"]}, "fimba, targets ('error', 'error')"),
        ({"values": ["decoded"]}, 'fimba, values "decoded"'),
        ({"k": [10, 0]}, "fimba, k 0"),
        ({"k": ["most"]}, "fimba, k 'most'"),
        ({"k": [True]}, "fimba, k True"),
        ({"t": [1.1]}, "fimba, t 1.1"),
        ({"random_sets": 0}, "fimba, random_sets 0"),
        ({"folds": 1}, "fimba, folds 1"),
        ({"test_samples": 0}, "fimba, test_samples 0"),
        ({"smallest_k": {"max": 0}}, "fimba, smallest_k, max 0"),
        ({"smallest_k": {"least": 1}}, "fimba, smallest_k, least"),
        ({"steps": 10}, "fimba, steps"),
    ],
)
def test_options_out_of_range_are_refused(given_options, message):
    assert refusal(Fimba.from_mapping, given_options).startswith(message)


def test_options_left_out_take_their_defaults():
    assert Fimba.from_mapping(None) == Fimba.from_mapping({}) == Fimba()
    assert Fimba.from_mapping({"smallest_k": None}).smallest_k is None
    assert Fimba.from_mapping({"k": [1, "all"]}).k == (1, "all")


def test_neighbours_are_at_most_the_training_samples_and_need_a_majority():
    train = samples([[0.0], [0.2], [0.9]], [0, 1, 1], "train")
    values = np.array([[0.0], [1.0]], dtype=np.float32)

    three = judging.Neighbours(train, 5).of_true_class(values, np.array([0, 1]))
    two = judging.Neighbours(train, 2).of_true_class(values, np.array([0, 1]))
    one = judging.Neighbours(train, 1).of_true_class(values, np.array([0, 1]))

    assert three.tolist() == [False, True]
    assert two.tolist() == [False, True]
    assert one.tolist() == [True, True]
    assert "neighbours" in refusal(judging.Neighbours, train, 0)


def test_judging_writes_the_setting_then_what_happened():
    moved = TEST.values.copy()
    moved[0, 3] += 0.5
    moved[0, 4] -= 1.2
    setting = {"targets": "error", "fraction": 10}
    model = Logistic(WEIGHTS)

    table = judging.judge(model, TEST, moved, judging.Neighbours(TRAIN), setting)

    assert list(table.columns) == ["targets", "fraction", *COLUMNS[7:]]
    assert table["l0"].tolist() == [2] + [0] * 29
    assert table["l2"][0] == pytest.approx(1.3, abs=1e-6)
    assert (table["fraction"] == 10).all()
    assert model.n_queries == len(TEST) + 1
    assert "shape" in refusal(
        judging.judge, model, TEST, moved[:3], judging.Neighbours(TRAIN), setting
    )


def test_an_even_answer_is_a_prediction_of_class_0():
    undecided = Logistic(np.zeros(P))

    found = judging.answers(undecided, TEST.values, TEST.labels)

    assert found.correct.tolist() == (TEST.labels == 0).tolist()
    assert (found.p_true == 0.5).all()
