"""Read GUE tasks: validate the CSV files, subsample them, describe them in a card."""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import pandas as pd

from genosiege import files, runtime
from genosiege.errors import InputError

SPLITS = ("train", "dev", "test")
COLUMNS = ("sequence", "label")

Ambiguous = Literal["error", "to_N"]

# IUPAC codes of more than one base (Cornish-Bowden 1985, Nucleic Acids Res. 13, 3021-3030).
AMBIGUITY_CODES = "RYSWKMBDHV"
_TO_N = str.maketrans(AMBIGUITY_CODES, "N" * len(AMBIGUITY_CODES))

# What a character is, by its byte.
_PLAIN, _AMBIGUOUS, _FOREIGN = 0, 1, 2
_KIND = np.full(256, _FOREIGN, dtype=np.uint8)
_KIND[np.frombuffer(b"ACGTN", dtype=np.uint8)] = _PLAIN
_KIND[np.frombuffer(AMBIGUITY_CODES.encode(), dtype=np.uint8)] = _AMBIGUOUS


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


class Prepared(NamedTuple):
    """A task ready for use: one table per split, and its card."""

    tables: dict[str, pd.DataFrame]
    card: dict[str, Any]


def read(
    path: str | os.PathLike[str],
    n_classes: int = 2,
    ambiguous: Ambiguous = "error",
    name: str | None = None,
) -> Split:
    """Read and validate one CSV file with the columns sequence and label.

    Parameters
    ----------
    path : path-like
        The file. Further columns are ignored, and so are empty lines.
    n_classes : int
        Labels are integers from 0 to n_classes - 1.
    ambiguous : {"error", "to_N"}
        What becomes of IUPAC codes of more than one base. N itself is always accepted.
    name : str or None
        What the file is called in errors and in the card; None: its path.

    Returns
    -------
    Split
        The rows, upper case.

    Raises
    ------
    InputError
        If the file is missing, empty or without rows, lacks a column, or has a row with
        a wrong number of fields, a wrong label, an empty sequence or a character that is
        no nucleotide. File, line and value are named.
    """
    name = os.fspath(path) if name is None else name
    rows, lines = _read_rows(path, name)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["label"] = _labels(table["label"], name, lines, n_classes)
    table["sequence"] = table["sequence"].str.strip().str.upper()
    counts = _check_characters(table["sequence"], name, lines, ambiguous)
    if set(counts) - {"N"}:
        table["sequence"] = table["sequence"].str.translate(_TO_N)
    return Split(name, files.sha256(path), table, counts)


def prepare(
    paths: Mapping[str, str],
    n_classes: int = 2,
    ambiguous: Ambiguous = "error",
    train_samples: int | None = None,
    eval_samples: int | None = None,
    names: Mapping[str, str] | None = None,
) -> Prepared:
    """Validate a task's splits, subsample them, and describe them.

    Parameters
    ----------
    paths : mapping of str to str
        The CSV file of each of the splits train, dev and test.
    n_classes, ambiguous
        See `read`.
    train_samples, eval_samples : int or None
        Rows kept of train, and of dev and test each; None keeps all.
    names : mapping of str to str or None
        What a split's file is called in errors and in the card, where not by its path.

    Returns
    -------
    Prepared
        Tables with the columns id ("{split}:{row}", 0-based row of the official file),
        sequence, label (int64) and group (int64; identical sequences share one group
        wherever they stand), and the card.

    Raises
    ------
    InputError
        See `read` and `stratified_rows`; also if a split is missing.
    """
    for name in SPLITS:
        if name not in paths:
            raise InputError(f"split {name}: no file is given for it; add its path.")
    called = names or {}
    splits = {name: read(paths[name], n_classes, ambiguous, called.get(name)) for name in SPLITS}
    everything = pd.concat([splits[name].table for name in SPLITS], ignore_index=True)
    groups = pd.factorize(everything["sequence"])[0].astype(np.int64)
    tables: dict[str, pd.DataFrame] = {}
    start = 0
    for name, split in splits.items():
        size = len(split.table)
        table = split.table.assign(group=groups[start : start + size])
        table.insert(0, "id", [f"{name}:{row}" for row in range(size)])
        setting = "train_samples" if name == "train" else "eval_samples"
        n = train_samples if name == "train" else eval_samples
        # One fixed stream per split: every seed of a run sees the same data.
        kept = stratified_rows(
            table["label"].to_numpy(), n, runtime.stream(0, name, "subsample"), setting
        )
        tables[name] = table.iloc[kept].reset_index(drop=True)
        start += size
    return Prepared(tables, describe(splits, tables, n_classes, ambiguous))


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
            f"sampling.{setting}, value {n}: the data have {len(classes)} classes; "
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


