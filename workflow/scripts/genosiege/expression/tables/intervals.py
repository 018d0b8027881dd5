"""Intervals of the expression arm's rates and means, many at a time."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genosiege.statistics import MEMORY_CELLS, Interval, clustered_wilson_interval

N_RESAMPLES, LEVEL = 2000, 0.95


def columns(name: str) -> list[str]:
    """Name the columns of a value and of both ends of its interval."""
    return [name, f"{name}_low", f"{name}_high"]


def named(name: str, value: float, interval: ArrayLike) -> dict[str, float]:
    """Give a value and its interval under the names of their columns."""
    low, high = np.asarray(interval, dtype=float)
    return dict(zip(columns(name), (float(value), float(low), float(high)), strict=True))


def unknown(name: str) -> dict[str, float]:
    """Give the columns of a value that was not measured."""
    return dict.fromkeys(columns(name), np.nan)


def rate(
    name: str, outcomes: NDArray[np.bool_], counted: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Rate of trials on samples with its 95 % interval.

    Parameters
    ----------
    name : str
        Of the column.
    outcomes : ndarray of bool, shape (n,) or (s, n)
        What each sample gave, once or in each of s repetitions, such as sets of random features.
    counted : ndarray of bool of the same shape, optional
        Which trials count; by default all. Without any the rate is nan, and its interval the
        whole unit interval.

    Returns
    -------
    dict
        Wilson's interval; of several repetitions the one clustered by sample.
    """
    trials = np.atleast_2d(outcomes)
    taken = np.ones(trials.shape, dtype=bool) if counted is None else np.atleast_2d(counted)
    samples = np.broadcast_to(np.arange(trials.shape[1]), trials.shape)[taken]
    hits = trials[taken]
    return named(
        name,
        float(hits.mean()) if len(hits) else np.nan,
        clustered_wilson_interval(hits, samples, LEVEL),
    )


def balanced_accuracy(
    name: str, correct: NDArray[np.bool_], labels: NDArray[np.integer]
) -> dict[str, float]:
    """Balanced accuracy, the mean of both classes' rates, with its 95 % interval.

    Parameters
    ----------
    name : str
        Of the column.
    correct : ndarray of bool, shape (n,) or (s, n)
        As for `rate`.
    labels : ndarray of int, shape (n,)
        0 or 1.

    Returns
    -------
    dict
        nan where a class has no sample.

    Notes
    -----
    The interval is recovered from those of the two rates, r1 and r0 with ends l and u (MOVER:
    Zou and Donner 2008, Stat. Med. 27, 1693–1702; with Wilson's ends Newcombe's hybrid score
    interval, 1998, Stat. Med. 17, 873–890):
    low = (r1 + r0) / 2 − ½ √((r1 − l1)² + (r0 − l0)²), high likewise. The classes are taken
    as they are, so a rare one counts for half of the interval, and it does not shrink to a point
    where a class has no error, as a bootstrap would.
    """
    trials = np.atleast_2d(correct)
    parts = []
    for label in (0, 1):
        own = trials[:, np.asarray(labels) == label]
        if not own.size:
            return unknown(name)
        parts.append([*rate(name, own).values()])
    value, low, high = np.array(parts).T
    below, above = value - low, high - value
    middle = value.mean()
    ends = middle - np.hypot(*below) / 2, middle + np.hypot(*above) / 2
    return named(name, float(middle), np.clip(ends, 0, 1))


def ratios(
    numerators: NDArray[np.float64],
    denominators: NDArray[np.float64],
    generator: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    level: float = LEVEL,
) -> list[Interval]:
    """Percentile bootstrap intervals of many means at once, samples resampled.

    All take the same resamples: what is right for each of them alone, and of thousands of
    columns as fast as of one.

    Parameters
    ----------
    numerators, denominators : ndarray, shape (n, m)
        For each sample and mean its sum and its count: a mean is the sum of a column of the
        former divided by that of the latter.
    generator : numpy.random.Generator
        Where the resamples come from.
    n_resamples : int
        Number of bootstrap resamples.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    list of Interval, length m
        nan with one sample at most, and where the count is 0.

    Notes
    -----
    With counts of 1 each is what `statistics.bootstrap_interval` gives of `weighted_mean`.
    """
    n, m = numerators.shape
    if n < 2 or m == 0:
        return [Interval(np.nan, np.nan)] * m
    rows = max(1, MEMORY_CELLS // n)
    estimates = []
    for start in range(0, n_resamples, rows):
        weights = _draws(min(rows, n_resamples - start), n, generator)
        with np.errstate(invalid="ignore", divide="ignore"):
            estimates.append((weights @ numerators) / (weights @ denominators))
    tail = (1 - level) / 2
    with warnings.catch_warnings():
        # A mean of nothing has no interval.
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanquantile(np.concatenate(estimates), [tail, 1 - tail], axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _draws(n_resamples: int, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Count how often each sample is drawn; shape (n_resamples, n)."""
    drawn = generator.integers(n, size=(n_resamples, n))
    drawn += n * np.arange(n_resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n)
    return counts.reshape(n_resamples, n).astype(np.float64)
