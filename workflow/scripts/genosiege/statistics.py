"""Intervals for rates and means, also where observations share a sequence or a seed."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genosiege.errors import InputError

Statistic = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Maps values (n,) and non-negative weights (r, n) to r weighted statistics (r,)."""

MEMORY_CELLS = 4_000_000
"""Weights held at once by the bootstrap (32 MB)."""


class Interval(NamedTuple):
    """The two ends of an interval; both nan where the data say nothing about it."""

    low: float
    high: float


def wilson_interval(successes: float, n: float, level: float = 0.95) -> Interval:
    """Score interval of a binomial rate.

    Parameters
    ----------
    successes : float
        Number of successes, 0 ≤ successes ≤ n. Whole numbers for independent trials;
        an effective sample size makes both fractional.
    n : float
        Number of trials; 0 gives the whole unit interval.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    Interval
        `low` and `high`, both in [0, 1], with the rate between them.

    Raises
    ------
    InputError
        If successes is outside 0..n or level outside (0, 1).

    Notes
    -----
    Wilson (1927), J. Am. Stat. Assoc. 22, 209–212; without continuity correction.
    """
    _check_level(level)
    if not 0 <= successes <= n < np.inf:
        raise InputError(
            f"{successes} successes of {n} trials: successes lie between 0 and the number of "
            "trials; correct the counts."
        )
    if n == 0:
        return Interval(0.0, 1.0)
    # Here, as it brings all of scipy's statistics: who only resamples does not wait for them.
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    # Rounding puts the ends of a rate of 0 or 1 a last digit off, on either side.
    rate = successes / n
    return Interval(max(0.0, min(float(low), rate)), min(1.0, max(float(high), rate)))


def clustered_wilson_interval(
    outcomes: ArrayLike, clusters: ArrayLike, level: float = 0.95
) -> Interval:
    """Score interval of a rate whose trials come in clusters, such as one sequence's seeds.

    Parameters
    ----------
    outcomes : array-like of bool, shape (n,)
        What each trial gave.
    clusters : array-like, shape (n,)
        Which trials belong together. Clusters of one trial each give Wilson's interval.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    Interval
        `low` and `high`, both in [0, 1].

    Raises
    ------
    InputError
        If the two arrays differ in length or level is outside (0, 1).

    Notes
    -----
    Wilson's interval at the effective sample size n / d; the design effect d is the ratio of
    the between-cluster variance of the rate to its binomial variance (Kish 1965; compared
    with others by Dean and Pagano 2015, J. Surv. Stat. Methodol. 3, 484–503). d is held
    between 1 and the largest cluster; a rate of 0 or 1, which has no variance to estimate
    it from, takes the larger end.
    """
    hits = np.asarray(outcomes, dtype=bool).astype(float)
    n = len(hits)
    _check_lengths(n, [np.asarray(clusters)])
    if n == 0:
        return wilson_interval(0, 0, level)
    _, members = np.unique(np.asarray(clusters), return_inverse=True)
    sizes = np.bincount(members)
    rate = hits.mean()
    design_effect = float(sizes.max())
    if 0 < rate < 1 and len(sizes) > 1:
        residuals = np.bincount(members, weights=hits - rate)
        between = len(sizes) / (len(sizes) - 1) * np.sum(residuals**2) / n**2
        binomial = rate * (1 - rate) / n
        design_effect = float(np.clip(between / binomial, 1.0, sizes.max()))
    effective = n / design_effect
    return wilson_interval(min(rate * effective, effective), effective, level)


def weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means of `values` (n,), one per row of `weights` (r, n); nan if all are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means: NDArray[np.float64] = weights @ values / weights.sum(axis=1)
    return means


def weighted_median(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted medians of `values`, one per row of weights.

    Parameters
    ----------
    values : ndarray, shape (n,)
        The observations, none missing.
    weights : ndarray, shape (r, n)
        Non-negative; whole numbers are repetitions.

    Returns
    -------
    ndarray of float64, shape (r,)
        For whole weights the ordinary median of the repeated values, so that the two middle
        ones of an even number are averaged; nan where all weights are 0.
    """
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    ranked = np.asarray(values, dtype=float)[order]
    reached = np.cumsum(weights[:, order], axis=1, dtype=float)
    half = reached[:, -1:] / 2
    # Where half of the weight is reached, and where it is passed: one value, or the middle two.
    lower, upper = (reached < half).sum(axis=1), (reached <= half).sum(axis=1)
    with_weight = half[:, 0] > 0
    medians = np.full(len(weights), np.nan)
    medians[with_weight] = (ranked[lower[with_weight]] + ranked[upper[with_weight]]) / 2
    return medians


def bootstrap_interval(
    values: ArrayLike,
    clusters: ArrayLike | Sequence[ArrayLike],
    statistic: Statistic,
    generator: np.random.Generator,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval that resamples whole clusters.

    Parameters
    ----------
    values : array-like, shape (n,)
        The observations.
    clusters : array-like (n,) or tuple of such
        Which observations belong together, such as the sequence's id. A tuple names
        crossed factors (sequence ids, model seeds), each resampled on its own.
    statistic : callable
        What is estimated, from values (n,) and weights (r, n): `weighted_mean`,
        `weighted_median`.
    generator : numpy.random.Generator
        Where the resamples come from.
    n_resamples : int
        Number of bootstrap resamples, at least 1.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    Interval
        nan at both ends where no factor has two clusters, as nothing then shows the spread.

    Raises
    ------
    InputError
        If lengths differ, or level or n_resamples is out of range.

    Notes
    -----
    An observation's weight is the product, over the factors, of how often its cluster was
    drawn: the cluster bootstrap for one factor, the pigeonhole bootstrap for crossed ones
    (Owen 2007, Ann. Appl. Stat. 1, 386–411).
    """
    _check_level(level)
    if n_resamples < 1:
        raise InputError(f"n_resamples {n_resamples}: give at least 1.")
    observed = np.asarray(values, dtype=float)
    factors = clusters if isinstance(clusters, tuple) else (clusters,)
    labels = [np.asarray(factor) for factor in factors]
    _check_lengths(len(observed), labels)
    members = [np.unique(factor, return_inverse=True)[1] for factor in labels]
    if not len(observed) or not any(factor.max() for factor in members):
        return Interval(float("nan"), float("nan"))

    rows = max(1, MEMORY_CELLS // len(observed))
    estimates = []
    for start in range(0, n_resamples, rows):
        weights = np.ones((min(rows, n_resamples - start), len(observed)))
        for factor in members:
            weights *= _cluster_draws(len(weights), factor.max() + 1, generator)[:, factor]
        estimates.append(statistic(observed, weights))
    tail = (1 - level) / 2
    # A crossed resample can draw only empty cells; such a one has no statistic.
    low, high = np.nanquantile(np.concatenate(estimates), [tail, 1 - tail])
    return Interval(float(low), float(high))


def _cluster_draws(n: int, n_clusters: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Count how often each cluster is drawn, n times over; shape (n, n_clusters)."""
    drawn = generator.integers(n_clusters, size=(n, n_clusters))
    drawn += n_clusters * np.arange(n)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n * n_clusters)
    return counts.reshape(n, n_clusters)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level {level}: a confidence level lies between 0 and 1; correct it.")


def _check_lengths(n: int, factors: Sequence[NDArray[np.generic]]) -> None:
    for factor in factors:
        if factor.shape != (n,):
            raise InputError(
                f"{n} observations, but clusters of shape {factor.shape}: "
                "give one cluster for each observation."
            )
