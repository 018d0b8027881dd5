"""Count relatives by whether their labels agree: rows by the labels that they meet, and pairs.

Rows are told through bits, as `Relations.reach` does, so that no pair is formed. Pairs of rows that
share enough blocks are counted by sparse products, as far as they are not too many. Where most of
them disagree and share one and the same number of blocks, the rows of one class were made from
those of another: the *negatives are constructed*.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from genosiege.data.card import SPLITS
from genosiege.data.leakage import Definition, Reach, Relations, Sharing

PAIRS_AT_MOST = 5_000_000
"""Pairs of rows that are counted; where there are more, only rows are."""

WORDS = ("", "same", "other", "both")
"""Whose labels a row's relatives carry: it has none, its own, others, or both."""

_Z = 1.959964
"""Standard deviations of a two-sided interval of 95 %."""

_COUNTS = ["first", "second", "opposite", "n_shared", "pairs"]

USED_TRAIN = 1 << len(SPLITS)
"""The bit of the rows that the run trains on."""


class Rows(NamedTuple):
    """What is known of each row, each of shape (rows,).

    Attributes
    ----------
    label, group : numpy.ndarray
        Its class, and its leakage group.
    official, used : numpy.ndarray
        Its split as an index into `SPLITS`; -1 where it is in none.
    """

    label: NDArray[np.int64]
    group: NDArray[np.int64]
    official: NDArray[np.int64]
    used: NDArray[np.int64]

    @property
    def parts(self) -> NDArray[np.uint8]:
        """Bits of the official split, and beyond these of the one used, so that one look does."""
        official, used = (np.where(split < 0, 0, 1 << np.maximum(split, 0)) for split in self[2:])
        parts: NDArray[np.uint8] = (official | used << len(SPLITS)).astype(np.uint8)
        return parts


class Agreement(NamedTuple):
    """Which parts of the data hold direct relatives of a row's own label, and of another.

    Both are bits as those of `leakage.Reach`, shape (rows,).
    """

    same: NDArray[np.uint8]
    other: NDArray[np.uint8]

    def codes(self, bits: int) -> NDArray[np.intp]:
        """Index each row's relatives in these parts, taken together, into `WORDS`."""
        same, other = ((mask & bits) > 0 for mask in self)
        codes: NDArray[np.intp] = same + 2 * other.astype(np.intp)
        return codes

    def words(self, bits: int) -> NDArray[np.object_]:
        """Say of each row whose labels its relatives in these parts carry, in one of `WORDS`."""
        return np.array(WORDS, dtype=object)[self.codes(bits)]

    def counts(self, rows: NDArray[np.bool_], bits: int) -> dict[str, int]:
        """Count these rows by the labels of their relatives, where they have any."""
        counts = np.bincount(self.codes(bits)[rows], minlength=len(WORDS))
        return dict(zip(WORDS[1:], counts[1:].tolist(), strict=True))


def agreement(
    relations: Relations, parts: NDArray[np.uint8], labels: NDArray[np.int64]
) -> dict[str, Agreement]:
    """Say in which parts of the data each row has relatives of its own label, and of another.

    Parameters
    ----------
    relations : Relations
        Of all rows.
    parts : numpy.ndarray
        The parts of each row as bits, shape (rows,).
    labels : numpy.ndarray
        Class of each row, shape (rows,).

    Returns
    -------
    dict of str to Agreement
        By what makes relatives: the fields of `leakage.Reach`. Ask only for parts that the row
        is not in.
    """
    n, width = len(parts), max(int(parts.max(initial=0)).bit_length(), 1)
    found = {
        measure: Agreement(np.zeros(n, np.uint8), np.zeros(n, np.uint8))
        for measure in Reach._fields
    }
    classes, at_once = np.unique(labels), 64 // width
    for start in range(0, len(classes), at_once):
        asked = classes[start : start + at_once]
        # Each class has bits of its own, the narrowest type that holds all.
        own = np.zeros(n, np.min_scalar_type((1 << width * len(asked)) - 1))
        for place, label in enumerate(asked):
            mine = labels == label
            own[mine] = parts[mine].astype(own.dtype) << (place * width)
        for measure, masks in relations.reach(own)._asdict().items():
            for place, label in enumerate(asked):
                bits = (masks >> (place * width) & ((1 << width) - 1)).astype(np.uint8)
                same, other = found[measure]
                same |= np.where(labels == label, bits, 0).astype(np.uint8)
                other |= np.where(labels == label, 0, bits).astype(np.uint8)
    return found


