"""Targets: which samples may be one, and that each sample gets the nearest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from toy_expression_models import drawn, nearest_by_loops, out_of_fold, samples

from genosiege.expression import targets


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_the_nearest_candidate_is_the_one_that_loops_find(seed, m, p):
    rng = np.random.default_rng(seed)
    values, candidates = (rng.uniform(-1, 1, (n, p)).astype(np.float32) for n in (15, m))

    found = targets.nearest(values, candidates)

    assert found.tolist() == [nearest_by_loops(value, candidates) for value in values]


def test_of_equal_candidates_the_first_is_taken_however_many_samples_ask():
    rng = np.random.default_rng(1)
    candidates = np.repeat(rng.uniform(-1, 1, (3, 40)), 2, axis=0).astype(np.float32)
    values = rng.uniform(-1, 1, (300, 40)).astype(np.float32)

    together = targets.nearest(values, candidates)
    alone = [int(targets.nearest(values[row : row + 1], candidates)[0]) for row in range(300)]

    assert set(together) <= {0, 2, 4}
    assert together.tolist() == alone


def test_a_forbidden_candidate_gives_way_to_the_next_or_to_none():
    values = np.zeros((3, 1), dtype=np.float32)
    candidates = np.array([[0.0], [0.1]], dtype=np.float32)
    forbidden = np.array([-1, 0, 1])

    assert targets.nearest(values, candidates, forbidden).tolist() == [0, 1, 0]
    assert targets.nearest(values, candidates[:1], forbidden).tolist() == [0, -1, 0]
    assert targets.nearest(values, candidates[:0]).tolist() == [-1, -1, -1]


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_several_nearest_are_the_first_of_all_by_distance(seed, m, n):
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1, 1, (9, 4)).astype(np.float32)
    # Each candidate twice: of equals the first comes first.
    candidates = np.repeat(rng.uniform(-1, 1, (m, 4)), 2, axis=0).astype(np.float32)
    forbidden = rng.integers(-1, 2 * m, 9)

    found = targets.nearest_several(values, candidates, n, forbidden)

    for row, value in enumerate(values):
        distances = np.sum((candidates.astype(float) - value) ** 2, axis=1)
        allowed = [at for at in np.argsort(distances, kind="stable") if at != forbidden[row]]
        expected = [int(at) for at in allowed[:n]]
        assert found[row].tolist() == expected + [-1] * (n - len(expected))


def test_several_targets_begin_with_the_one_and_end_where_there_are_no_more():
    train, test = drawn(9, 30, 5, "train"), drawn(10, 20, 5, "test")
    found = targets.error_targets(train, out_of_fold(train, [1, 2, 3, 4]))

    several = targets.assign_several(found, test, 6)

    assert several[:, 0].tolist() == targets.assign(found, test).rows.tolist()
    for row, label in zip(several, test.labels, strict=True):
        mistaken = set(found.for_class(int(label)).tolist())
        assert set(row[row >= 0].tolist()) == mistaken
        assert (row >= 0).sum() == len(mistaken) and (row[len(mistaken) :] == -1).all()


def test_opposite_targets_are_the_nearest_training_samples_of_the_other_class():
    train, test = drawn(0, 40, 6, "train"), drawn(1, 25, 6, "test")

    assigned = targets.assign(targets.opposite_targets(train), test)

    for row, label in enumerate(test.labels):
        others = np.flatnonzero(train.labels != label)
        expected = others[nearest_by_loops(test.values[row], train.values[others])]
        assert assigned.rows[row] == expected
        assert np.array_equal(assigned.values[row], train.values[expected])


def test_error_targets_are_out_of_fold_errors_of_the_same_class():
    train, test = drawn(2, 40, 6, "train"), drawn(3, 25, 6, "test")
    wrong = np.array([3, 4, 11, 20, 33])

    found = targets.error_targets(train, out_of_fold(train, wrong))
    assigned = targets.assign(found, test)

    for label in (0, 1):
        mistaken = wrong[train.labels[wrong] == label]
        assert found.for_class(label).tolist() == mistaken.tolist()
        for row in np.flatnonzero(test.labels == label):
            expected = mistaken[nearest_by_loops(test.values[row], train.values[mistaken])]
            assert assigned.rows[row] == expected


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_no_target_of_the_sound_protocol_is_a_test_sample(seed):
    train, test = drawn(seed, 30, 5, "train"), drawn(seed + 1, 20, 5, "test")
    wrong = np.random.default_rng(seed).choice(30, 8, replace=False)

    made = targets.make(["error", "opposite"], train, out_of_fold(train, wrong))

    for kind, found in made.items():
        assert kind not in targets.LEAKY
        assert found.samples is train
        reached = targets.assign(found, test)
        known = {row.tobytes() for row in train.values}
        moved = reached.rows >= 0
        assert all(row.tobytes() in known for row in reached.values[moved])
        assert np.array_equal(reached.values[~moved], test.values[~moved])


def test_a_class_without_errors_has_no_targets_and_its_samples_stay():
    train, test = drawn(4, 30, 5, "train"), drawn(5, 20, 5, "test")
    negative = np.flatnonzero(train.labels == 0)[:2]

    assigned = targets.assign(targets.error_targets(train, out_of_fold(train, negative)), test)

    positive = test.labels == 1
    assert (assigned.rows[positive] == -1).all()
    assert (assigned.rows[~positive] >= 0).all()
    assert np.array_equal(assigned.values[positive], test.values[positive])


def test_published_targets_are_the_models_errors_on_test_but_never_the_sample_itself():
    test = drawn(6, 20, 5, "test")
    wrong = np.flatnonzero(test.labels == 1)[:2]
    lonely = np.flatnonzero(test.labels == 0)[:1]

    found = targets.make(["test_error"], test, None, (test, out_of_fold(test, [*wrong, *lonely])))[
        "test_error"
    ]
    assigned = targets.assign(found, test.take(np.arange(19, -1, -1)))
    rows = assigned.rows[::-1]

    assert found.kind in targets.LEAKY
    assert rows[wrong[0]] == wrong[1] and rows[wrong[1]] == wrong[0]
    assert rows[lonely[0]] == -1
    negative = np.setdiff1d(np.flatnonzero(test.labels == 0), lonely)
    assert (rows[negative] == lonely[0]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="predicted"), "column predicted is missing"),
        (lambda table: table.iloc[1:], "are not those of the training split"),
        (lambda table: table.assign(id="s1"), "are not those of the training split"),
        (lambda table: table.assign(label=1 - table["label"]), "its labels are not those"),
    ],
)
def test_predictions_of_other_samples_are_refused(change, message):
    train = drawn(7, 10, 3)

    assert message in refusal(targets.error_targets, train, change(out_of_fold(train, [1])))


def test_unknown_kinds_and_other_genes_are_refused():
    train = drawn(8, 10, 3)
    table = out_of_fold(train, [1])
    other = samples(train.values, train.labels, genes=("a", "b", "c"))

    assert 'targets "near"' in refusal(targets.make, ["near"], train, table)
    assert "test_error" in refusal(targets.make, ["test_error"], train, table)
    assert "different genes" in refusal(targets.assign, targets.opposite_targets(train), other)
