"""Power spectra of expression, how alike two of them are, and how unlike natural ones a row is."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError

Spectra = NDArray[np.float64]
"""Power or its logarithm: of a signal (f,), or of n rows (n, f)."""

FLOOR = 1e-12
"""Added to a power before its logarithm, in squared scaled units, the same for all data: far
above the rounding of float32 values in [-1, 1] (1e-15), far below what noise of 1e-5 has."""

WINDOW = 7
"""Side of the window of SSIM, scikit-image's default."""

# Of SSIM, as published and in scikit-image.
_K1, _K2 = 0.01, 0.03
# Numbers of a row's transform that are held at once (32 MB).
_CELLS = 2_000_000
# A logarithm's spread below this is rounding.
_NO_SPREAD = 1e-9


class Spectrum(NamedTuple):
    """Power of a signal by frequency, in cycles per sample, above 0 up to ½; both (n // 2,)."""

    frequency: NDArray[np.float64]
    power: Spectra


def frequencies(n: int) -> NDArray[np.float64]:
    """Give the frequencies of a signal of n samples: 1/n, 2/n, … up to ½ cycles per sample."""
    return np.fft.rfftfreq(n)[1:].astype(np.float64)


def power_spectrum(signal: NDArray[np.floating]) -> Spectrum:
    """Give the power spectrum of a signal without its mean.

    Parameters
    ----------
    signal : ndarray, shape (n,)
        Values at equal steps; for expression one gene after the other, sample after sample.

    Returns
    -------
    Spectrum
        |X|² / n of the real Fourier transform X, without frequency 0. One-sided and not doubled:
        Σ (x − mean)² is twice the sum of the powers, that at frequency ½ counted once.

    Raises
    ------
    InputError
        If there are fewer than two samples, or several signals.
    """
    if signal.ndim != 1:
        raise InputError(f"signal of shape {signal.shape}: give one value after the other.")
    return Spectrum(frequencies(len(signal)), row_spectra(signal[None])[0])