def describe(
    splits: Mapping[str, Split],
    tables: Mapping[str, pd.DataFrame],
    n_classes: int,
    ambiguous: Ambiguous,
) -> dict[str, Any]:
    """Make a task's card: what the official files hold, and how much of it is used.

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


def _read_rows(path: str | os.PathLike[str], name: str) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Return (sequence, label) of each row and its 1-based line in the file."""
    if not Path(path).is_file():
        raise InputError(f"{name}: there is no such file; supply this split or correct its path.")
    try:
        # utf-8-sig: spreadsheets put a byte order mark before the header.
        with open(path, newline="", encoding="utf-8-sig") as handle:
            # The csv module and not pandas, for the true line of each row.
            reader = csv.reader(handle)
            header = [column.strip() for column in next(reader, [])]
            numbered = [(reader.line_num, row) for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"{name}: this is not a text file of comma-separated values ({error}); "
            "replace the file."
        ) from error
    if not header:
        raise InputError(f"{name}, line 1: the file is empty; supply rows of sequence,label.")
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise InputError(
            f'{name}, line 1, header "{_short(",".join(header))}": the column '
            f"{' and '.join(missing)} is missing; name the columns sequence,label."
        )
    if not numbered:
        raise InputError(f"{name}, line 2: there is a header but no row; supply rows.")
    for line, row in numbered:
        if len(row) != len(header):
            raise InputError(
                f'{name}, line {line}, row "{_short(",".join(row))}": {len(row)} fields where '
                f"the header has {len(header)}; correct the row."
            )
    at = [header.index(column) for column in COLUMNS]
    lines = np.array([line for line, _ in numbered], dtype=np.int64)
    return [(row[at[0]], row[at[1]]) for _, row in numbered], lines


def _labels(values: "pd.Series[str]", name: str, lines: np.ndarray, n_classes: int) -> np.ndarray:
    labels = values.str.strip().map({str(label): label for label in range(n_classes)})
    wrong = np.flatnonzero(labels.isna())
    if wrong.size:
        row = wrong[0]
        raise InputError(
            f'{name}, line {lines[row]}, label "{_short(values.iloc[row])}": labels are integers '
            f"from 0 to {n_classes - 1}; correct the row or set n_classes."
        )
    return labels.to_numpy(dtype=np.int64)


def _check_characters(
    sequences: "pd.Series[str]",
    name: str,
    lines: np.ndarray,
    ambiguous: Ambiguous,
) -> dict[str, int]:
    """Count the ambiguity codes, and refuse empty sequences and foreign characters."""
    lengths = sequences.str.len().to_numpy(dtype=np.int64)
    empty = np.flatnonzero(lengths == 0)
    if empty.size:
        raise InputError(
            f'{name}, line {lines[empty[0]]}, sequence "": the sequence has length 0; '
            "supply it or remove the row."
        )
    # latin-1 with "replace" keeps one byte per character, whatever the character.
    characters = np.frombuffer(
        "".join(sequences).encode("latin-1", errors="replace"), dtype=np.uint8
    )
    kinds = _KIND[characters]
    refused = kinds > (_AMBIGUOUS if ambiguous == "to_N" else _PLAIN)
    if refused.any():
        _refuse(sequences, name, lines, lengths, int(np.argmax(refused)))
    counts = np.bincount(characters, minlength=256)
    return {code: int(counts[ord(code)]) for code in "N" + AMBIGUITY_CODES if counts[ord(code)]}


def _refuse(
    sequences: "pd.Series[str]",
    name: str,
    lines: np.ndarray,
    lengths: np.ndarray,
    index: int,
) -> NoReturn:
    ends = np.cumsum(lengths)
    row = int(np.searchsorted(ends, index, side="right"))
    position = index - int(ends[row] - lengths[row])
    character = sequences.iloc[row][position]
    if character in AMBIGUITY_CODES:
        what = (
            "this IUPAC code stands for more than one base; correct the row or set ambiguous: to_N."
        )
    else:
        what = "this is no nucleotide (A, C, G, T or N); correct the row."
    raise InputError(
        f'{name}, line {lines[row]}, character "{character}" at position {position + 1} of the '
        f"sequence: {what}"
    )


def _short(value: str, width: int = 40) -> str:
    return value if len(value) <= width else f"{value[: width - 3]}..."
