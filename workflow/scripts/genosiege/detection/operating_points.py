"""Where a detector's alarm is set from natural data alone, and how often it then rings."""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genosiege.detection.options import BOTH, UPPER

Weights: TypeAlias = NDArray[np.float32]
"""How often each sample counts in each resample, (r, n)."""

MEMORY_CELLS = 4_000_000
"""Weights held at once (16 MB)."""

FPRS = (0.01, 0.05)
"""False-positive rates that thresholds are set for."""

SUSPICION_FPR = 0.05
"""The false-positive rate at whose threshold the suspicion is 1."""


def threshold(validation: ArrayLike, fpr: float) -> float:
    """Set the alarm so that natural data raise it at most so often.

    Parameters
    ----------
    validation : array-like, shape (v,)
        Scores of natural validation data.
    fpr : float
        Share of natural data that may be called attacked.

    Returns
    -------
    float
        The j-th largest score, j = floor(fpr · (v + 1)); what scores strictly above it is called
        attacked. nan where j = 0: so few natural data attain no such rate, and no threshold that
        calls anything attacked is known to keep it.

    Notes
    -----
    Split conformal prediction (Vovk, Gammerman and Shafer 2005; Bates et al. 2023, Ann. Stat.
    51, 149–178): a natural score exchangeable with the v others is among the j largest of all
    v + 1 with a probability of at most j / (v + 1) ≤ fpr, ties or not. Of two tails each takes
    half of the rate.
    """
    scores = np.asarray(validation, dtype=float)
    rank = _rank(len(scores), fpr)
    return float(np.sort(scores)[-rank]) if rank else float("nan")


def _rank(n: int, fpr: float) -> int:
    # Rounded first, as 0.29 · 100 is a little less than 29.
    return int(np.floor(round(fpr * (n + 1), 9)))


