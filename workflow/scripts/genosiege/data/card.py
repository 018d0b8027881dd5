"""Describe a task in its card: what the official files hold, and what of it is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

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
    """Make a task's card, apart from leakage, which `relatives` describes.

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
