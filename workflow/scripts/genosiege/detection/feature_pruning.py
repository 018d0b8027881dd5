"""Moved features are put back where that makes a flip less suspicious."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.detection.fimba_family import Flags, Rows
from genosiege.expression.judging import Values
from genosiege.expression.samples import Samples

Numbers = NDArray[np.float64]

STEPS = 256
"""Parts that the moved features are put back in, at most."""


class Pruned(NamedTuple):
    """Candidates with features put back: values (m, p), suspicion (m,)."""

    values: Values
    suspicion: Numbers


def prune(
    start: Values,
    suspicion: Numbers,
    samples: Samples,
    order: Rows,
    ask: Callable[[Values, NDArray[np.int64]], tuple[Flags, Numbers]],
) -> Pruned:
    """Put moved features back, the least important first, while that lowers the suspicion.

    Parameters
    ----------
    start : ndarray of float32, shape (m, p)
        Flips.
    suspicion : ndarray of float64, shape (m,)
        Theirs.
    samples : Samples
        m samples as they were.
    order : ndarray of int, shape (p,)
        Features by falling importance.
    ask : callable
        Tells of rows and their classes which are flips, and their suspicion.

    Returns
    -------
    Pruned
        Flips, none more suspicious than before. One pass over the moved features, one by one
        or, where there are more than `STEPS`, in that many parts; a sample is done
        where its suspicion is 0 or less.
    """
    values, least = start.copy(), suspicion.copy()
    part = parts(start != samples.values, order)
    for step in range(int(part.max(initial=-1)) + 1):
        back = part == step
        live = np.flatnonzero(back.any(axis=1) & (least > 0))
        if not len(live):
            continue
        tried = np.where(back[live], samples.values[live], values[live])
        flips, new = ask(tried, samples.labels[live])
        better = flips & (new < least[live])
        values[live[better]], least[live[better]] = tried[better], new[better]
    return Pruned(values, least)


def parts(moved: Flags, order: Rows) -> Rows:
    """Give the part in which each feature is put back, (m, p); -1 where none was moved."""
    last_first = moved[:, order[::-1]]
    size = np.maximum(1, -(-last_first.sum(axis=1, keepdims=True) // STEPS))
    position = np.where(last_first, (last_first.cumsum(axis=1) - 1) // size, -1)
    part = np.empty_like(position)
    part[:, order[::-1]] = position
    return part
