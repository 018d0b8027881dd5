"""Describe a task in its card: what the official files hold, what of it is used, what leaks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.data.leakage import Definition, Relations

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """One official split.

    Attributes
    ----------
    name : str
        What the CSV file is called.
    sha256 : str
        Digest of the file.
    table : pandas.DataFrame
        Columns sequence (ACGTN, upper case) and label (int64), in the file's order.
    ambiguous_characters : dict of str to int
        How often each code of more than one base occurs in the file, N included.
    """

    name: str
    sha256: str
    table: pd.DataFrame
    ambiguous_characters: dict[str, int]


def describe(
    splits: Mapping[str, Split],
    tables: Mapping[str, pd.DataFrame],
    n_classes: int,
    ambiguous: str,
) -> dict[str, Any]:
    """Make a task's card, leakage apart.

    Parameters
    ----------
    splits : mapping of str to Split
        The official splits. All counts refer to them, except those named "used".
    tables : mapping of str to pandas.DataFrame
        The rows that are used.
    n_classes, ambiguous
        As the task was read.

    Returns
    -------
    dict
        `splits` (per split: rows, class_balance, length, duplicates, conflicting_labels,
        ambiguous_characters, source) and `overlaps` (per pair of splits). Duplicates are
        rows whose sequence stands earlier in the split; conflicting labels are distinct
        sequences that carry more than one label.
    """
    return {
        "n_classes": n_classes,
        "ambiguous": ambiguous,
        "splits": {
            name: _describe_split(split, tables[name], n_classes) for name, split in splits.items()
        },
        "overlaps": [
            {"splits": [first, second], **_overlap(splits[first].table, splits[second].table)}
            for first, second in combinations(splits, 2)
        ],
    }


def describe_leakage(
    relations: Relations,
    groups: NDArray[np.int64],
    official: NDArray[np.int64],
    used: NDArray[np.int64],
    definition: Definition,
) -> dict[str, Any]:
    """Count the rows that have relatives in another split.

    Parameters
    ----------
    relations : Relations
        Of all rows.
    groups : numpy.ndarray
        Leakage group of each row, shape (rows,).
    official, used : numpy.ndarray
        Split of each row as an index into `SPLITS`, shape (rows,); -1 where it is in none.
    definition : Definition
        What makes relatives.

    Returns
    -------
    dict
        `definition`; `groups` (number, largest, rows_in_groups_of_several); and for the
        `official` and the `used` splits, per split, `rows` and under `relatives_in`, for each
        other split and for all `others` together, how many of the rows have a direct relative
        there by `blocks`, by `kmer_forward` (as it is written), by `kmer` (on either strand)
        or by `any` of these or as an identical row, and how many have a row of their `group`
        there.
    """
    sizes = np.bincount(groups)
    # Three bits for the official splits and three for those used, so that one look does.
    bits = (_bits(official) | (_bits(used) << 3)).astype(np.uint8)
    measures = {**relations.reach(bits)._asdict(), "group": _reach_in_groups(groups, bits)}
    return {
        "definition": asdict(definition),
        "groups": {
            "number": len(sizes),
            "largest": int(sizes.max()),
            "rows_in_groups_of_several": int(sizes[sizes > 1].sum()),
        },
        "official": _leaks(official, measures),
        "used": _leaks(used, {name: mask >> 3 for name, mask in measures.items()}),
    }


def _bits(split: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.where(split < 0, 0, 1 << np.maximum(split, 0)).astype(np.uint8)


def _reach_in_groups(groups: NDArray[np.int64], bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    present = np.zeros(groups.max() + 1, dtype=np.uint8)
    np.bitwise_or.at(present, groups, bits)
    return present[groups]


def _leaks(split: NDArray[np.int64], measures: Mapping[str, NDArray[np.uint8]]) -> dict[str, Any]:
    """Count, for each split, the rows whose measures have the bits of other splits."""
    described = {}
    for own, name in enumerate(SPLITS):
        rows = split == own
        wanted = {other: 1 << bit for bit, other in enumerate(SPLITS) if bit != own}
        wanted["others"] = sum(wanted.values())
        described[name] = {
            "rows": int(rows.sum()),
            "relatives_in": {
                other: {
                    measure: int(np.count_nonzero(mask[rows] & bits))
                    for measure, mask in measures.items()
                }
                for other, bits in wanted.items()
            },
        }
    return described


def _describe_split(split: Split, used: pd.DataFrame, n_classes: int) -> dict[str, Any]:
    table = split.table
    lengths = table["sequence"].str.len()
    return {
        "rows": {"official": len(table), "used": len(used)},
        "class_balance": {
            "official": _class_counts(table, n_classes),
            "used": _class_counts(used, n_classes),
        },
        "length": {
            "min": int(lengths.min()),
            "median": float(lengths.median()),
            "max": int(lengths.max()),
        },
        "duplicates": int(table["sequence"].duplicated().sum()),
        "conflicting_labels": _n_conflicting(table),
        "ambiguous_characters": split.ambiguous_characters,
        "source": {"file": split.name, "sha256": split.sha256},
    }


def _class_counts(table: pd.DataFrame, n_classes: int) -> dict[str, int]:
    counts = np.bincount(table["label"], minlength=n_classes)
    return {str(label): int(count) for label, count in enumerate(counts)}


def _n_conflicting(table: pd.DataFrame) -> int:
    pairs = table.drop_duplicates(["sequence", "label"])
    return int(pairs.loc[pairs["sequence"].duplicated(), "sequence"].nunique())


def _overlap(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, Any]:
    in_second = first[first["sequence"].isin(second["sequence"])]
    in_first = second[second["sequence"].isin(first["sequence"])]
    return {
        "sequences": int(in_second["sequence"].nunique()),
        "rows": [len(in_second), len(in_first)],
        "conflicting_labels": _n_conflicting(pd.concat([in_second, in_first])),
    }
