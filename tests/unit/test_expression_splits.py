import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from sklearn.model_selection import train_test_split

from genosiege.expression import splits
from genosiege.expression.splits import Splitting, divide

TRAIN, DEV, TEST = range(3)


def two_classes(n_negative, n_positive, seed=0):
    labels = np.repeat([0, 1], [n_negative, n_positive])
    return np.random.default_rng(seed).permutation(labels).astype(np.int64)


@given(
    n_negative=st.integers(12, 60),
    n_positive=st.integers(12, 60),
    seed=st.integers(0, 1000),
    fractions=st.sampled_from([(0.6, 0.2, 0.2), (0.5, 0.17, 0.33), (0.34, 0.33, 0.33)]),
)
@settings(max_examples=60, deadline=None)
def test_a_random_split_has_each_class_in_its_shares(n_negative, n_positive, seed, fractions):
    labels = two_classes(n_negative, n_positive, seed)

    division = divide(labels, None, Splitting(fractions=fractions), seed)

    assert np.sum(division == TEST) == np.ceil(fractions[TEST] * len(labels))
    for split, fraction in enumerate(fractions):
        for label in (0, 1):
            found = np.sum((division == split) & (labels == label))
            assert abs(found - fraction * np.sum(labels == label)) <= 2


@pytest.mark.parametrize("seed", [0, 3])
def test_the_random_test_split_is_scikit_learns(seed):
    labels = two_classes(111, 776)
    fractions = (0.64, 0.03, 0.33)

    division = divide(labels, None, Splitting(fractions=fractions), seed)

    train, test = train_test_split(
        np.arange(887), test_size=0.33, stratify=labels, random_state=seed
    )
    assert np.array_equal(np.flatnonzero(division == TEST), np.sort(test))
    assert np.array_equal(np.flatnonzero(division != TEST), np.sort(train))


def test_every_seed_divides_anew_unless_they_share_one_division():
    labels = two_classes(30, 40)
    donors = np.array([f"D{i % 20}" for i in range(70)])
    for split in ("random", "donor", "site"):
        own = [divide(labels, donors, Splitting(split=split), seed) for seed in (0, 1, 1)]
        assert not np.array_equal(own[0], own[1])
        assert np.array_equal(own[1], own[2])
        shared = Splitting(split=split, split_seed=1)
        assert all(np.array_equal(divide(labels, donors, shared, seed), own[1]) for seed in (0, 5))


@given(
    n_negative=st.integers(5, 30),
    n_positive=st.integers(5, 30),
    folds=st.integers(3, 5),
    split_seed=st.sampled_from([None, 0, 4]),
)
@settings(max_examples=40, deadline=None)
def test_folds_test_and_tune_on_every_sample_once(n_negative, n_positive, folds, split_seed):
    labels = two_classes(n_negative, n_positive)
    options = Splitting(split="folds", folds=folds, split_seed=split_seed)

    divisions = np.array([divide(labels, None, options, seed) for seed in range(folds)])

    assert np.all(np.sum(divisions == TEST, axis=0) == 1)
    assert np.all(np.sum(divisions == DEV, axis=0) == 1)
    # The next seed tests on what this one tuned on, and after the last fold comes the first.
    assert np.array_equal(divisions[0] == DEV, divisions[1] == TEST)
    assert np.array_equal(divide(labels, None, options, folds), divisions[0])
    for label in (0, 1):
        share = np.sum(labels == label) / folds
        assert np.all(np.abs(np.sum((divisions == TEST) & (labels == label), axis=1) - share) < 1)


def test_no_seed_of_folds_is_that_of_seed_zero():
    labels = two_classes(20, 20)
    none, zero, one = (
        divide(labels, None, Splitting(split="folds", split_seed=seed), 2) for seed in (None, 0, 1)
    )
    assert np.array_equal(none, zero)
    assert not np.array_equal(none, one)


@st.composite
def grouped_samples(draw):
    """Groups of one class and of both, at least three that have each."""
    members = []
    for label in (0, 1):
        sizes = draw(st.lists(st.integers(1, 12), min_size=3, max_size=15))
        members += [(f"{label}-{i}", label) for i, size in enumerate(sizes) for _ in range(size)]
    for i, size in enumerate(draw(st.lists(st.integers(1, 4), max_size=4))):
        members += [(f"both-{i}", label) for label in (0, 1) for _ in range(size)]
    groups, labels = zip(*draw(st.permutations(members)), strict=True)
    return np.array(groups), np.array(labels, dtype=np.int64)


@given(
    samples=grouped_samples(), seed=st.integers(0, 100), split=st.sampled_from(["donor", "site"])
)
@settings(max_examples=30, deadline=None)
def test_no_group_crosses_and_no_split_lacks_a_class(samples, seed, split):
    groups, labels = samples

    division = divide(labels, groups, Splitting(split=split), seed)

    for group in np.unique(groups):
        assert len(np.unique(division[groups == group])) == 1
    present = {(int(s), int(label)) for s, label in zip(division, labels, strict=True)}
    assert present == {(s, label) for s in range(3) for label in (0, 1)}


