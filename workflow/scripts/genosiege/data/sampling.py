"""Choose rows so that every class keeps its share, and check what is said of all of them."""

import logging

import numpy as np
import pandas as pd

from genosiege.errors import InputError

log = logging.getLogger(__name__)


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


def check_offset(sequences: "pd.Series[str]", offset: int | None, setting: str) -> None:
    """Refuse an offset that lies in no sequence; warn of one that some do not reach.

    Parameters
    ----------
    sequences : pandas.Series of str
        Some, of any length.
    offset : int or None
        Counted from 0; None is none.
    setting : str
        What it is called in an error.

    Raises
    ------
    InputError
        If it lies beyond the longest.
    """
    if offset is None or not len(sequences):
        return
    lengths = sequences.str.len()
    if offset >= lengths.max():
        raise InputError(
            f"config, {setting}, {offset}: this lies outside the sequences, of which the longest "
            f"has {lengths.max()} bp; give an offset below that, or null."
        )
    if short := int((lengths <= offset).sum()):
        log.warning(
            "%s, value %d: %d of %d sequences end before it", setting, offset, short, len(lengths)
        )


def stratified_rows(
    labels: np.ndarray, n: int | None, rng: np.random.Generator, setting: str = "n"
) -> np.ndarray:
    """Choose rows so that every class keeps its share.

    Parameters
    ----------
    labels : numpy.ndarray
        Class of each row, shape (rows,).
    n : int or None
        Rows to choose; None chooses all, and so does, with a warning, more than there are.
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
    if n is not None and n > len(labels):
        log.warning("%s, value %d: there are %d rows; all are taken", setting, n, len(labels))
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
