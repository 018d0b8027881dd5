"""The task whose truth is known: what it draws, and the exact likelihoods of any string."""

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from genosiege.data import planted, simulate
from genosiege.data.planted import Parameters, Planted
from genosiege.data.planted_posterior import EVIDENCE, Posterior
from genosiege.data.simulate import BASES, Element
from genosiege.errors import InputError

ELEMENTS = (
    Planted(Element(simulate.consensus("TA"), -2, 0), (0.2, 0.5)),
    Planted(Element(simulate.consensus("SR", 0.8), -1, 1, both_strands=True), (0.3, 0.2)),
    Planted(Element(simulate.consensus("C"), 0, 0), (0.1, 0.4)),
)
"""Short ones, whose windows overlap, so that all of their sites can be listed."""
SETTINGS = Parameters(length=5, tss_index=2)


def strings(length: int) -> list[str]:
    return ["".join(letters) for letters in itertools.product(BASES, repeat=length)]


def writings(
    label: int, level: int, length: int, i: int = 0, used: frozenset[int] = frozenset()
) -> Iterator[tuple[float, list[tuple[str, object]]]]:
    """List all ways to write a string of a length, each with what it is made of and how likely.

    Independent of the library: probabilities of sites by the words of its docstring.
    """
    if i == length:
        yield 1.0, []
        return
    left = 1.0
    for number, (element, shares) in enumerate(ELEMENTS):
        size, k = len(element.frequencies), i - (SETTINGS.tss_index + element.first)
        n = element.last - element.first + 1
        if number in used or not 0 <= k < n or i + size > length:
            continue
        begins = shares[label] / n / (1 - shares[label] / n * k)
        left -= begins
        strands = [element.frequencies]
        if element.both_strands:
            strands.append(np.array([row[::-1] for row in element.frequencies[::-1]]))
        for matrix in strands:
            for p, rest in writings(label, level, length, i + size, used | {number}):
                yield p * begins / len(strands), [("site", matrix), *rest]
    for p, rest in writings(label, level, length, i + 1, used):
        yield p * left, [("base", None), *rest]


def plain_product(string: str, label: int) -> float:
    """Sum the product of all probabilities over every latent state, one by one."""
    chain, single = planted.levels()
    total = 0.0
    for level, share in enumerate(planted.LEVELS_GIVEN_LABEL[label]):
        for p, parts in writings(label, level, len(string)):
            i = 0
            for what, matrix in parts:
                if what == "base":
                    now = BASES.index(string[i])
                    before = single[level] if i == 0 else chain[level][BASES.index(string[i - 1])]
                    p *= before[now]
                    i += 1
                else:
                    assert isinstance(matrix, np.ndarray)
                    for row in matrix:
                        p *= row[BASES.index(string[i])]
                        i += 1
            total += share * p
    return total


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6])
def test_the_likelihoods_of_all_strings_of_a_length_sum_to_one(length):
    likelihoods = np.exp(Posterior(SETTINGS, ELEMENTS).log_likelihoods(strings(length)))

    assert likelihoods.sum(axis=0) == pytest.approx([1, 1], abs=1e-12)


def test_a_likelihood_is_the_plain_product_over_latent_states():
    posterior = Posterior(SETTINGS, ELEMENTS)
    some = [*strings(3), *strings(5)[::37]]

    found = np.exp(posterior.log_likelihoods(some))

    expected = [[plain_product(string, label) for label in (0, 1)] for string in some]
    assert found == pytest.approx(np.array(expected), rel=1e-12)


def test_an_n_is_the_sum_over_its_bases_and_certain_bases_take_the_shorter_way():
    posterior = Posterior(SETTINGS, ELEMENTS)
    for string in ("NACGT", "ANNGT", "ACGTN", "NNNNN", "ACGTA"):
        choices = itertools.product(*(BASES if letter == "N" else letter for letter in string))
        each = np.exp(posterior.log_likelihoods(["".join(letters) for letters in choices]))

        assert np.exp(posterior.log_likelihoods([string]))[0] == pytest.approx(each.sum(axis=0))
    codes = np.array([[BASES.index(letter) for letter in string] for string in strings(5)[::11]])
    general = posterior.of_evidence(EVIDENCE[codes])
    assert posterior.log_likelihoods(strings(5)[::11]) == pytest.approx(general, abs=1e-12)


