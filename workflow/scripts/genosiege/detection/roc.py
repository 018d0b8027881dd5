"""The area under the ROC curve, resampled many times at once, and the curve itself."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genosiege.detection.operating_points import MEMORY_CELLS, Resamples, Side


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
