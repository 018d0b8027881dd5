"""Detectors of DNA against definitions written out by hand."""

import cmath
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from sklearn.metrics import roc_auc_score
from toy_models import random_sequence

from genosiege.detection import dna
from genosiege.detection.detectors import Mahalanobis, NearestNeighbours

DNA = st.text("ACGTN", max_size=40)
LONGER = st.text("ACGTN", min_size=2, max_size=40)
STRING_DETECTORS = [dna.DnaSpectrum, dna.PeriodThree, lambda: dna.KmerBackground(2)]


def sequences(n, length=60, seed=0):
    rng = np.random.default_rng(seed)
    return [random_sequence(rng, length) for _ in range(n)]


def labels(sequences):
    return np.arange(len(sequences)) % 2


def fitted(detector, train):
    return detector.fit(train, labels(train))


def codes(sequence):
    ((_, found),) = dna.coded([sequence])
    return found


def power(sequence, frequency):
    """S(f) by its definition."""
    total = 0.0
    for base in "ACGT":
        share = sequence.count(base) / len(sequence)
        transform = sum(
            ((letter == base) - share) * cmath.exp(-2j * math.pi * frequency * i)
            for i, letter in enumerate(sequence)
        )
        total += abs(transform) ** 2
    return total / len(sequence)


