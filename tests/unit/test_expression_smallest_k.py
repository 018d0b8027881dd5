"""The smallest k: exact against trying one by one, also where the way is no straight one."""

import numpy as np
import pandas as pd
import pytest
from toy_expression_models import Logistic, drawn, options, out_of_fold

from genosiege.expression import fimba, judging, smallest_k, targets

TRAIN, TEST = drawn(0, 60, 12, "train"), drawn(1, 40, 12, "test")
# Weights of both signs: a longer prefix may flip back what a shorter one flips.
WEIGHTS = np.linspace(2, 0.2, 12) * np.where(np.arange(12) % 3 == 2, -1, 1)
ORDER = np.random.default_rng(2).permutation(12)
RANKINGS = {("shap", "global"): ORDER}


def one_by_one(model, sample, label, aim, order, t, max_k):
    for k in range(1, max_k + 1):
        moved = fimba.move(sample[None], aim[None], order, k, t)
        if not judging.answers(model, moved, np.array([label])).correct[0]:
            return k
    return 0


def searched(model, **changes):
    chosen = options(features=["shap", "random"], t=[8 / 9, 0.5], **changes)
    made = targets.make(["error", "opposite"], TRAIN, out_of_fold(TRAIN, [1, 2, 5, 8]))
    return smallest_k.search(model, TEST, made, RANKINGS, chosen, seed=0), made


@pytest.mark.parametrize("rows_at_once", [1, 7, 64, 4096])
@pytest.mark.parametrize("per_sample", [False, True])
def test_it_is_the_first_prefix_that_flips(rows_at_once, per_sample):
    model = Logistic(WEIGHTS)
    correct = judging.answers(model, TEST.values, TEST.labels).correct
    right = TEST.take(correct)
    aim = targets.assign(targets.opposite_targets(TRAIN), right).values
    rng = np.random.default_rng(3)
    order = ORDER
    if per_sample:
        order = np.argsort(rng.random(right.values.shape), axis=1)

    found = smallest_k.smallest(model, right, aim, order, 0.9, 10, rows_at_once)

    for row, (sample, label) in enumerate(zip(right.values, right.labels, strict=True)):
        own = order[row] if per_sample else order
        expected = one_by_one(model, sample, label, aim[row], own, 0.9, 10)
        assert found.smallest_k[row] == expected
        assert found.n_queries[row] == (expected or 10)
    assert {0, 10} & set(found.smallest_k) and len(set(found.smallest_k)) > 3


def test_a_sample_that_flips_and_flips_back_counts_at_its_first_flip():
    model = Logistic([1, -1])
    negative = drawn(0, 2, 2).take(np.array([0]))
    start = np.array([[-0.1, 0.0]], dtype=np.float32)
    sample = type(negative)(negative.ids, start, np.array([0]), negative.genes)
    aim = np.array([[0.5, 0.9]], dtype=np.float32)

    found = smallest_k.smallest(model, sample, aim, np.array([0, 1]), 1.0, 2)

    assert found.smallest_k.tolist() == [1]
    moved = fimba.move(start, aim, np.array([0, 1]), 2, 1.0)
    assert judging.answers(model, moved, sample.labels).correct.all()


def test_every_setting_has_a_row_for_each_sample_and_wrong_ones_are_skipped():
    model = Logistic(WEIGHTS, bias=2.5)
    table, _ = searched(model, smallest_k={"samples": 20, "max": 5})

    assert len(table) == 2 * 2 * 2 * 20  # targets, features, t, samples
    assert set(table["importance"]) == {"global", "none"}
    skipped = table[~table["correct_before"]]
    assert len(skipped) and set(skipped["status"]) == {smallest_k.SKIPPED}
    assert skipped["smallest_k"].isna().all()
    assert (skipped[["tried_to", "n_queries"]] == 0).all(axis=None)
    tried = table[table["status"] == judging.ATTACKED]
    assert (tried["tried_to"] == 5).all()
    none = tried[tried["smallest_k"].isna()]
    assert len(none) and (none["n_queries"] == 5).all()
    found = tried.dropna(subset=["smallest_k"])
    assert (found["n_queries"] == found["smallest_k"]).all() and found["smallest_k"].max() <= 5
    assert table["smallest_k"].dtype == "Int64"


def test_rows_agree_with_trying_one_by_one():
    model = Logistic(WEIGHTS)
    table, made = searched(model)
    aims = {kind: targets.assign(found, TEST).values for kind, found in made.items()}
    position = {name: row for row, name in enumerate(TEST.ids.tolist())}

    chosen = table[(table["status"] == judging.ATTACKED) & (table["features"] == "shap")]
    assert len(chosen) > 40
    for row in chosen.itertuples():
        at = position[row.id]
        aim = aims[row.targets][at]
        expected = one_by_one(model, TEST.values[at], row.label, aim, ORDER, row.t, 12)
        assert (0 if pd.isna(row.smallest_k) else row.smallest_k) == expected


def test_batches_do_not_matter_and_the_samples_do_not_depend_on_the_model():
    first, _ = searched(Logistic(WEIGHTS))
    again, _ = searched(Logistic(WEIGHTS, batch_size=3))
    other, _ = searched(Logistic(-WEIGHTS))

    pd.testing.assert_frame_equal(first, again)
    assert first["id"].tolist() == other["id"].tolist()


def test_a_perfect_classifier_has_no_error_targets_and_tries_nothing():
    made = targets.make(["error"], TRAIN, out_of_fold(TRAIN, []))
    chosen = options(features=["shap"], targets=["error"])

    table = smallest_k.search(Logistic(WEIGHTS), TEST, made, RANKINGS, chosen, seed=0)

    correct = table["correct_before"]
    assert set(table.loc[correct, "status"]) == {judging.NO_TARGETS}
    assert (table["n_queries"] == 0).all() and table["smallest_k"].isna().all()


def test_a_search_that_was_not_asked_for_has_no_rows_and_all_columns():
    made = {"opposite": targets.opposite_targets(TRAIN)}
    asked = options(targets=("opposite",))
    found = smallest_k.search(Logistic(WEIGHTS), TEST, made, RANKINGS, asked, 0)
    chosen = options(targets=("opposite",), smallest_k=None)

    none = smallest_k.search(Logistic(WEIGHTS), TEST, made, RANKINGS, chosen, 0)

    assert len(none) == 0
    assert none.dtypes.to_dict() == found.dtypes.to_dict()