def test_long_strings_do_not_underflow_and_lengths_may_mix():
    posterior = Posterior(Parameters(length=5000, tss_index=2000))
    rng = np.random.default_rng(0)
    long = ["CG" * 2500, "".join(rng.choice(list(BASES), 5000)), "N" * 5000]

    together = posterior.log_likelihoods([*long, "A"])

    assert np.isfinite(together).all()
    assert together[2] == pytest.approx([0, 0], abs=1e-9)
    alone = [posterior.log_likelihoods([string])[0] for string in [*long, "A"]]
    assert together == pytest.approx(np.array(alone))


def test_strings_are_drawn_as_often_as_they_are_likely():
    labels = np.repeat([0, 1], 100_000)
    drawn = planted.draw(SETTINGS, labels, np.random.default_rng(1), ELEMENTS)
    every = strings(5)
    expected = np.exp(Posterior(SETTINGS, ELEMENTS).log_likelihoods(every)) * 100_000

    for label in (0, 1):
        counts = Counter(itertools.compress(drawn, labels == label))
        observed = np.array([counts[string] for string in every])
        frequent = expected[:, label] >= 5
        found, wanted = observed[frequent], expected[frequent, label]
        chi_square = ((found - wanted) ** 2 / wanted).sum()
        n = len(wanted)
        # Mean n, variance 2n: five standard deviations.
        assert abs(chi_square - n) < 5 * np.sqrt(2 * n), label


def test_elements_that_crowd_a_position_are_refused():
    often = Planted(Element(simulate.consensus("TA"), 0, 0), (0.1, 0.6))

    with pytest.raises(ValueError, match=r"position 2 something would begin with probability 1\.2"):
        planted.forms([often, often], 5, 2)


@pytest.fixture(scope="module")
def fresh() -> tuple[list[str], np.ndarray, np.ndarray]:
    """20,000 fresh sequences, their labels and log odds."""
    rng = np.random.default_rng(7)
    labels = rng.integers(2, size=20_000)
    sequences = planted.draw(Parameters(), labels, rng)
    return sequences, labels, Posterior(Parameters()).log_odds(sequences)


def log_loss(log_odds: np.ndarray, labels: np.ndarray) -> float:
    return float(np.logaddexp(0, np.where(labels == 1, -log_odds, log_odds)).mean())


def test_the_posterior_is_calibrated(fresh):
    _, labels, log_odds = fresh
    posterior = 1 / (1 + np.exp(-log_odds))

    for low in np.arange(0, 1, 0.1):
        inside = (posterior >= low) & (posterior < low + 0.1)
        expected, n = posterior[inside].mean(), inside.sum()
        error = np.sqrt(expected * (1 - expected) / n)
        assert abs(labels[inside].mean() - expected) < 4 * error, low
    assert 0.93 < ((log_odds > 0) == labels).mean() < 0.96


def test_no_trained_model_has_a_lower_log_loss_than_the_posterior(fresh, tmp_path):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    sequences, labels, log_odds = fresh
    planted.write(Parameters(n_train=6000), "train", tmp_path / "train.csv")
    train = pd.read_csv(tmp_path / "train.csv")

    for vectorizer in (
        CountVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False),
        # The base at each position, where the elements stand.
        CountVectorizer(analyzer=placed, lowercase=False),
    ):
        features = vectorizer.fit_transform(train["sequence"])
        # Weak penalties let the loss of either explode.
        model = LogisticRegression(C=0.01, solver="liblinear")
        model.fit(features, train["label"])
        trained = model.decision_function(vectorizer.transform(sequences))
        assert 0.7 < ((trained > 0) == labels).mean() < 0.94
        assert log_loss(log_odds, labels) < log_loss(trained, labels) - 0.02


def placed(sequence: str) -> list[str]:
    return [f"{letter}{i}" for i, letter in enumerate(sequence)]


def test_equal_seeds_give_equal_splits_and_half_are_promoters(tmp_path):
    settings = Parameters(seed=3, n_test=51)
    for name in ("a", "b"):
        planted.write(settings, "test", tmp_path / name)
    planted.write(Parameters(seed=4, n_test=51), "test", tmp_path / "c")

    table = pd.read_csv(tmp_path / "a")

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    assert table["label"].sum() == 25
    assert set(table["sequence"].str.len()) == {300}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n_test": 1}, "n_test 1: this must be an integer of at least 2"),
        ({"tss_index": 300}, "tss_index 300: this must be an offset from 0 to length - 1"),
        ({"strength": 1}, "strength: there is no such parameter; choose from seed, "),
    ],
)
def test_impossible_parameters_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        planted.parameters({"kind": "simulate", "generator": "planted", **wrong})