class Suspicion(NamedTuple):
    """Makes scores comparable between detectors: 0 is typical, 1 is at the 5 % threshold.

    Attributes
    ----------
    median : float
        Of natural validation scores.
    above, below : float
        How far above and below it a score is at the threshold; `below` is infinite where low
        scores are no reason for suspicion.
    """

    median: float
    above: float
    below: float

    @classmethod
    def from_validation(cls, scores: ArrayLike, tails: str = BOTH) -> "Suspicion":
        """Take the scale from the scores of natural validation data.

        Parameters
        ----------
        scores : array-like, shape (v,)
            At least one.
        tails : str
            `both`: what is atypical in either direction is suspicious, such as a sample that is
            nearer to the training data than natural ones are (a test for typicality: Nalisnick et
            al. 2019, arXiv 1906.02994); 1 is where 2.5 % of natural data lie beyond on that side.
            `upper`: only what scores high.

        Notes
        -----
        Where so few scores attain no such rate, the most extreme one takes its place; where it is
        the median itself, the other side's scale, or 1.
        """
        natural = np.asarray(scores, dtype=float)
        median = float(np.median(natural))
        if tails == UPPER:
            above = _reached(natural, SUSPICION_FPR) - median
            return cls(median, above if above > 0 else 1.0, np.inf)
        above = _reached(natural, SUSPICION_FPR / 2) - median
        below = median + _reached(-natural, SUSPICION_FPR / 2)
        either = max(above, below)
        either = either if either > 0 else 1.0
        return cls(median, above if above > 0 else either, below if below > 0 else either)

    def of(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Give the suspicion of scores, of their shape; it orders them if low ones are natural."""
        distance = np.asarray(scores, dtype=np.float64) - self.median
        if np.isinf(self.below):
            return distance / self.above
        return np.maximum(distance / self.above, -distance / self.below)

    def side(self, side: "Side") -> "Side":
        """Give the suspicion of samples."""
        return side._replace(scores=self.of(side.scores))


def _reached(natural: NDArray[np.float64], fpr: float) -> float:
    """Give the threshold for this rate, or the largest score where there is none."""
    found = threshold(natural, fpr)
    return float(natural.max()) if np.isnan(found) else found


def cost(
    flips: NDArray[np.bool_], suspicion: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """Give what an attacker minimises: [not flipped] + penalty · max(suspicion, 0)."""
    return np.where(flips, 0.0, 1.0) + penalty * np.maximum(suspicion, 0.0)


class Side(NamedTuple):
    """Samples that a detector scored, and the cluster that each belongs to, both (n,)."""

    scores: NDArray[np.float64]
    clusters: NDArray[np.generic]


class Resamples:
    """How often each cluster is drawn in each resample; row 0 is the data as they are.

    All rows of one cluster move together, be they natural, attacked or of another seed.

    Attributes
    ----------
    names : ndarray, shape (c,)
        The clusters, sorted.
    counts : ndarray of uint8, shape (1 + n_resamples, c)
        How often each is drawn.
    """

    def __init__(
        self, names: NDArray[np.generic], counts: NDArray[np.uint8] | NDArray[np.int64]
    ) -> None:
        self.names, self.counts = names, counts

    def __len__(self) -> int:
        return len(self.counts)

    def of(self, clusters: NDArray[np.generic], rows: slice = slice(None)) -> Weights:
        """Weigh samples of these clusters, (n,), in some resamples; shape (r, n)."""
        return self.counts[rows][:, np.searchsorted(self.names, clusters)].astype(np.float32)

    def blocks(self, n: int) -> Iterator[slice]:
        """Split the resamples, so that the weights of n samples stay small."""
        step = max(1, MEMORY_CELLS // max(n, 1))
        for start in range(0, len(self), step):
            yield slice(start, start + step)


def resamples(clusters: ArrayLike, n_resamples: int, generator: np.random.Generator) -> Resamples:
    """Draw as many clusters as there are, with replacement, n times over.

    Parameters
    ----------
    clusters : array-like, shape (n,)
        Of all samples that belong to one analysis, in any order and with repetitions.
    n_resamples : int
        Number of resamples.
    generator : numpy.random.Generator
        Where they come from.
    """
    names = np.unique(np.asarray(clusters))
    n = len(names)
    counts = np.ones((1 + n_resamples, n), dtype=np.uint8)
    step = max(1, MEMORY_CELLS // max(n, 1))
    for start in range(1, len(counts), step):
        rows = counts[start : start + step]
        drawn = generator.integers(max(n, 1), size=rows.shape)
        drawn += n * np.arange(len(rows))[:, None]
        rows[:] = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)
    return Resamples(names, counts)


def thresholds(validation: Side, fpr: float, drawn: Resamples) -> NDArray[np.float64]:
    """Set the alarm anew in each resample of the validation data.

    Parameters
    ----------
    validation : Side
        Natural validation data.
    fpr : float
        As for `threshold`.
    drawn : Resamples
        Of all clusters.

    Returns
    -------
    ndarray, shape (r,)
        In row 0 what `threshold` gives. Where a resample holds v' validation samples instead of
        v, the rank j is j · v' / v, rounded, at least 1; nan where j = 0 or v' = 0.
    """
    v = len(validation.scores)
    rank = _rank(v, fpr)
    found = np.full(len(drawn), np.nan)
    if not rank:
        return found
    falling = np.argsort(-validation.scores, kind="stable")
    scores, clusters = validation.scores[falling], validation.clusters[falling]
    for rows in drawn.blocks(v):
        reached = np.cumsum(drawn.of(clusters, rows), axis=1)
        held = reached[:, -1]
        wanted = np.maximum(1, np.rint(rank * held.astype(float) / v))
        at = np.minimum((reached < wanted[:, None]).sum(axis=1), v - 1)
        found[rows] = np.where(held > 0, scores[at], np.nan)
    return found


class Alarm(NamedTuple):
    """Scores below `low` or above `high` raise the alarm; one of each per resample, (r,).

    Both are nan where no threshold keeps the rate.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def known(self) -> bool:
        """Whether the data as they are, row 0, have a threshold."""
        return not np.isnan(self.high[0])

    def rings(self, scores: NDArray[np.float64], rows: slice = slice(0, 1)) -> NDArray[np.bool_]:
        """Tell which scores raise it, in some resamples; shape (r, n)."""
        return (scores > self.high[rows, None]) | (scores < self.low[rows, None])


def alarms(validation: Side, fpr: float, drawn: Resamples, tails: str = BOTH) -> Alarm:
    """Set the alarm in each resample of the validation data.

    Parameters
    ----------
    validation : Side
        Scores of natural validation data.
    fpr : float
        Share of natural data that may raise it; of `both` tails half on either side.
    drawn : Resamples
        Of all clusters.
    tails : str
        `both` or `upper`.
    """
    if tails == UPPER:
        return Alarm(np.full(len(drawn), -np.inf), thresholds(validation, fpr, drawn))
    turned = validation._replace(scores=-validation.scores)
    return Alarm(-thresholds(turned, fpr / 2, drawn), thresholds(validation, fpr / 2, drawn))


class Counted(NamedTuple):
    """Weight of the samples that raise the alarm, and of all, per resample (r,)."""

    above: NDArray[np.float64]
    total: NDArray[np.float64]

    @property
    def share(self) -> NDArray[np.float64]:
        """Share that raise it; nan where a resample has no sample, or no threshold."""
        with np.errstate(invalid="ignore"):
            return self.above / self.total


def count_alarms(side: Side, alarm: Alarm, drawn: Resamples) -> Counted:
    """Count what raises the alarm, in each resample; nan where it is not known."""
    above, total = np.zeros(len(drawn)), np.zeros(len(drawn))
    for rows in drawn.blocks(len(side.scores)):
        weights = drawn.of(side.clusters, rows)
        total[rows] = weights.sum(axis=1)
        above[rows] = (weights * alarm.rings(side.scores, rows)).sum(axis=1)
    return Counted(np.where(np.isnan(alarm.high), np.nan, above), total)


def count(side: Side, drawn: Resamples) -> NDArray[np.float64]:
    """Add up the weights of all samples, in each resample, (r,)."""
    total = np.zeros(len(drawn))
    for rows in drawn.blocks(len(side.scores)):
        total[rows] = drawn.of(side.clusters, rows).sum(axis=1)
    return total
