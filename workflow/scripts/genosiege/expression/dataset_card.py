"""Describe prepared expression data in its card: what is in each split, what leaks."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genosiege.expression.splits import SPLITS

if TYPE_CHECKING:
    from genosiege.expression.scaling import Matrix

DECIMALS = 2
"""Decimals kept where rows are compared "after rounding"."""

MOST_GROUPS = 200
"""A card counts the samples of each donor, site and study where there are at most so many."""

# Rows that are made dense at a time.
_BLOCK = 256


def samples(labels: NDArray[np.int64], division: NDArray[np.int64]) -> dict[str, Any]:
    """Count samples per class and split.

    Parameters
    ----------
    labels, division : ndarray of int64, shape (n,)
        Class, and index into `SPLITS`, of each sample.

    Returns
    -------
    dict
        Per split and for `all`: `n` and `per_class` (class as text to count).
    """
    masks = {name: division == index for index, name in enumerate(SPLITS)}
    masks["all"] = np.ones(len(labels), dtype=bool)
    return {
        name: {"n": int(mask.sum()), "per_class": _per_class(labels[mask])}
        for name, mask in masks.items()
    }


def groups(
    names: NDArray[np.str_], labels: NDArray[np.int64], division: NDArray[np.int64]
) -> dict[str, Any]:
    """Describe one grouping of the samples: by donor, site or study.

    Parameters
    ----------
    names : ndarray of str, shape (n,)
        Group of each sample, "" where none is known.
    labels, division : ndarray of int64, shape (n,)
        Class, and index into `SPLITS`, of each sample.

    Returns
    -------
    dict
        `number` of groups, `samples_without`, `samples_per_group` (min, median, max),
        `with_both_classes`, `per_split` (groups in it), `crossing` (groups in several
        splits), `sharing` (per split, how many of its samples share a group with `train`, and
        with any of the `others`), and `per_group`: for each group samples per split and class,
        or None where there are more than `MOST_GROUPS`.
    """
    known = names != ""
    distinct, member = np.unique(names[known], return_inverse=True)
    counts = np.zeros((len(distinct), len(SPLITS), 2), dtype=np.int64)
    np.add.at(counts, (member, division[known], labels[known]), 1)
    present = counts.sum(axis=2) > 0
    sizes = counts.sum(axis=(1, 2))
    return {
        "number": len(distinct),
        "samples_without": int((~known).sum()),
        "samples_per_group": _spread(sizes),
        "with_both_classes": int((counts.sum(axis=1) > 0).all(axis=1).sum()),
        "per_split": {name: int(present[:, i].sum()) for i, name in enumerate(SPLITS)},
        "crossing": int((present.sum(axis=1) > 1).sum()),
        "sharing": _sharing(member, division[known], present),
        "per_group": _per_group(distinct.tolist(), counts)
        if len(distinct) <= MOST_GROUPS
        else None,
    }


def duplicates(
    values: "Matrix", labels: NDArray[np.int64], division: NDArray[np.int64]
) -> dict[str, Any]:
    """Count samples whose expression is that of another one.

    Parameters
    ----------
    values : ndarray of float32 or csr_matrix of float32, shape (n, p)
        As the file has them, genes that are not expressed left out.
    labels, division : ndarray of int64, shape (n,)
        Class, and index into `SPLITS`, of each sample.

    Returns
    -------
    dict
        For `exact` and `rounded` (to `DECIMALS`) equality: `rows` (that equal an earlier one),
        `sets` (of equal rows), `conflicting_labels` (sets with both classes), `crossing` (sets in
        several splits) and `sharing`, as in `groups`.
    """
    exact, rounded = _digests(values)
    return {
        "exact": _equal(exact, labels, division),
        "rounded": {"decimals": DECIMALS, **_equal(rounded, labels, division)},
    }


def constant_within_classes(values: "Matrix", labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find genes that have one value in each class, and another one in the other.

    Parameters
    ----------
    values : ndarray of float32 or csr_matrix of float32, shape (n, p)
        As the file has them.
    labels : ndarray of int64, shape (n,)
        Class of each sample.

    Returns
    -------
    ndarray of int64
        Columns, ascending; none where a class has but one sample.
    """
    if np.bincount(labels, minlength=2).min() < 2:
        return np.empty(0, dtype=np.int64)
    low = np.full((2, values.shape[1]), np.inf, dtype=np.float32)
    high = -low
    for start, block in zip(range(0, len(labels), _BLOCK), _dense_blocks(values), strict=True):
        for label in (0, 1):
            rows = block[labels[start : start + _BLOCK] == label]
            if len(rows):
                low[label] = np.minimum(low[label], rows.min(axis=0))
                high[label] = np.maximum(high[label], rows.max(axis=0))
    return np.flatnonzero((low == high).all(axis=0) & (low[0] != low[1]))