def describe(
    relations: Relations, rows: Rows, found: Mapping[str, Agreement], definition: Definition
) -> dict[str, Any]:
    """Count the rows that have relatives in another split, and the pairs of relatives.

    Parameters
    ----------
    relations : Relations
        Of all rows.
    rows : Rows
        What is known of them.
    found : mapping of str to Agreement
        From `agreement`, for `rows.parts`.
    definition : Definition
        What makes relatives.

    Returns
    -------
    dict
        `definition`; `groups` (number, largest, rows_in_groups_of_several); what
        `describe_pairs` says; and for the `official` and the `used` splits, per split, `rows`,
        and for each other split and for all `others` together: under `relatives_in`, how many
        of the rows have a direct relative there by `blocks`, by `kmer_forward` (as it is
        written), by `kmer` (on either strand) or by `any` of these or as an identical row, and
        how many have a row of their `group` there; under `labels_of_relatives_in`, of how many
        these relatives all carry the `same` label, all an `other` one, or `both` kinds do.
    """
    sizes = np.bincount(rows.group)
    in_group = _parts_of_groups(rows)
    return {
        "definition": asdict(definition),
        "groups": {
            "number": len(sizes),
            "largest": int(sizes.max()),
            "rows_in_groups_of_several": int(sizes[sizes > 1].sum()),
        },
        **describe_pairs(relations, rows.official, rows.label),
        "official": _leaks(rows.official, 0, found, in_group),
        "used": _leaks(rows.used, len(SPLITS), found, in_group),
    }


def _parts_of_groups(rows: Rows) -> NDArray[np.uint8]:
    present = np.zeros(rows.group.max() + 1, dtype=np.uint8)
    np.bitwise_or.at(present, rows.group, rows.parts)
    return present[rows.group]


def _leaks(
    split: NDArray[np.int64],
    first_bit: int,
    found: Mapping[str, Agreement],
    in_group: NDArray[np.uint8],
) -> dict[str, Any]:
    """Count, for each split, the rows that have relatives in other splits."""
    described = {}
    for own, name in enumerate(SPLITS):
        rows = split == own
        wanted = {other: 1 << bit << first_bit for bit, other in enumerate(SPLITS) if bit != own}
        wanted["others"] = sum(wanted.values())
        labels = {
            other: {measure: one.counts(rows, bits) for measure, one in found.items()}
            for other, bits in wanted.items()
        }
        described[name] = {
            "rows": int(rows.sum()),
            "relatives_in": {
                other: {measure: sum(counts.values()) for measure, counts in of_part.items()}
                | {"group": int(np.count_nonzero(in_group[rows] & wanted[other]))}
                for other, of_part in labels.items()
            },
            "labels_of_relatives_in": labels,
        }
    return described


def describe_pairs(
    relations: Relations,
    splits: NDArray[np.int64],
    labels: NDArray[np.int64],
    at_most: int = PAIRS_AT_MOST,
) -> dict[str, Any]:
    """Count the pairs of rows that share enough blocks, and those of opposite labels among them.

    Parameters
    ----------
    relations : Relations
        Of all rows.
    splits : numpy.ndarray
        Split of each row as an index into `SPLITS`, shape (rows,).
    labels : numpy.ndarray
        Class of each row, shape (rows,).
    at_most : int
        Where there are more pairs, none is counted.

    Returns
    -------
    dict
        `constructed_negatives` and, in `pairs`: `counted`, and where not, the `reason`; `pairs`
        and `opposite`, those of them whose labels differ; the same `between` any two splits and
        within each; and `opposite_by_shared_blocks`. Identical rows are pairs like others.
        What was not counted is None.
    """
    counts = count_pairs(relations, splits, labels, at_most)
    if counts is None:
        reason = f"more than {at_most:,} pairs; rows are counted by the labels of their relatives"
        nothing = ("pairs", "opposite", "between", "opposite_by_shared_blocks")
        pairs = {"counted": False, "reason": reason, **dict.fromkeys(nothing)}
        return {"constructed_negatives": None, "pairs": pairs}
    total = _both(counts)
    by_shared = counts[counts["opposite"]].groupby("n_shared")["pairs"].sum()
    pairs = {
        "counted": True,
        "reason": "",
        **total,
        "between": [
            {"splits": [SPLITS[first], SPLITS[second]]}
            | _both(counts[(counts["first"] == first) & (counts["second"] == second)])
            for first, second in combinations_with_replacement(range(len(SPLITS)), 2)
        ],
        "opposite_by_shared_blocks": {str(n): int(found) for n, found in by_shared.items()},
    }
    alike = int(by_shared.max()) if len(by_shared) else 0
    return {"constructed_negatives": is_most(alike, total["pairs"]), "pairs": pairs}


