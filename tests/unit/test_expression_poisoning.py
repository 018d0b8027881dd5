"""Poison for training splits: how much, of what, with which labels, and what it does."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from toy_expression_vae import Scaling, out_of_fold, two_clouds

from genosiege.expression import models, poisoning
from genosiege.expression.poisoning import Poisoning, amount, order, poison
from genosiege.expression.samples import Samples
from genosiege.expression.vae_training import share

FOREST = {"kind": "random_forest", "trees": 15}


@pytest.fixture
def train():
    return two_clouds(60, 2, positives=0.25)


@pytest.fixture
def dev():
    return two_clouds(20, 3)


@pytest.fixture
def test():
    return two_clouds(40, 1)


@pytest.fixture
def forest(train, dev):
    model = models.create(FOREST, len(train.genes), seed=5)
    model.fit(train, dev)
    return model


def nearest_other(samples, row):
    """By brute force: the nearest sample of the other class."""
    others = samples.values[samples.labels != samples.labels[row]].astype(np.float64)
    return others[((others - samples.values[row]) ** 2).sum(axis=1).argmin()]


def base_rows(made, known):
    """The rows of `known` that poison was made of, as its ids tell."""
    names = known.ids.tolist()
    return np.array([names.index(name.split(":")[2]) for name in made.samples.ids.tolist()])


@pytest.mark.parametrize(
    ("n", "rate", "expected"),
    [(1000, 1, 10), (1001, 1, 11), (530, 5, 27), (1, 1, 1), (1000, 1.1, 11), (1000, 0.3, 3)],
)
def test_poison_is_a_share_of_the_training_split_rounded_up(n, rate, expected):
    assert amount(n, rate) == expected


@settings(max_examples=60)
@given(n=st.tuples(st.integers(0, 40), st.integers(0, 40)), seed=st.integers(0, 3))
def test_every_beginning_of_the_order_has_both_classes_in_proportion(n, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat([0, 1], n))

    rows = order(labels, seed)

    assert sorted(rows) == list(range(sum(n)))
    for m in range(1, sum(n) + 1):
        positives = labels[rows[:m]].sum()
        assert abs(positives - Fraction(m * n[1], sum(n))) <= Fraction(1, 2)


def test_the_order_is_random_within_a_class():
    rows = order(np.zeros(50, dtype=np.int64), 1)

    assert not np.array_equal(rows, np.arange(50))
    assert not np.array_equal(rows, order(np.zeros(50, dtype=np.int64), 2))


def test_vae_poison_looks_like_the_other_class_and_bears_the_label_of_its_own(train):
    options = Poisoning(t=0.75)
    made = poison("vae", train, 20, options, 5, Scaling(train.genes, 0.5), 100)

    rows = base_rows(made, train)
    targets = np.array([nearest_other(train, row) for row in rows])
    expected = 0.5 * (0.25 * train.values[rows] + 0.75 * targets)
    assert np.allclose(made.samples.values, expected, atol=1e-6)
    assert np.array_equal(made.samples.labels, train.labels[rows])
    assert made.samples.labels.sum() == 5  # a quarter, as in the split
    assert len(set(made.samples.ids.tolist()) | set(train.ids.tolist())) == 80


def test_the_controls_are_made_of_the_same_samples(train):
    halved = Scaling(train.genes, 0.5)
    made = poison("vae", train, 20, Poisoning(), 5, halved, 100)
    rebuilt = poison("reconstruction", train, 20, Poisoning(), 5, halved, 100)
    flipped = poison("label_flip", train, 20, Poisoning(), 5)

    rows = base_rows(made, train)
    assert np.array_equal(base_rows(rebuilt, train), rows)
    assert np.array_equal(base_rows(flipped, train), rows)
    assert np.array_equal(rebuilt.samples.values, np.float32(0.5) * train.values[rows])
    assert np.array_equal(rebuilt.samples.labels, train.labels[rows])
    assert np.array_equal(flipped.samples.values, train.values[rows])
    assert np.array_equal(flipped.samples.labels, 1 - train.labels[rows])


@pytest.mark.parametrize("kind", poisoning.KINDS)
def test_less_poison_is_the_beginning_of_more(train, kind):
    vae = None if kind == "label_flip" else Scaling(train.genes, 0.5)

    more = poison(kind, train, 20, Poisoning(), 5, vae).samples
    less = poison(kind, train, 4, Poisoning(), 5, vae).samples

    assert np.array_equal(less.values, more.values[:4])
    assert less.ids.tolist() == more.ids.tolist()[:4]
    assert np.array_equal(less.labels, more.labels[:4])


def test_an_attacker_with_few_samples_takes_them_again(train):
    few = train.take(np.array([*np.flatnonzero(train.labels)[:2], *range(3)]))

    made = poison("reconstruction", few, 12, Poisoning(), 5, Scaling(train.genes))

    counts = np.bincount(base_rows(made, few), minlength=len(few))
    assert counts.max() - counts.min() <= 1 and counts.sum() == 12
    assert len(set(made.samples.ids.tolist())) == 12


def test_poison_towards_errors_goes_to_the_nearest_other_error(train):
    wrong = np.array([*np.flatnonzero(train.labels == 0)[:3], *np.flatnonzero(train.labels)[:2]])
    options = Poisoning(targets="error", t=1.0)

    made = poison(
        "vae", train, 30, options, 5, Scaling(train.genes), 100, out_of_fold(train, wrong)
    )

    for row, values in zip(base_rows(made, train), made.samples.values, strict=True):
        own = wrong[(train.labels[wrong] == train.labels[row]) & (wrong != row)]
        distances = ((train.values[own].astype(float) - train.values[row]) ** 2).sum(axis=1)
        assert np.allclose(values, train.values[own[distances.argmin()]], atol=1e-6)


def test_a_class_without_errors_gives_no_poison(train):
    wrong = np.flatnonzero(train.labels == 0)[:2]
    options = Poisoning(targets="error")

    made = poison(
        "vae", train, 10, options, 5, Scaling(train.genes), 100, out_of_fold(train, wrong)
    )

    assert len(made.samples) == 10 and not made.samples.labels.any()


def test_the_control_without_poison_is_a_model_of_another_seed(forest, train, dev, test):
    table = poisoning.run(forest, train, dev, test, {}, Poisoning(kinds=("refit",)), 5)
    other = models.create(forest.entry(), len(train.genes), forest.seed + poisoning.OTHER_SEED)
    other.fit(train, dev)

    refit = table[table["kind"] == "refit"]
    expected = other.predict_proba(test.values)[np.arange(len(test)), test.labels]

    assert set(table["kind"]) == {"none", "refit"}
    assert set(refit["n_poison"]) == {0} and set(refit["rate"]) == {0.0}
    assert np.allclose(refit["p_true"], expected)
    assert not np.allclose(refit["p_true"], table[table["kind"] == "none"]["p_true"])


def test_every_model_is_the_one_fitted_to_clean_and_poison(forest, train, dev, test):
    halved = Scaling(train.genes, 0.5)
    kinds = ("vae", "reconstruction", "label_flip")
    options = Poisoning(kinds=kinds, rates=(5, 10))

    table = poisoning.run(forest, train, dev, test, {100: halved}, options, 5)

    assert list(table.columns) == [
        *("kind", "fraction", "rate", "n_poison", "n_poison_wrong"),
        *("id", "label", "p_true", "correct", "status"),
    ]
    settings = table.drop_duplicates(["kind", "fraction", "rate"])
    assert settings[["kind", "fraction", "rate", "n_poison", "status"]].to_numpy().tolist() == [
        ["none", 0, 0.0, 0, "baseline"],
        ["vae", 100, 5.0, 3, "retrained"],
        ["vae", 100, 10.0, 6, "retrained"],
        ["reconstruction", 100, 5.0, 3, "retrained"],
        ["reconstruction", 100, 10.0, 6, "retrained"],
        ["label_flip", 0, 5.0, 3, "retrained"],
        ["label_flip", 0, 10.0, 6, "retrained"],
    ]
    assert len(table) == 7 * 40
    for kind, n, rate in [("vae", 6, 10), ("label_flip", 3, 5), ("reconstruction", 6, 10)]:
        vae = None if kind == "label_flip" else halved
        made = poison(kind, train, n, options, 5, vae).samples
        again = models.create(FOREST, len(train.genes), seed=5)
        again.fit(
            Samples(
                np.concatenate([train.ids, made.ids]),
                np.concatenate([train.values, made.values]),
                np.concatenate([train.labels, made.labels]),
                train.genes,
            ),
            dev,
        )
        mine = table[(table["kind"] == kind) & (table["rate"] == rate)]
        p_true = again.predict_proba(test.values)[np.arange(40), test.labels]
        assert mine["id"].tolist() == test.ids.tolist()
        assert np.array_equal(mine["p_true"], p_true)
        assert np.array_equal(mine["correct"], again.decide(test.values) == test.labels)
        wrong = forest.decide(made.values) != made.labels
        assert (mine["n_poison_wrong"] == wrong.sum()).all()


def test_the_baseline_stands_in_the_table_and_is_left_as_it_is(forest, train, dev, test):
    before = forest.predict_proba(test.values)
    kept = train.values.copy(), train.labels.copy()

    table = poisoning.run(
        forest, train, dev, test, {}, Poisoning(kinds=("label_flip",), rates=(50,)), 5
    )

    none = table[table["kind"] == "none"]
    assert np.array_equal(none["p_true"], before[np.arange(40), test.labels])
    assert np.array_equal(forest.predict_proba(test.values), before)
    assert np.array_equal(train.values, kept[0]) and np.array_equal(train.labels, kept[1])
    again = models.fresh(forest)
    again.fit(train, dev)
    assert np.array_equal(again.predict_proba(test.values), before)


def test_flipped_labels_harm_a_model_and_reconstructions_do_not(forest, train, dev, test):
    options = Poisoning(kinds=("reconstruction", "label_flip"), rates=(100,))

    table = poisoning.run(forest, train, dev, test, {100: Scaling(train.genes)}, options, 5)

    accuracy = table.groupby("kind")["correct"].mean()
    assert accuracy["none"] == 1
    assert accuracy["reconstruction"] == 1
    assert accuracy["label_flip"] < 0.8


def test_poison_from_the_other_side_harms_a_model(forest, train, dev, test):
    options = Poisoning(kinds=("vae",), rates=(100,), t=1.0)

    table = poisoning.run(forest, train, dev, test, {100: Scaling(train.genes)}, options, 5)

    confidence = table.groupby("kind")["p_true"].mean()
    assert confidence["vae"] < confidence["none"] - 0.08
    # At t = 1 all poison is of the other class, and the clean model says so.
    assert (table.loc[table["kind"] == "vae", "n_poison_wrong"] == 60).all()


def test_an_attacker_uses_only_the_samples_that_the_vae_saw(forest, train, dev, test):
    vaes = {20: Scaling(train.genes), 100: Scaling(train.genes)}
    options = Poisoning(kinds=("vae", "reconstruction"), rates=(30,))

    table = poisoning.run(forest, train, dev, test, vaes, options, 5)

    known = {row.tobytes() for row in train.values[share(train.labels, 20, 5, "train")]}
    seen = {row.tobytes() for part in vaes[20].seen for row in part}
    everything = {row.tobytes() for part in vaes[100].seen for row in part}
    assert seen <= known and len(known) == 12
    assert not everything <= known
    assert set(table.loc[table["kind"] != "none", "n_poison"]) == {18}


def test_a_perfect_model_gives_a_status_and_no_retraining(forest, train, dev, test):
    perfect = out_of_fold(train, [])
    kinds = ("vae", "reconstruction", "label_flip")
    options = Poisoning(kinds=kinds, targets="error", rates=(1, 5))

    table = poisoning.run(
        forest, train, dev, test, {100: Scaling(train.genes)}, options, 5, perfect
    )

    poisoned = table[table["kind"] != "none"]
    assert set(poisoned["status"]) == {"no_targets"} and len(poisoned) == 6 * 40
    assert (poisoned["n_poison"] == 0).all()
    # Without poison the model stays as it is, as a sample without a target does.
    before = forest.predict_proba(test.values)[np.arange(40), test.labels]
    assert np.array_equal(poisoned["p_true"], np.tile(before, 6))
    assert (
        poisoned["correct"].tolist() == table.loc[table["kind"] == "none", "correct"].tolist() * 6
    )


def test_two_runs_give_the_same_table(forest, train, dev, test):
    tables = [
        poisoning.run(forest, train, dev, test, {100: Scaling(train.genes)}, Poisoning(), 5)
        for _ in range(2)
    ]

    pd.testing.assert_frame_equal(*tables)


def test_what_is_missing_is_named(forest, train, dev, test):
    run = poisoning.run
    assert "need a VAE" in refusal(run, forest, train, dev, test, {}, Poisoning(), 5)
    assert "need a VAE" in refusal(poison, "vae", train, 3, Poisoning(), 5)
    assert "label_flip none" in refusal(
        poison, "label_flip", train, 3, Poisoning(), 5, Scaling(train.genes)
    )
    errors = Poisoning(targets="error", kinds=("label_flip",))
    assert "out-of-fold predictions" in refusal(run, forest, train, dev, test, {}, errors, 5)
    other = Scaling(train.genes[::-1])
    assert "other genes" in refusal(poison, "vae", train, 3, Poisoning(), 5, other)
    renamed = Samples(train.ids, train.values, train.labels, train.genes[::-1])
    assert "different genes" in refusal(poisoning.joined, train, renamed)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("kinds", []),
        ("kinds", ["vae", "vae"]),
        ("kinds", ["backdoor"]),
        ("rates", [0]),
        ("rates", [101]),
        ("rates", ["5"]),
        ("rates", [True]),
        ("rates", [float("nan")]),
        ("rates", 5),
        ("rates", [5, 5.0]),
        ("targets", "test_error"),
        ("t", 1.1),
        ("t", None),
    ],
)
def test_a_bad_option_is_named(option, value):
    assert refusal(Poisoning.from_mapping, {option: value}).startswith(f"poisoning, {option} ")


def test_an_unknown_option_is_named():
    assert refusal(Poisoning.from_mapping, {"amount": 1}).startswith("poisoning, amount:")


def test_options_come_from_a_configuration():
    assert Poisoning.from_mapping({"rates": [1, 2.5]}) == Poisoning(rates=(1, 2.5))
    assert Poisoning.from_mapping(None) == Poisoning()
