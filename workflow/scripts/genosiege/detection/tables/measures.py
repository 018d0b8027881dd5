"""Measures of detection: their values, resampled together, and their intervals."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.expression.tables import intervals
from genosiege.statistics import Interval, clustered_wilson_interval

N_RESAMPLES, LEVEL = 2000, intervals.LEVEL

FEW = 10
"""With fewer clusters on a side, resamples show too little of the spread."""


class Rate(NamedTuple):
    """A rate of trials.

    Attributes
    ----------
    values : ndarray, shape (r,)
        The estimate, then its resamples; nan where there is none.
    outcomes : ndarray of bool, shape (n,)
        What each trial gave.
    clusters : ndarray, shape (n,)
        Which belong together.
    """

    values: NDArray[np.float64]
    outcomes: NDArray[np.bool_]
    clusters: NDArray[np.generic]


class Auroc(NamedTuple):
    """An area under the ROC curve between two sides.

    Attributes
    ----------
    values : ndarray, shape (r,)
        The estimate, then its resamples; nan where there is none.
    natural, attacked : ndarray, shapes (n,) and (m,)
        The clusters of either side.
    """

    values: NDArray[np.float64]
    natural: NDArray[np.generic]
    attacked: NDArray[np.generic]


def rates(name: str, seeds: Sequence[Rate]) -> dict[str, float]:
    """Mean of a rate over the seeds that have it, with its 95 % interval.

    Parameters
    ----------
    name : str
        Of the column.
    seeds : sequence of Rate
        One per seed; their resamples drew the same clusters.

    Returns
    -------
    dict
        Value and ends of the percentile interval, nan where no seed has the rate. Where it is 0
        or 1, all resamples agree, or there are fewer than `FEW` clusters, the wider ends of that
        interval and of Wilson's clustered one, as resamples then show too little of the spread.
    """
    known = [seed for seed in seeds if not np.isnan(seed.values[0])]
    if not known:
        return intervals.unknown(name)
    clusters = np.concatenate([seed.clusters for seed in known])
    outcomes = np.concatenate([seed.outcomes for seed in known])
    value, resampled = _mean([seed.values for seed in known])
    if _says_little(value, resampled, len(np.unique(clusters))):
        resampled = _wider(value, resampled, clustered_wilson_interval(outcomes, clusters, LEVEL))
    return intervals.named(name, value, resampled)


def aurocs(name: str, seeds: Sequence[Auroc]) -> dict[str, float]:
    """Mean of an AUROC over the seeds that have it, with its 95 % interval.

    As `rates`, with `auroc_interval` of the numbers of clusters in Wilson's place.
    """
    known = [seed for seed in seeds if not np.isnan(seed.values[0])]
    if not known:
        return intervals.unknown(name)
    natural, attacked = (
        len(np.unique(np.concatenate([getattr(seed, side) for seed in known])))
        for side in ("natural", "attacked")
    )
    value, resampled = _mean([seed.values for seed in known])
    if _says_little(value, resampled, min(natural, attacked)):
        resampled = _wider(value, resampled, auroc_interval(value, natural, attacked, LEVEL))
    return intervals.named(name, value, resampled)


def _mean(seeds: Sequence[NDArray[np.float64]]) -> tuple[float, Interval]:
    """Mean over seeds, and the percentiles of its resamples."""
    values = np.array(seeds)
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means = np.where(there, values, 0.0).sum(axis=0) / there.sum(axis=0)
    drawn = means[1:][~np.isnan(means[1:])]
    value = float(means[0])
    if not len(drawn):
        return value, Interval(np.nan, np.nan)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return value, Interval(float(low), float(high))


def _says_little(value: float, resampled: Interval, n_clusters: int) -> bool:
    spread = resampled.high - resampled.low
    return not 0 < value < 1 or n_clusters < FEW or not spread > 0


def _wider(value: float, first: Interval, second: Interval) -> Interval:
    # The value, too: Wilson's end may miss a rate of 1 by its last bit.
    return Interval(
        float(np.nanmin([value, first.low, second.low])),
        float(np.nanmax([value, first.high, second.high])),
    )


def auroc_interval(value: float, n_natural: int, n_attacked: int, level: float = 0.95) -> Interval:
    """Score interval of an AUROC, that does not shrink to a point where it is 0 or 1.

    Parameters
    ----------
    value : float
        The estimate, in [0, 1].
    n_natural, n_attacked : int
        Independent samples on either side, at least 1 each.
    level : float
        Confidence level in (0, 1).

    Notes
    -----
    Method 5 of Newcombe (2006), Stat. Med. 25, 559–573: the values θ with
    |value − θ| ≤ z √V(θ), where V is the variance of Hanley and McNeil (1982), Radiology 143,
    29–36, with both sample sizes in its numerator replaced by their mean:
    V = θ(1 − θ)(1 + N((1 − θ)/(2 − θ) + θ/(1 + θ))) / (m n), N = (m + n)/2 − 1.
    With one sample on either side it is Wilson's interval of one trial.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    pairs, more = n_natural * n_attacked, (n_natural + n_attacked) / 2 - 1

    def lower(estimate: float) -> float:
        out, within = 0.0, estimate
        for _ in range(60):
            middle = (out + within) / 2
            spread = 1 + more * ((1 - middle) / (2 - middle) + middle / (1 + middle))
            variance = middle * (1 - middle) * spread / pairs
            if (estimate - middle) ** 2 > z**2 * variance:
                out = middle
            else:
                within = middle
        return out

    # V is the same at θ and 1 − θ.
    return Interval(lower(value), 1 - lower(1 - value))