def is_most(part: int, n: int) -> bool:
    """Say whether a part is more than half of n, beyond chance.

    So it is where the 95 % score interval of its share (Wilson 1927) lies above one half: from
    4 of 4 on, for 10 from 9, for 100 from 60.
    """
    return 2 * part - n > _Z * math.sqrt(n)


def count_pairs(
    relations: Relations,
    splits: NDArray[np.int64],
    labels: NDArray[np.int64],
    at_most: int = PAIRS_AT_MOST,
) -> pd.DataFrame | None:
    """Count pairs of rows that share enough blocks, by splits, labels and shared blocks.

    Parameters
    ----------
    relations, splits, labels, at_most
        See `describe_pairs`.

    Returns
    -------
    pandas.DataFrame or None
        Columns first, second (split numbers, the lesser first), opposite (whether the labels
        differ), n_shared (blocks) and pairs; None where there are more than `at_most`.
    """
    n_labels = int(labels.max(initial=0)) + 1
    places = (relations.sequence, splits * n_labels + labels)
    shape = (len(relations.n_blocks), len(SPLITS) * n_labels)
    # How many rows of which split and label have which sequence.
    members = coo_array((np.ones(len(labels), dtype=np.int64), places), shape).tocsr()
    sizes = members.sum(axis=1)
    twins = np.flatnonzero((relations.n_blocks >= relations.shared_blocks) & (sizes > 1))
    n_pairs = int((sizes[twins] * (sizes[twins] - 1)).sum()) // 2
    if n_pairs > at_most:
        return None
    counts = [
        *_products(members, Sharing(twins, twins, relations.n_blocks[twins]), n_labels),
        # Of identical rows, the product has paired each row with itself, too.
        *_themselves(members[twins], relations.n_blocks[twins], n_labels),
    ]
    for found in relations.sharing():
        n_pairs += int((sizes[found.first] * sizes[found.second]).sum())
        if n_pairs > at_most:
            return None
        turned = found._replace(first=found.second, second=found.first)
        counts += [*_products(members, found, n_labels), *_products(members, turned, n_labels)]
    table = pd.DataFrame(np.concatenate([np.zeros((0, 5), np.int64), *counts]), columns=_COUNTS)
    summed = table.groupby(_COUNTS[:4], as_index=False)["pairs"].sum()
    # Each pair is there in both orders.
    summed["pairs"] //= 2
    kept: pd.DataFrame = summed[summed["pairs"] > 0].reset_index(drop=True)
    return kept.astype({"opposite": bool})


def _products(members: csr_array, pairs: Sharing, n_labels: int) -> Iterator[NDArray[np.int64]]:
    """Multiply the rows of the first sequences with those of the second, by shared blocks."""
    for shared in np.unique(pairs.n_shared):
        these = pairs.n_shared == shared
        product = (members[pairs.first[these]].T @ members[pairs.second[these]]).tocoo()
        yield _counted(
            product.row, product.col, np.full(product.nnz, shared), product.data, n_labels
        )


def _themselves(
    members: csr_array, n_shared: NDArray[np.int64], n_labels: int
) -> Iterator[NDArray[np.int64]]:
    """Take off as many pairs as there are rows."""
    rows = members.tocoo()
    yield _counted(rows.col, rows.col, n_shared[rows.row], -rows.data, n_labels)


def _counted(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    n_shared: NDArray[np.int64],
    pairs: NDArray[np.int64],
    n_labels: int,
) -> NDArray[np.int64]:
    """Make rows of `_COUNTS` from the numbers of split and label of both."""
    splits = np.sort([first // n_labels, second // n_labels], axis=0)
    opposite = first % n_labels != second % n_labels
    return np.column_stack([*splits, opposite, n_shared, pairs])


def _both(counts: pd.DataFrame) -> dict[str, int]:
    opposite = counts.loc[counts["opposite"], "pairs"].sum()
    return {"pairs": int(counts["pairs"].sum()), "opposite": int(opposite)}