def row_spectra(values: NDArray[np.floating]) -> Spectra:
    """Give the power spectrum of each row, as `power_spectrum` does.

    Parameters
    ----------
    values : ndarray, shape (n, p)
        Rows of p ≥ 2 values.

    Returns
    -------
    ndarray of float64, shape (n, p // 2)
        Power at `frequencies(p)`.

    Raises
    ------
    InputError
        If rows have fewer than two values.
    """
    n, p = values.shape
    if p < 2:
        raise InputError(f"a spectrum of {p} values: it needs two at least; keep more genes.")
    power = np.empty((n, p // 2))
    step = max(1, _CELLS // p)
    for start in range(0, n, step):
        # In float64 also where the values are float32: numpy would transform them in that.
        rows = np.array(values[start : start + step], dtype=np.float64)
        rows -= rows.mean(axis=1, keepdims=True)
        found = np.fft.rfft(rows, axis=1)[:, 1:]
        power[start : start + step] = (found.real**2 + found.imag**2) / p
    return power


def log_power(power: Spectra) -> Spectra:
    """Give log10 of a power plus `FLOOR`, which keeps a power of 0 finite."""
    logarithm: Spectra = np.log10(power + FLOOR)
    return logarithm


def window(shape: tuple[int, ...]) -> int:
    """Give the side of SSIM's window: 7, or the largest odd number that fits; 0 below 3."""
    fitting = min(WINDOW, *shape)
    fitting -= 1 - fitting % 2
    return fitting if fitting >= 3 else 0


def similarity(natural: Spectra, attacked: Spectra) -> float:
    """Give the structural similarity (SSIM) of two spectra or images of spectra.

    Parameters
    ----------
    natural : ndarray of float64, shape (f,) or (n, f)
        The spectrum that the other is compared to. Its range, largest minus smallest value, is
        the `data_range`: the measure is not symmetric.
    attacked : ndarray of float64, of the same shape
        The other.

    Returns
    -------
    float
        At most 1, which means equal; about 0 for independent noise.

    Raises
    ------
    InputError
        If shapes differ or are below 3, or the natural spectrum is constant and the other is not
        the same.

    Notes
    -----
    Wang et al. 2004, IEEE Trans. Image Process. 13, 600–612, as in scikit-image: uniform window
    of `window(shape)`, K1 = 0.01, K2 = 0.03, sample covariance, mean over windows that lie within.
    """
    from skimage.metrics import structural_similarity

    data_range = _range(natural)
    if natural.shape != attacked.shape:
        raise _unlike(natural.shape, attacked.shape)
    if data_range == 0:
        return _constant(natural, attacked[None])
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            natural, attacked, win_size=_fitting(natural.shape), data_range=data_range
        )
    )


class Windowed:
    """Many spectra of one shape, with mean and variance in each window, worked out once.

    Parameters
    ----------
    values : ndarray of float64, shape (b, f) or (b, n, f)
        The spectra.
    """

    def __init__(self, values: Spectra) -> None:
        self.values = values
        self.size = _fitting(values.shape[1:])
        self.mean = _filtered(values, self.size)
        self.variance = _filtered(values * values, self.size)
        self.variance -= self.mean * self.mean
        self.variance *= self.sample

    @property
    def sample(self) -> float:
        """Factor from the variance of a window to that which it is a sample of."""
        count = int(self.size ** (self.values.ndim - 1))
        return count / (count - 1)


class Reference:
    """A natural spectrum that many others are compared to: `similarity`, many at a time.

    Parameters
    ----------
    natural : ndarray of float64, shape (f,) or (n, f)
        As for `similarity`.
    """

    def __init__(self, natural: Spectra) -> None:
        self._range = _range(natural)
        self._natural = Windowed(natural[None])

    def similarity(self, others: Spectra | Windowed) -> Spectra:
        """Compare b spectra, (b, f) or (b, n, f), with this one.

        Returns
        -------
        ndarray of float64, shape (b,)
            What `similarity` gives of each.
        """
        other = others if isinstance(others, Windowed) else Windowed(others)
        one = self._natural
        if other.values.shape[1:] != one.values.shape[1:]:
            raise _unlike(one.values.shape[1:], other.values.shape[1:])
        if self._range == 0:
            return np.full(len(other.values), _constant(one.values[0], other.values))
        c1, c2 = (_K1 * self._range) ** 2, (_K2 * self._range) ** 2
        both = one.mean * other.mean
        covariance = _filtered(other.values * one.values, one.size)
        covariance -= both
        covariance *= 2 * one.sample
        covariance += c2
        both *= 2
        both += c1
        both *= covariance
        both /= other.mean**2 + (one.mean**2 + c1)
        both /= other.variance + (one.variance + c2)
        similar: Spectra = both.mean(axis=tuple(range(1, both.ndim)))
        return similar


def _filtered(values: Spectra, size: int) -> Spectra:
    """Average within each window that lies within the spectrum."""
    from scipy.ndimage import uniform_filter1d

    inside = slice(size // 2, -(size // 2))
    for axis in range(1, values.ndim):
        values = uniform_filter1d(values, size, axis=axis)
        values = values[(slice(None),) * axis + (inside,)]
    return values


def _range(natural: Spectra) -> float:
    if not natural.size:
        raise InputError("SSIM: the spectrum is empty; give samples.")
    return float(natural.max() - natural.min())


def _fitting(shape: tuple[int, ...]) -> int:
    size = window(shape)
    if not size:
        raise InputError(f"SSIM of shape {shape}: each side must be 3 at least; give more samples.")
    return size


def _constant(natural: Spectra, others: Spectra) -> float:
    if np.array_equal(np.broadcast_to(natural, others.shape), others):
        return 1.0
    raise InputError(
        "SSIM: the natural spectrum is constant, which leaves no range to measure by; give data "
        "that vary."
    )


def _unlike(natural: tuple[int, ...], other: tuple[int, ...]) -> InputError:
    return InputError(f"SSIM: shapes {natural} and {other} differ; give samples of equal number.")


class SpectralDistance:
    """Detector: how far a row's log spectrum is from those of natural rows.

    At each frequency the natural training rows give mean and standard deviation of the log10
    power; the score is the mean squared z over the frequencies, about 1 for a natural row. Where
    training rows do not differ, the distance is in decades.
    """

    def __init__(self) -> None:
        self._width = 0
        self._mean, self._sd = np.empty(0), np.empty(0)

    def fit(self, values: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Learn the natural spectra.

        Parameters
        ----------
        values : ndarray of float32, shape (n, p)
            Natural training rows.
        labels : ndarray of int64, shape (n,)
            Their classes, not used.

        Raises
        ------
        InputError
            If there is no row, or rows have fewer than two values.
        """
        if not len(values):
            raise InputError("spectral distance: there is no natural row to fit; give some.")
        logarithm = log_power(row_spectra(values))
        sd = logarithm.std(axis=0)
        self._width = values.shape[1]
        self._mean, self._sd = logarithm.mean(axis=0), np.where(sd > _NO_SPREAD, sd, 1.0)
        return self

    def score(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score rows, higher for more unusual spectra.

        Parameters
        ----------
        values : ndarray of float32, shape (m, p)
            Rows of as many values as those fitted.

        Returns
        -------
        ndarray of float64, shape (m,)
            Mean squared z.

        Raises
        ------
        InputError
            If nothing was fitted, or only rows of another length.
        """
        if values.shape[1] != self._width:
            raise InputError(
                f"spectral distance: rows of {values.shape[1]} values, fitted on {self._width}; "
                "fit natural rows of the same genes first."
            )
        z = (log_power(row_spectra(values)) - self._mean) / self._sd
        scores: NDArray[np.float64] = (z * z).mean(axis=1)
        return scores
