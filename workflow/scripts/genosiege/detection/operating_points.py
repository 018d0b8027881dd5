"""Where a detector's alarm is set from natural data alone, and how often it then rings."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights: TypeAlias = NDArray[np.float32]
"""How often each sample counts in each resample, (r, n)."""

MEMORY_CELLS = 4_000_000
"""Weights held at once (16 MB)."""

FPRS = (0.01, 0.05)
"""False-positive rates that thresholds are set for."""

BOTH, UPPER = TAILS = ("both", "upper")
"""Which scores are suspicious: what is atypical in either direction, or only what is high."""

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
    v + 1 with a probability of at most j / (v + 1) ≤ fpr, ties or not.
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
            al. 2019, arXiv 1906.02994). The two sides are brought to one scale by the scores that
            2.5 % of natural data exceed on either. `upper`: only what scores high.

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
        above, below = (
            own if own > 0 else other for own, other in ((above, below), (below, above))
        )
        if not above > 0:
            return cls(median, 1.0, 1.0)
        at = _reached(cls(median, above, below).of(natural), SUSPICION_FPR)
        return cls(median, at * above, at * below) if at > 0 else cls(median, above, below)

    def of(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Give the suspicion of scores, of their shape; it orders them if low ones are natural."""
        distance = np.asarray(scores, dtype=np.float64) - self.median
        if np.isinf(self.below):
            return distance / self.above
        return np.maximum(distance / self.above, -distance / self.below)


def _reached(natural: NDArray[np.float64], fpr: float) -> float:
    """Give the threshold for this rate, or the largest score where there is none."""
    found = threshold(natural, fpr)
    return float(natural.max()) if np.isnan(found) else found


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


class Counted(NamedTuple):
    """Weight of the samples above a threshold, and of all, per resample (r,)."""

    above: NDArray[np.float64]
    total: NDArray[np.float64]

    @property
    def share(self) -> NDArray[np.float64]:
        """Share above the threshold; nan where a resample has no sample, or no threshold."""
        with np.errstate(invalid="ignore"):
            return self.above / self.total


def count_above(side: Side, alarm: NDArray[np.float64], drawn: Resamples) -> Counted:
    """Count what scores strictly above the thresholds `alarm`, (r,); nan where these are nan."""
    above, total = np.zeros(len(drawn)), np.zeros(len(drawn))
    for rows in drawn.blocks(len(side.scores)):
        weights = drawn.of(side.clusters, rows)
        total[rows] = weights.sum(axis=1)
        above[rows] = (weights * (side.scores > alarm[rows, None])).sum(axis=1)
    return Counted(np.where(np.isnan(alarm), np.nan, above), total)


def aurocs(natural: Side, attacked: Sequence[Side], drawn: Resamples) -> list[NDArray[np.float64]]:
    """Give the AUROC of several attacks against the same natural data, in each resample.

    Parameters
    ----------
    natural : Side
        Of natural data.
    attacked : sequence of Side
        One per attack.
    drawn : Resamples
        Of all clusters.

    Returns
    -------
    list of ndarray, shape (r,)
        As for `auroc`; row 0 is the estimate.
    """
    order = np.argsort(natural.scores, kind="stable")
    scores, clusters = natural.scores[order], natural.clusters[order]
    places = [_places(scores, side.scores) for side in attacked]
    found = [np.full(len(drawn), np.nan) for _ in attacked]
    largest = max([len(scores), *(len(side.scores) for side in attacked)])
    for rows in drawn.blocks(largest):
        below = _below(drawn.of(clusters, rows))
        for values, place, side in zip(found, places, attacked, strict=True):
            values[rows] = _wins(below, place, drawn.of(side.clusters, rows))
    return found