# Spectra ------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(LONGER)
def test_a_spectrum_is_the_sum_over_bases_of_the_transforms_of_their_indicators(sequence):
    n = len(sequence)
    expected = [power(sequence, k / n) for k in range(1, n // 2 + 1)]
    np.testing.assert_allclose(dna.power_spectra(codes(sequence))[0], expected, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(LONGER)
def test_parseval(sequence):
    n = len(sequence)
    half = dna.power_spectra(codes(sequence))[0]
    twice = 2 * half.sum() - (half[-1] if n % 2 == 0 else 0)
    counts = np.array([sequence.count(base) for base in "ACGT"])
    assert twice == pytest.approx((counts * (1 - counts / n)).sum(), abs=1e-9)


def noisy_codons(length, noise=0.2):
    rng = np.random.default_rng(5)
    clean = ("ACG" * length)[:length]
    return "".join(rng.choice(list("ACGT")) if rng.random() < noise else base for base in clean)


@pytest.mark.parametrize("length", [300, 120])
def test_a_repeat_of_three_bases_has_its_peak_at_a_third(length):
    sequence = noisy_codons(length)
    n_bins = dna.count_bins([sequence])
    peak = dna.log_spectra([sequence], n_bins)[0].argmax()
    assert n_bins == length // 2
    assert dna.bin_frequencies([sequence], n_bins)[peak] == pytest.approx(1 / 3, abs=1e-12)


def test_no_base_has_no_power():
    assert (dna.binned_spectra(["NNNNNN", "N", ""], 3) == 0).all()
    # The indicators of A alone, 1 0 1 0: all power is at 1/2.
    np.testing.assert_allclose(dna.power_spectra(codes("ANAN")), [[0, 1]], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(LONGER, st.integers(1, 12))
def test_a_bin_averages_the_frequencies_between_its_borders(sequence, n_bins):
    n = len(sequence)
    every = dna.power_spectra(codes(sequence))[0]
    frequencies = [Fraction(k, n) for k in range(1, n // 2 + 1)]
    expected, centres = [], []
    for i in range(n_bins):
        low, high = Fraction(i, 2 * n_bins), Fraction(i + 1, 2 * n_bins)
        inside = [k for k, f in enumerate(frequencies) if low < f <= high]
        later = [k for k, f in enumerate(frequencies) if f > low]
        inside = inside or later[:1] or [len(frequencies) - 1]
        expected.append(every[inside].mean())
        centres.append(np.mean([float(frequencies[k]) for k in inside]))
    np.testing.assert_allclose(dna.binned_spectra([sequence], n_bins)[0], expected, atol=1e-9)
    np.testing.assert_allclose(dna.bin_frequencies([sequence], n_bins), centres, atol=1e-12)


def test_the_number_of_bins():
    assert dna.count_bins(["A" * 300]) == 150
    assert dna.count_bins(["A" * 301]) == 150
    assert dna.count_bins(["A" * 4000]) == 150
    assert dna.count_bins(["A" * 70, "A" * 9]) == 35
    assert dna.count_bins(["A"]) == dna.count_bins([]) == 1


def test_frequencies_of_several_lengths_are_averaged_by_their_numbers():
    # Of 4 bases: 1/4, 1/2. Of 6 bases: 1/6 and (2/6 + 3/6) / 2.
    found = dna.bin_frequencies(["ACGT", "ACGTAC", "TTTTTT"], 2)
    np.testing.assert_allclose(found, [(1 / 4 + 2 / 6) / 3, (1 / 2 + 2 * 5 / 12) / 3])


def test_the_spectral_score_is_the_mean_squared_z():
    train, test = sequences(30), sequences(5, seed=1)
    spectra = dna.log_spectra(train, 30)
    z = (dna.log_spectra(test, 30) - spectra.mean(axis=0)) / spectra.std(axis=0)
    detector = fitted(dna.DnaSpectrum(), train)
    np.testing.assert_allclose(detector.score(test), (z**2).mean(axis=1))
    assert detector.score(train).mean() == pytest.approx(1)


# Period 3 -----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(LONGER)
def test_the_period_three_ratio_is_the_power_at_a_third_over_the_mean_power(sequence):
    n = len(sequence)
    mean = np.mean([power(sequence, k / n) for k in range(1, n)])
    expected = power(sequence, 1 / 3) / mean if mean > 1e-9 else 1.0
    assert dna.period_three([sequence])[0] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_random_dna_has_no_period_three_and_a_noisy_repeat_has():
    random = dna.period_three(sequences(2000, 90))
    assert random.mean() == pytest.approx(1, abs=4 * random.std() / math.sqrt(2000))
    assert dna.period_three([noisy_codons(299)])[0] > 50


def test_the_period_three_score_is_in_standard_deviations():
    train = sequences(200)
    detector = fitted(dna.PeriodThree(), train)
    assert (detector.score(train) ** 2).mean() == pytest.approx(1)
    peaks = dna.period_three(train)
    np.testing.assert_allclose(detector.score(train), (peaks - peaks.mean()) / peaks.std())


# Background ---------------------------------------------------------------------------


def bits(train, order, sequence):
    """Give −mean log2 of the product of conditional probabilities, one base at a time."""
    product, number = Fraction(1), 0
    for i in range(order, len(sequence)):
        word = sequence[i - order : i + 1]
        if "N" in word:
            continue
        seen = [s[j - order : j + 1] for s in train for j in range(order, len(s))]
        context = sum(w[:-1] == word[:-1] and "N" not in w for w in seen)
        product *= Fraction(seen.count(word) + 1, context + 4)
        number += 1
    return -math.log2(product) / number if number else None


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_the_background_is_a_product_of_conditional_probabilities(order):
    rng = np.random.default_rng(order)
    train = [random_sequence(rng, int(size), 0.1) for size in rng.integers(0, 30, 12)]
    test = [random_sequence(rng, 25, 0.1) for _ in range(8)]
    detector = fitted(dna.KmerBackground(order), train)
    expected = [bits(train, order, sequence) for sequence in test]
    np.testing.assert_allclose(detector.score(test), expected, rtol=1e-12)


def test_what_has_no_complete_context_scores_as_training_does_on_average():
    train = sequences(10, 20)
    detector = fitted(dna.KmerBackground(2), train)
    average = detector.score(train).mean()  # of equal lengths
    np.testing.assert_allclose(detector.score(["", "AC", "NNNNNNNN", "ACNGTNAC"]), average)
    assert fitted(dna.KmerBackground(3), ["ACN"]).score(["ACGT", "A"])[1] == 2.0


def chain(rng, transitions, length):
    state, found = int(rng.integers(4)), []
    for _ in range(length):
        state = int(rng.choice(4, p=transitions[state]))
        found.append("ACGT"[state])
    return "".join(found)


def test_the_background_tells_two_markov_chains_apart():
    # Both have all bases equally often: order 0 cannot tell them apart.
    rng = np.random.default_rng(1)
    forward = 0.15 + 0.4 * np.roll(np.eye(4), 1, axis=1)
    train, natural = ([chain(rng, forward, 60) for _ in range(n)] for n in (200, 150))
    strange = [chain(rng, forward.T, 60) for _ in range(150)]
    aurocs = []
    for order in (0, 1, 3):
        detector = fitted(dna.KmerBackground(order), train)
        scores = detector.score(natural + strange)
        aurocs.append(roc_auc_score([0] * 150 + [1] * 150, scores))
    assert abs(aurocs[0] - 0.5) < 0.14  # four standard deviations
    assert aurocs[1] > 0.99 and aurocs[2] > 0.95


@pytest.mark.parametrize("make", STRING_DETECTORS)
def test_equal_distributions_cannot_be_told_apart(make):
    detector = fitted(make(), sequences(500, seed=2))
    scores = detector.score(sequences(500, seed=3) + sequences(500, seed=4))
    auroc = roc_auc_score([0] * 500 + [1] * 500, scores)
    assert abs(auroc - 0.5) < 4 / math.sqrt(12 * 250)  # four standard deviations


# All ----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(DNA, min_size=1, max_size=5), st.lists(DNA, max_size=5))
def test_scores_are_finite_whatever_the_sequences(train, test):
    for make in STRING_DETECTORS:
        found = fitted(make(), train).score(test)
        assert found.shape == (len(test),) and found.dtype == np.float64
        assert np.isfinite(found).all()


@pytest.mark.parametrize("make", STRING_DETECTORS)
def test_a_score_does_not_depend_on_the_other_sequences(make, monkeypatch):
    rng = np.random.default_rng(0)
    mixed = [random_sequence(rng, int(size), 0.05) for size in rng.integers(1, 50, 40)]
    detector = fitted(make(), mixed)
    together = detector.score(mixed)
    np.testing.assert_array_equal(detector.score(mixed[::-1]), together[::-1])
    np.testing.assert_array_equal([detector.score([one])[0] for one in mixed], together)
    monkeypatch.setattr(dna, "_CHUNK", 3)
    np.testing.assert_array_equal(detector.score(mixed), together)
    np.testing.assert_allclose(fitted(make(), mixed[::-1]).score(mixed), together, rtol=1e-9)


@pytest.mark.parametrize("make", STRING_DETECTORS)
def test_nothing_to_fit_on_is_refused(make):
    assert "no training sequence" in refusal(make().fit, [], np.zeros(0, int))


@pytest.mark.parametrize("order", [-1, 11])
def test_an_order_out_of_range_is_refused(order):
    assert f"kmer {order}" in refusal(dna.KmerBackground, order)


# A model's view -----------------------------------------------------------------------


def composition(sequences):
    """Stand for an encoder: the number of each base."""
    return np.array([[s.count(b) for b in "ACGT"] for s in sequences], np.float32)


@pytest.mark.parametrize("make", [Mahalanobis, lambda: NearestNeighbours(3)])
def test_a_detector_of_features_is_that_of_the_vectors(make):
    train, test = sequences(40), sequences(7, seed=1)
    # Composition adds up to the length: leave one count out.
    detector = fitted(dna.FeatureDetector(lambda s: composition(s)[:, :3], make()), train)
    vectors = make().fit(composition(train)[:, :3], labels(train))
    np.testing.assert_array_equal(detector.score(test), vectors.score(composition(test)[:, :3]))


def test_the_margin_is_between_the_two_largest_logits():
    logits = np.array([[3, 1, 2.5], [-1, -4, -9], [2, 2, 0]], np.float32)
    detector = fitted(dna.Margin(lambda _: logits), ["A"])
    np.testing.assert_array_equal(detector.score(["A", "C", "G"]), [-0.5, -3, 0])
