"""Detectors of attacked DNA that read the string alone, and what wraps a model's view of it.

Each is fitted by `fit` on natural training sequences and gives a number per sequence by
`score`. Characters other than A, C, G, T are no base.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError

BASES = "ACGT"
BINS = 150
"""Most bins of a spectrum: with 300 bp, every frequency has one of its own."""
FLOOR = 1e-3
"""Added to a power before its logarithm; the mean power of random DNA is 3/4."""
HIGHEST_ORDER = 10
"""Bases of context above which a background has too many parameters (4^11) to be of use."""

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]
Codes = NDArray[np.int8]

# Sequences that are transformed at a time, which bounds the memory.
_CHUNK = 2048
_CODES = np.full(256, -1, dtype=np.int8)
_CODES[[ord(base) for base in BASES]] = range(4)


class StringDetector(Protocol):
    """What every detector of sequences offers."""

    def fit(self, sequences: Sequence[str], labels: Labels) -> Self:
        """Learn from n natural training sequences with labels (n,)."""
        ...

    def score(self, sequences: Sequence[str]) -> Scores:
        """Give the suspicion of m sequences, (m,); finite, and higher is more suspicious."""
        ...


class VectorDetector(Protocol):
    """What a detector of features offers; see `detectors`."""

    def fit(self, values: NDArray[np.float32], labels: Labels, /) -> Self:
        """Learn from natural rows (n, h) with labels (n,)."""
        ...

    def score(self, values: NDArray[np.float32], /) -> Scores:
        """Give the suspicion of rows (m, h), (m,)."""
        ...


def coded(sequences: Sequence[str]) -> Iterator[tuple[NDArray[np.intp], Codes]]:
    """Code sequences as numbers, those of one length together.

    Parameters
    ----------
    sequences : sequence of str
        Upper case.

    Yields
    ------
    rows : ndarray of int, shape (m,)
        Which sequences these are; at most 2,048.
    codes : ndarray of int8, shape (m, length)
        0 to 3 for A, C, G, T; -1 for anything else.
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    for length in np.unique(lengths):
        equal = np.flatnonzero(lengths == length)
        for start in range(0, len(equal), _CHUNK):
            rows = equal[start : start + _CHUNK]
            text = "".join(sequences[int(row)] for row in rows).encode("latin-1", "replace")
            codes = _CODES[np.frombuffer(text, dtype=np.uint8)]
            yield rows, codes.reshape(len(rows), int(length))


# Spectra ------------------------------------------------------------------------------


