"""Choose rows so that every class keeps its share."""

import numpy as np
import pandas as pd

from genosiege.errors import InputError


def without(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows whose sequence another table has too.

    What is trained on in hardening must not be what is attacked afterwards, also where a split
    repeats sequences of another.

    Parameters
    ----------
    rows, others : pandas.DataFrame
        With a column `sequence`.
    """
    kept: pd.DataFrame = rows[~rows["sequence"].isin(set(others["sequence"]))]
    return kept


def stratified_rows(
    labels: np.ndarray, n: int | None, rng: np.random.Generator, setting: str = "n"
) -> np.ndarray:
    """Choose rows so that every class keeps its share.

    Parameters
    ----------
    labels : numpy.ndarray
        Class of each row, shape (rows,).
    n : int or None
        Rows to choose; None, or as many as there are, chooses all.
    rng : numpy.random.Generator
        Decides which rows of a class are chosen.
    setting : str
        What `n` is called in an error.

    Returns
    -------
    numpy.ndarray
        Row numbers, ascending. Shares are rounded by largest remainder, and each class
        that occurs keeps at least one row.

    Raises
    ------
    InputError
        If n is smaller than the number of classes that occur.
    """
    if n is None or n >= len(labels):
        return np.arange(len(labels))
    classes, sizes = np.unique(labels, return_counts=True)
    if n < len(classes):
        raise InputError(
            f"{setting}, value {n}: the data have {len(classes)} classes; "
            "ask for at least one row of each."
        )
    share = n * sizes / len(labels)
    quota = np.maximum(np.floor(share).astype(np.int64), 1)
    while quota.sum() != n:
        missing = share - quota
        if quota.sum() < n:
            quota[np.argmax(missing)] += 1
        else:
            quota[np.argmin(np.where(quota > 1, missing, np.inf))] -= 1
    chosen = [
        rng.permutation(np.flatnonzero(labels == one))[:count]
        for one, count in zip(classes, quota, strict=True)
    ]
    return np.sort(np.concatenate(chosen))