@pytest.mark.parametrize("seed", range(5))
def test_twenty_donors_are_divided_as_well_as_they_can_be(seed):
    # Of 4 healthy donors, 2 can train; 16 others fit 10:3:3 or nearly so.
    labels = np.repeat([0] * 4 + [1] * 16, 50).astype(np.int64)
    donors = np.repeat([f"D{i}" for i in range(20)], 50)

    division = divide(labels, donors, Splitting(split="donor"), seed)

    found = [
        [len(np.unique(donors[(division == s) & (labels == label)])) for s in range(3)]
        for label in (0, 1)
    ]
    assert found[0] == [2, 1, 1]
    assert abs(found[1][0] - 9.6) < 2 and min(found[1]) >= 2


def test_many_donors_are_divided_nearly_in_the_shares():
    rng = np.random.default_rng(0)
    donors = rng.integers(0, 400, 3000).astype(np.str_)
    labels = rng.integers(0, 2, 3000)

    division = divide(labels, donors, Splitting(split="donor"), 0)

    for split, fraction in enumerate((0.6, 0.2, 0.2)):
        for label in (0, 1):
            share = np.mean(division[labels == label] == split)
            assert share == pytest.approx(fraction, abs=0.01)


def test_too_few_groups_of_a_class_are_named():
    labels = np.array([0, 0, 1, 1, 1, 1], dtype=np.int64)
    donors = np.array(["anna", "berta", "c", "d", "e", "f"])
    message = refusal(divide, labels, donors, Splitting(split="donor"), 0, "datasets/mine")
    assert message.startswith("datasets/mine, split donor: label 0 ")
    assert "2 donors only ('anna', 'berta')" in message


def test_donors_that_are_missing_are_refused():
    labels = two_classes(10, 10)
    message = refusal(divide, labels, np.full(20, ""), Splitting(split="site"), 0, "mine")
    assert message == (
        "mine, split site: the samples have no site; name its column in `site`, or take split: "
        "random."
    )
    some = np.array(["", "", *map(str, range(18))])
    assert "2 of 20 samples have no donor" in refusal(
        divide, labels, some, Splitting(split="donor"), 0
    )


def test_one_class_or_none_is_refused():
    one = refusal(divide, np.ones(9, dtype=np.int64), None, Splitting(), 0, "mine")
    assert one == "mine: all samples have label 1; give samples of both classes."
    none = refusal(divide, np.zeros(0, dtype=np.int64), None, Splitting(), 0, "mine")
    assert none == "mine: there are no samples; give samples of both classes."


def test_fewer_samples_than_folds_are_refused():
    message = refusal(divide, two_classes(4, 40), None, Splitting(split="folds"), 0, "mine")
    assert message.startswith("mine: 4 samples with label 0 are fewer than 5 folds;")


@pytest.mark.parametrize("n_negative", [1, 2, 3])
def test_a_split_without_a_class_is_refused(n_negative):
    message = refusal(
        divide, two_classes(n_negative, 40), None, Splitting(fractions=(0.8, 0.1, 0.1)), 0, "mine"
    )
    assert message.startswith("mine: ")


def test_the_seed_of_the_cap_is_that_of_the_division():
    assert Splitting().drawn_by(3) == 3
    assert Splitting(split_seed=7).drawn_by(3) == 7
    assert Splitting(split="folds").drawn_by(3) == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"split": "study"}, "split 'study'"),
        ({"fractions": [0.6, 0.2, 0.3]}, "fractions [0.6, 0.2, 0.3]"),
        ({"fractions": [0.8, 0.2]}, "fractions [0.8, 0.2]"),
        ({"fractions": [0.8, 0.2, 0]}, "fractions [0.8, 0.2, 0]"),
        ({"fractions": [1.2, -0.4, 0.2]}, "fractions"),
        ({"fractions": "most"}, "fractions 'most'"),
        ({"folds": 2}, "folds 2"),
        ({"folds": True}, "folds True"),
        ({"split_seed": -1}, "split_seed -1"),
        ({"split_seed": 1.5}, "split_seed 1.5"),
    ],
)
def test_impossible_options_are_refused(options, named):
    assert refusal(Splitting.from_mapping, options).startswith(named)


def test_an_entry_may_say_more():
    entry = {"format": "csv", "split": "folds", "folds": 4, "fractions": [0.5, 0.25, 0.25]}
    assert Splitting.from_mapping(entry) == Splitting(
        split="folds", folds=4, fractions=(0.5, 0.25, 0.25)
    )
    assert Splitting.from_mapping({}) == Splitting()
    assert splits.SPLITS == ("train", "dev", "test")