def auroc(
    natural: ArrayLike,
    attacked: ArrayLike,
    w_natural: NDArray[np.floating] | None = None,
    w_attacked: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Area under the ROC curve: how often an attacked sample scores above a natural one.

    Parameters
    ----------
    natural, attacked : array-like, shapes (n,) and (m,)
        Scores, higher for what looks attacked.
    w_natural, w_attacked : ndarray, shapes (r, n) and (r, m), optional
        Non-negative weights, r times over; by default all 1, once.

    Returns
    -------
    ndarray, shape (r,)
        Mann–Whitney's U over the number of pairs, ties counted as ½; nan where a side is empty.
    """
    first, second = (np.asarray(scores, dtype=float) for scores in (natural, attacked))
    first_weights, second_weights = (
        np.ones((1, len(scores))) if weights is None else np.asarray(weights, dtype=float)
        for scores, weights in ((first, w_natural), (second, w_attacked))
    )
    order = np.argsort(first, kind="stable")
    places = _places(first[order], second)
    found = np.empty(max(len(first_weights), len(second_weights)))
    step = max(1, MEMORY_CELLS // max(len(first), len(second), 1))
    for start in range(0, len(found), step):
        rows = slice(start, start + step)
        # Weights given once serve for all rows of the other side.
        one, two = (w if len(w) == 1 else w[rows] for w in (first_weights, second_weights))
        found[rows] = _wins(_below(one[:, order]), places, two)
    return found


class _Places(NamedTuple):
    """For each attacked score the number of natural ones below it, and of those not above it."""

    below: NDArray[np.intp]
    not_above: NDArray[np.intp]


def _places(ranked: NDArray[np.float64], scores: NDArray[np.float64]) -> _Places:
    return _Places(np.searchsorted(ranked, scores), np.searchsorted(ranked, scores, side="right"))


def _below(weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """Add up the weights of ranked scores: column i is what the first i weigh, (r, n + 1)."""
    r, n = weights.shape
    below = np.zeros((r, n + 1), dtype=weights.dtype)
    np.cumsum(weights, axis=1, out=below[:, 1:])
    return below


def _wins(
    below: NDArray[np.floating], places: _Places, weights: NDArray[np.floating]
) -> NDArray[np.float64]:
    won = np.take(below, places.below, axis=1) + np.take(below, places.not_above, axis=1)
    # Sums of many products: float32 holds whole numbers up to 2^24 only.
    total = (won * weights).sum(axis=1, dtype=np.float64) / 2
    pairs = below[:, -1].astype(np.float64) * weights.sum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share: NDArray[np.float64] = total / pairs
    return share


class Roc(NamedTuple):
    """A ROC curve from (0, 0) to (1, 1), straight between its points."""

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]


def roc_points(natural: ArrayLike, attacked: ArrayLike, most: int = 200) -> Roc:
    """Draw the ROC curve of a detector.

    Parameters
    ----------
    natural, attacked : array-like, shapes (n,) and (m,)
        Scores, at least one each.
    most : int
        Most points; a curve with more corners is drawn through some of them, evenly along it.

    Returns
    -------
    Roc
        The corners, ties being a slope; without points on a straight line.
    """
    first, second = (np.asarray(scores, dtype=float) for scores in (natural, attacked))
    at = np.unique(np.concatenate([first, second]))[::-1]
    # Whole numbers, so that what lies on a line is found exactly.
    reached = [len(side) - np.searchsorted(np.sort(side), at) for side in (first, second)]
    corners = np.concatenate([[[0, 0]], np.stack(reached, axis=1)])
    along = np.diff(corners, axis=0)
    turns = along[:-1, 0] * along[1:, 1] != along[1:, 0] * along[:-1, 1]
    corners = corners[np.concatenate([[True], turns, [True]])]
    points = corners / [len(first), len(second)]
    if len(points) > most:
        travelled = points.sum(axis=1)
        wanted = np.linspace(0, travelled[-1], most)
        points = points[np.unique(np.searchsorted(travelled, wanted - 1e-12))]
    return Roc(points[:, 0], points[:, 1])
