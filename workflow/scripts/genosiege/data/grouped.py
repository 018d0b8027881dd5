"""Divide rows into splits so that no group of relatives crosses a split."""

import math

import numpy as np
from numpy.typing import NDArray

from genosiege.data.card import SPLITS
from genosiege.errors import InputError

TOLERANCE = 0.02
"""By how much of its official size a split may be larger or smaller."""


def divide(
    groups: NDArray[np.int64],
    labels: NDArray[np.int64],
    official: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Divide rows anew, whole groups only, into splits as large as the official ones.

    Groups of several rows are placed first, largest first, each where it leaves the most of
    what a split still lacks, in shares of the split and by its scarcest class. So they spread
    over the splits in proportion, as in a random division. Single rows then fill what is
    left of each class, in random order.

    Parameters
    ----------
    groups, labels : numpy.ndarray
        Leakage group and class of each row, shape (rows,).
    official : numpy.ndarray
        Official split of each row, as an index into `SPLITS`, shape (rows,).
    rng : numpy.random.Generator
        Decides the order of groups of one size and of single rows.

    Returns
    -------
    numpy.ndarray
        Split of each row, shape (rows,).

    Raises
    ------
    InputError
        If the size of a split would differ from the official one by more than `TOLERANCE`,
        rounded up to whole rows.
    """
    n_splits, n_classes = len(SPLITS), int(labels.max()) + 1
    # Rows of each class in each split: as wanted, and as still missing.
    wanted = np.zeros((n_splits, n_classes), dtype=np.int64)
    np.add.at(wanted, (official, labels), 1)
    missing = wanted.copy()
    members = np.zeros((int(groups.max()) + 1, n_classes), dtype=np.int64)
    np.add.at(members, (groups, labels), 1)
    sizes = members.sum(axis=1)
    several = rng.permutation(np.flatnonzero(sizes > 1))
    place = np.full(len(sizes), -1)
    for group in several[np.argsort(-sizes[several], kind="stable")]:
        classes = members[group] > 0
        left = (missing[:, classes] - members[group, classes]) / np.maximum(wanted[:, classes], 0.5)
        place[group] = int(np.argmax(left.min(axis=1)))
        missing[place[group]] -= members[group]
    for label in range(n_classes):
        single = rng.permutation(np.flatnonzero((sizes == 1) & (members[:, label] == 1)))
        share = _apportioned(np.maximum(missing[:, label], 0), len(single))
        place[single] = np.repeat(np.arange(n_splits), share)
    division: NDArray[np.int64] = place[groups]
    _check_sizes(np.bincount(division, minlength=n_splits), wanted.sum(axis=1), int(sizes.max()))
    return division


def _apportioned(missing: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Share n out in proportion to what is missing, by largest remainder."""
    if not missing.sum():
        missing = np.ones_like(missing)
    quota = missing * n / missing.sum()
    shares: NDArray[np.int64] = np.floor(quota).astype(np.int64)
    shares[np.argsort(shares - quota, kind="stable")[: n - shares.sum()]] += 1
    return shares


def _check_sizes(found: NDArray[np.int64], wanted: NDArray[np.int64], largest: int) -> None:
    for name, size, official in zip(SPLITS, found.tolist(), wanted.tolist(), strict=True):
        if abs(size - official) > math.ceil(TOLERANCE * official):
            raise InputError(
                f"split, value grouped: the largest group of relatives has {largest} of "
                f"{wanted.sum()} rows, so that {name} would have {size} rows where the official "
                f"split has {official}; take split: official, or let `leakage` ask for more."
            )