def power_spectra(codes: Codes) -> Scores:
    """Power spectra of the indicator sequences of DNA.

    Parameters
    ----------
    codes : ndarray of int8, shape (n, L)
        0 to 3 for A, C, G, T; -1 for no base.

    Returns
    -------
    ndarray of float64, shape (n, L // 2)
        S(f) = Σ_b |U_b(f)|² / L at the frequencies 1/L, 2/L, … cycles per base; U_b is the
        discrete Fourier transform of the mean-free indicator of base b.

    Notes
    -----
    Voss (1992), Phys. Rev. Lett. 68, 3805–3808; Tiwari et al. (1997), Comput. Appl. Biosci. 13,
    263–270.
    """
    n, length = codes.shape
    total = np.zeros((n, length // 2))
    for base in range(len(BASES)):
        indicator = (codes == base).astype(np.float64)
        # Only the frequency 0 knows of the mean, and it is left out.
        transform = np.fft.rfft(indicator, axis=1)[:, 1:]
        total += transform.real**2 + transform.imag**2
    return np.asarray(total / max(1, length))


def count_bins(sequences: Sequence[str]) -> int:
    """Give how many bins the spectra of these sequences have: min(BINS, longest // 2), or 1."""
    longest = max((len(sequence) for sequence in sequences), default=0)
    return max(1, min(BINS, longest // 2))


def binned_spectra(sequences: Sequence[str], n_bins: int) -> Scores:
    """Average power spectra in bins of equal width, so that lengths may differ.

    Parameters
    ----------
    sequences : sequence of str
        n sequences.
    n_bins : int
        Bin i holds the frequencies f with i / (2 n_bins) < f ≤ (i + 1) / (2 n_bins).

    Returns
    -------
    ndarray of float64, shape (n, n_bins)
        Mean power. A sequence shorter than 2 n_bins has fewer frequencies than bins: an empty
        bin takes the next frequency. One of less than two bases has no power anywhere.
    """
    found = np.zeros((len(sequences), n_bins))
    for rows, codes in coded(sequences):
        length = codes.shape[1]
        if length < 2:
            continue
        starts, counts = _bins(length, n_bins)
        found[rows] = np.add.reduceat(power_spectra(codes), starts, axis=1) / counts
    return found


def log_spectra(sequences: Sequence[str], n_bins: int) -> Scores:
    """Give log10 of the binned power and `FLOOR`, shape (n, n_bins)."""
    return np.asarray(np.log10(binned_spectra(sequences, n_bins) + FLOOR))


def bin_frequencies(sequences: Sequence[str], n_bins: int) -> Scores:
    """Mean frequency of what each bin averages over these sequences, in cycles per base.

    With one common length of 2 n_bins these are the very frequencies 1/L, …, 1/2.
    """
    lengths, numbers = np.unique([len(sequence) for sequence in sequences], return_counts=True)
    real = lengths >= 2
    total = np.zeros(n_bins)
    for length, number in zip(lengths[real], numbers[real], strict=True):
        starts, counts = _bins(int(length), n_bins)
        frequencies = np.arange(1, length // 2 + 1) / length
        total += number * np.add.reduceat(frequencies, starts) / counts
    return np.asarray(total / max(1, numbers[real].sum()))


def _bins(length: int, n_bins: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give for each bin its first frequency, counted from 0, and how many it averages."""
    numbers = np.arange(1, length // 2 + 1)
    # In whole numbers: 2 · (k / L) · n_bins, rounded up, less one.
    bins = (2 * numbers * n_bins - 1) // length
    starts = np.minimum(np.searchsorted(bins, np.arange(n_bins)), len(numbers) - 1)
    # As reduceat sums: up to the next start, or this one frequency alone.
    return starts, np.maximum(np.diff(starts, append=len(numbers)), 1)


class DnaSpectrum:
    """Distance of a sequence's log spectrum from those of natural ones.

    The score is the mean squared z over the bins of `log_spectra`, with mean and standard
    deviation over the natural training sequences. There are `count_bins` of them.
    """

    def fit(self, sequences: Sequence[str], labels: Labels) -> Self:
        """Learn mean and standard deviation of each bin; labels play no part."""
        _check_given(sequences)
        self._n_bins = count_bins(sequences)
        spectra = log_spectra(sequences, self._n_bins)
        self._mean = spectra.mean(axis=0)
        self._sd = _scale(spectra.std(axis=0))
        return self

    def score(self, sequences: Sequence[str]) -> Scores:
        """Mean squared z of each sequence, shape (m,)."""
        z = (log_spectra(sequences, self._n_bins) - self._mean) / self._sd
        return np.asarray((z**2).mean(axis=1))


class PeriodThree:
    """How unusual the period-3 peak of a sequence is.

    The score is z of `period_three` against the natural training sequences: coding DNA has a peak,
    and both its loss and a new one are suspicious where both tails are.
    """

    def fit(self, sequences: Sequence[str], labels: Labels) -> Self:
        """Learn mean and standard deviation of the peak; labels play no part."""
        _check_given(sequences)
        peaks = period_three(sequences)
        self._mean = peaks.mean()
        self._sd = _scale(peaks.std())
        return self

    def score(self, sequences: Sequence[str]) -> Scores:
        """Z of each sequence's peak, shape (m,)."""
        return np.asarray((period_three(sequences) - self._mean) / self._sd)


def period_three(sequences: Sequence[str]) -> Scores:
    """Power of the indicator sequences at the frequency 1/3 over their mean power.

    Parameters
    ----------
    sequences : sequence of str
        m sequences.

    Returns
    -------
    ndarray of float64, shape (m,)
        About 1 for random DNA; 1 also where there is no power at all, as in AAAA.

    Notes
    -----
    The signal-to-noise ratio of Tiwari et al. (1997), Comput. Appl. Biosci. 13, 263–270, at
    1/3 itself, whatever the length L; the mean is over the frequencies 1/L to (L − 1)/L and
    follows from the composition, by Parseval's theorem.
    """
    found = np.ones(len(sequences))
    for rows, codes in coded(sequences):
        length = codes.shape[1]
        peak, total = np.zeros(len(rows)), np.zeros(len(rows))
        phases = np.array([len(range(phase, length, 3)) for phase in range(3)])
        for base in range(len(BASES)):
            indicator = codes == base
            counts = np.stack([indicator[:, phase::3].sum(axis=1) for phase in range(3)], axis=1)
            number = counts.sum(axis=1)
            share = number / max(1, length)
            # What each third of the positions holds beyond its share.
            d = counts - share[:, None] * phases
            # |d0 + d1 w + d2 w²|² with w = exp(−2πi/3).
            peak += (d**2).sum(axis=1) - (d * np.roll(d, 1, axis=1)).sum(axis=1)
            total += number * (1 - share)
        # Both times L: the sum of all powers is L · total / L.
        mean = length * total / max(1, length - 1)
        powerful = total > 1e-9
        found[rows[powerful]] = peak[powerful] / mean[powerful]
    return found


# Background ---------------------------------------------------------------------------


class KmerBackground:
    """How unlikely a sequence is under a Markov chain learned from natural ones.

    The score is −mean log2 P(base | the `order` bases before it), in bits per base, over the
    bases whose context is complete; whatever is no base breaks the context. A sequence without
    such a base scores what the training sequences score on average.

    Parameters
    ----------
    order : int
        Bases of context, 0 to 10.

    Raises
    ------
    InputError
        If the order is out of range.
    """

    PSEUDOCOUNT = 1.0
    """Added to the count of each base in each context (Laplace)."""

    def __init__(self, order: int) -> None:
        if not 0 <= order <= HIGHEST_ORDER:
            raise InputError(f"detection, kmer {order}: give an order from 0 to {HIGHEST_ORDER}.")
        self._order = order

    def fit(self, sequences: Sequence[str], labels: Labels) -> Self:
        """Count bases and contexts of all sequences; labels play no part."""
        _check_given(sequences)
        size = len(BASES) ** (self._order + 1)
        counts = np.zeros(size)
        for _, codes in coded(sequences):
            words = _words(codes, self._order + 1)
            counts += np.bincount(words[words >= 0], minlength=size)
        table = counts.reshape(-1, len(BASES)) + self.PSEUDOCOUNT
        self._bits = -np.log2(table / table.sum(axis=1, keepdims=True)).ravel()
        self._mean = float((counts * self._bits).sum() / counts.sum()) if counts.any() else 2.0
        return self

    def score(self, sequences: Sequence[str]) -> Scores:
        """Bits per base of each sequence, shape (m,)."""
        found = np.full(len(sequences), self._mean)
        for rows, codes in coded(sequences):
            words = _words(codes, self._order + 1)
            known = words >= 0
            bits = np.where(known, self._bits[np.where(known, words, 0)], 0.0).sum(axis=1)
            number = known.sum(axis=1)
            found[rows[number > 0]] = bits[number > 0] / number[number > 0]
        return found


def _words(codes: Codes, size: int) -> NDArray[np.int64]:
    """Write the words of `size` bases in base 4, (n, L − size + 1); -1 where one is no base."""
    n, length = codes.shape
    width = max(0, length - size + 1)
    words = np.zeros((n, width), dtype=np.int64)
    broken = np.zeros((n, width), dtype=bool)
    for shift in range(size if width else 0):
        part = codes[:, shift : shift + width]
        words = words * len(BASES) + part
        broken |= part < 0
    words[broken] = -1
    return words


# A model's view -----------------------------------------------------------------------


class FeatureDetector:
    """A detector of vectors, on the features that an encoder makes of sequences.

    Parameters
    ----------
    encode : callable
        Gives features (n, h) of n sequences.
    detector : VectorDetector
        What is fitted on them.
    """

    def __init__(
        self, encode: Callable[[Sequence[str]], NDArray[np.float32]], detector: VectorDetector
    ) -> None:
        self._encode = encode
        self._detector = detector

    def fit(self, sequences: Sequence[str], labels: Labels) -> Self:
        """Fit the detector on the features of the sequences."""
        _check_given(sequences)
        self._detector.fit(self._encode(sequences), labels)
        return self

    def score(self, sequences: Sequence[str]) -> Scores:
        """Score the features of the sequences, shape (m,)."""
        return self._detector.score(self._encode(sequences))


class Margin:
    """How undecided the attacked model is: −(its largest − its second largest logit).

    Parameters
    ----------
    logits : callable
        Gives logits (n, C ≥ 2) of n sequences.
    """

    def __init__(self, logits: Callable[[Sequence[str]], NDArray[np.float32]]) -> None:
        self._logits = logits

    def fit(self, sequences: Sequence[str], labels: Labels) -> Self:
        """Do nothing: the model is all there is to know."""
        return self

    def score(self, sequences: Sequence[str]) -> Scores:
        """Give the negative margins between the two largest logits, shape (m,); at most 0."""
        ordered = np.sort(self._logits(sequences).astype(np.float64), axis=1)
        return np.asarray(ordered[:, -2] - ordered[:, -1])


def _check_given(sequences: Sequence[str]) -> None:
    if not sequences:
        raise InputError("detectors: there is no training sequence; give at least one.")


def _scale(deviation: NDArray[np.floating] | np.floating) -> NDArray[np.float64]:
    """Give standard deviations, 1 where nothing varies but by rounding."""
    deviation = np.asarray(deviation, dtype=np.float64)
    return np.where(deviation > 1e-9, deviation, 1.0)