def sparsity(values: "Matrix", zero: float) -> float:
    """Give the share of values that stand for no expression.

    Parameters
    ----------
    values : ndarray of float32 or csr_matrix of float32, shape (n, p)
        As the file has them.
    zero : float
        How the file writes no expression: 0, or the logarithm of a pseudocount. Values within
        0.001 of that logarithm count, since files round it.
    """
    total = values.shape[0] * values.shape[1]
    if zero == 0:
        nonzero = (
            np.count_nonzero(values) if isinstance(values, np.ndarray) else values.count_nonzero()
        )
        return 1 - int(nonzero) / int(total)
    zeros = sum(int(np.sum(np.abs(block - zero) < 1e-3)) for block in _dense_blocks(values))
    return zeros / int(total)


def value_range(values: "Matrix") -> dict[str, float]:
    """Give `min`, `mean` and `max` of values of shape (n, p)."""
    return {
        "min": float(values.min()),
        "mean": float(values.mean(dtype=np.float64)),
        "max": float(values.max()),
    }


def clipped(scaled: Mapping[str, NDArray[np.float32]], limit: float) -> dict[str, float]:
    """Give, per split, the share of scaled values that lie at ±limit."""
    return {name: float(np.mean(np.abs(values) >= limit)) for name, values in scaled.items()}


def _per_class(labels: NDArray[np.int64]) -> dict[str, int]:
    return {str(label): int(count) for label, count in enumerate(np.bincount(labels, minlength=2))}


def _spread(sizes: NDArray[np.int64]) -> dict[str, float] | None:
    if not len(sizes):
        return None
    return {
        "min": int(sizes.min()),
        "median": float(np.median(sizes)),
        "max": int(sizes.max()),
    }


def _sharing(
    member: NDArray[np.int64], division: NDArray[np.int64], present: NDArray[np.bool_]
) -> dict[str, dict[str, int]]:
    """Count, per split, the samples whose group has samples in other splits."""
    counted = {}
    for index, name in enumerate(SPLITS):
        reach = present[member[division == index]]
        counted[name] = {
            other: int(reach[:, at].sum())
            for at, other in enumerate(SPLITS)
            if other == "train" and at != index
        }
        counted[name]["others"] = int(np.delete(reach, index, axis=1).any(axis=1).sum())
    return counted


def _per_group(distinct: Iterable[str], counts: NDArray[np.int64]) -> dict[str, Any]:
    return {
        group: {
            split: {str(label): int(n) for label, n in enumerate(per_split[at]) if n}
            for at, split in enumerate(SPLITS)
            if per_split[at].any()
        }
        for group, per_split in zip(distinct, counts, strict=True)
    }


def _equal(
    digests: list[bytes], labels: NDArray[np.int64], division: NDArray[np.int64]
) -> dict[str, Any]:
    several = {digest: at for at, (digest, n) in enumerate(Counter(digests).items()) if n > 1}
    member = np.array([several.get(digest, -1) for digest in digests], dtype=np.int64)
    inside = member >= 0
    _, member = np.unique(member[inside], return_inverse=True)
    counts = np.zeros((len(several), len(SPLITS), 2), dtype=np.int64)
    np.add.at(counts, (member, division[inside], labels[inside]), 1)
    present = counts.sum(axis=2) > 0
    return {
        "rows": int(inside.sum()) - len(several),
        "sets": len(several),
        "conflicting_labels": int((counts.sum(axis=1) > 0).all(axis=1).sum()),
        "crossing": int((present.sum(axis=1) > 1).sum()),
        "sharing": _sharing(member, division[inside], present),
    }


def _digests(values: "Matrix") -> tuple[list[bytes], list[bytes]]:
    """Digest each row as it is, and rounded."""
    exact: list[bytes] = []
    rounded: list[bytes] = []
    for block in _dense_blocks(values):
        # Adding 0 makes -0.0 the 0.0 that it equals.
        exact += [_digest(row) for row in block + np.float32(0)]
        rounded += [_digest(row) for row in np.round(block, DECIMALS) + np.float32(0)]
    return exact, rounded


def _digest(row: NDArray[np.float32]) -> bytes:
    return hashlib.blake2b(row.tobytes(), digest_size=16).digest()


def _dense_blocks(values: "Matrix") -> Iterable[NDArray[np.float32]]:
    for start in range(0, values.shape[0], _BLOCK):
        block = values[start : start + _BLOCK]
        yield block if isinstance(block, np.ndarray) else block.toarray()
