"""Read GUE tasks: validate the CSV files, divide and subsample them."""

import os
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import pandas as pd

from genosiege import files, runtime
from genosiege.data import card, grouped, relatives, tables
from genosiege.data.card import SPLITS, Split
from genosiege.data.leakage import Definition, find
from genosiege.data.sampling import stratified_rows
from genosiege.errors import InputError

COLUMNS = ("sequence", "label")

Ambiguous = Literal["error", "to_N"]
Division = Literal["official", "grouped"]

# IUPAC codes of more than one base (Cornish-Bowden 1985, Nucleic Acids Res. 13, 3021-3030).
AMBIGUITY_CODES = "RYSWKMBDHV"
_TO_N = str.maketrans(AMBIGUITY_CODES, "N" * len(AMBIGUITY_CODES))

# What a character is, by its byte.
_PLAIN, _AMBIGUOUS, _FOREIGN = 0, 1, 2
_KIND = np.full(256, _FOREIGN, dtype=np.uint8)
_KIND[np.frombuffer(b"ACGTN", dtype=np.uint8)] = _PLAIN
_KIND[np.frombuffer(AMBIGUITY_CODES.encode(), dtype=np.uint8)] = _AMBIGUOUS


class Reading(NamedTuple):
    """How the files of a task are written.

    Attributes
    ----------
    ambiguous : {"error", "to_N"}
        What becomes of IUPAC codes of more than one base. N itself is always accepted.
    separator, encoding : str or None
        See `tables.Form`.
    labels : mapping of str to int or None
        The class of each label as written; None: they are the numbers of the classes.
    rna : {"error", "to_dna"}
        What becomes of U.
    layout : str
        What the table was made of: `csv`, `fasta` or `class_folders`.
    """

    ambiguous: Ambiguous = "error"
    separator: str | None = None
    encoding: str | None = None
    labels: Mapping[str, int] | None = None
    rna: Literal["error", "to_dna"] = "error"
    layout: Literal["csv", "fasta", "class_folders"] = "csv"


PLAIN = Reading()
"""As GUE has them."""


class Prepared(NamedTuple):
    """A task ready for use: one table per split, and its card."""

    tables: dict[str, pd.DataFrame]
    card: dict[str, Any]


def read(
    path: str | os.PathLike[str],
    n_classes: int = 2,
    how: Reading = PLAIN,
    name: str | None = None,
) -> Split:
    """Read and validate one table with the columns sequence and label.

    Parameters
    ----------
    path : path-like
        The file. Further columns are ignored, and so are empty lines.
    n_classes : int
        Labels are integers from 0 to n_classes - 1, where `how.labels` does not name them.
    how : Reading
        How the file is written.
    name : str or None
        What the file is called in errors and in the card; None: its path.

    Returns
    -------
    Split
        The rows, upper case.

    Raises
    ------
    InputError
        See `tables.read`; also if a row has no sequence or label, a wrong label, or a
        character that is no nucleotide. File, line and value are named.
    """
    name = os.fspath(path) if name is None else name
    rows, places = _read_rows(path, name, how)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["label"] = _labels(table["label"], places, n_classes, how.labels)
    table["sequence"] = table["sequence"].str.strip().str.upper()
    if how.rna == "to_dna":
        table["sequence"] = table["sequence"].str.replace("U", "T")
    counts = _check_characters(table["sequence"], places, how.ambiguous)
    if set(counts) - {"N"}:
        table["sequence"] = table["sequence"].str.translate(_TO_N)
    return Split(name, files.sha256(path), table, counts)


def prepare(
    paths: Mapping[str, str],
    n_classes: int = 2,
    how: Reading = PLAIN,
    train_samples: int | None = None,
    eval_samples: int | None = None,
    names: Mapping[str, str] | None = None,
    split: Division = "official",
    leakage: Mapping[str, int] | None = None,
) -> Prepared:
    """Validate a task's splits, divide them anew if asked to, subsample and describe them.

    Parameters
    ----------
    paths : mapping of str to str
        The CSV file of each of the splits train, dev and test.
    n_classes, how
        See `read`.
    train_samples, eval_samples : int or None
        Rows kept of train, and of dev and test each; None keeps all.
    names : mapping of str to str or None
        What a split's file is called in errors and in the card, where not by its path.
    split : {"official", "grouped"}
        The division of the files, or one of about the same sizes and class shares that no
        leakage group crosses; see `grouped.divide`.
    leakage : mapping of str to int or None
        What makes two rows relatives, where not the defaults of `leakage.Definition`.

    Returns
    -------
    Prepared
        Tables with the columns id ("{split}:{row}", official split and 0-based row of its
        file), sequence, label (int64), group (int64; relatives share one group wherever
        they stand) and relative_labels (whose labels the direct relatives carry that a row of
        dev or test has among the used rows of train: one of `relatives.WORDS`; "" in train),
        and the card.

    Raises
    ------
    InputError
        See `read`, `stratified_rows` and `grouped.divide`; also if a split is missing, if
        train or dev has no row of a class, or if no split has.
    """
    for name in SPLITS:
        if name not in paths:
            raise InputError(f"split {name}: no file is given for it; add its path.")
    called = names or {}
    splits = {name: read(paths[name], n_classes, how, called.get(name)) for name in SPLITS}
    rows = _all_rows(splits)
    definition = Definition(**(leakage or {}))
    relations = find(rows["sequence"].tolist(), definition)
    rows["group"] = relations.groups()
    official = np.repeat(np.arange(len(SPLITS)), [len(one.table) for one in splits.values()])
    labels, groups = rows["label"].to_numpy(), rows["group"].to_numpy()
    division = official
    if split == "grouped":
        division = grouped.divide(groups, labels, official, runtime.stream(0, "grouped_split"))
    used = np.full(len(rows), -1)
    kept: dict[str, np.ndarray] = {}
    for index, name in enumerate(SPLITS):
        members = np.flatnonzero(division == index)
        setting = "sampling.train_samples" if name == "train" else "sampling.eval_samples"
        n = train_samples if name == "train" else eval_samples
        # One fixed stream per split: every seed of a run sees the same data.
        rng = runtime.stream(0, name, "subsample")
        kept[name] = members[stratified_rows(labels[members], n, rng, setting)]
        used[kept[name]] = index
    known = relatives.Rows(labels, groups, official, used)
    found = relatives.agreement(relations, known.parts, labels)
    trained_on = used == SPLITS.index("train")
    words = found["any"].words(relatives.USED_TRAIN)
    rows["relative_labels"] = np.where(trained_on, "", words)
    used_rows = {name: rows.iloc[at].reset_index(drop=True) for name, at in kept.items()}
    _check_classes(splits, used_rows, n_classes)
    described = card.describe(splits, used_rows, n_classes, how.ambiguous) | {
        "split": split,
        "leakage": relatives.describe(relations, known, found, definition),
    }
    return Prepared(used_rows, described)


def _all_rows(splits: Mapping[str, Split]) -> pd.DataFrame:
    """Put the official splits below each other, with the id of each row."""
    rows = pd.concat([one.table for one in splits.values()], ignore_index=True)
    ids = [f"{name}:{row}" for name, one in splits.items() for row in range(len(one.table))]
    rows.insert(0, "id", ids)
    return rows


def _check_classes(
    splits: Mapping[str, Split], used: Mapping[str, pd.DataFrame], n_classes: int
) -> None:
    """Refuse a class that nobody can learn, or choose a model by; test may lack one."""
    present = {name: set(split.table["label"]) for name, split in splits.items()}
    for label in range(n_classes):
        if not any(label in labels for labels in present.values()):
            raise InputError(
                f"{splits['train'].name}: neither this nor another split has a row of class "
                f"{label}, yet n_classes is {n_classes}; set it to the number of classes there "
                "are, or supply such rows."
            )
        for name in ("train", "dev"):
            if label in set(used[name]["label"]):
                continue
            if label in present[name]:
                raise InputError(
                    f"{splits[name].name}: divided by groups of relatives, {name} has no row of "
                    f"class {label}; take split: official, or let `leakage` ask for more."
                )
            raise InputError(
                f"{splits[name].name}: {name} has no row of class {label}; give rows of all "
                f"{n_classes} classes."
            )


def _read_rows(
    path: str | os.PathLike[str], name: str, how: Reading
) -> tuple[list[list[str]], list[str]]:
    """Return sequence and label of each row and its place, for errors.

    The place is file and line, and what a column `file` says where the table was itself
    put together from files.
    """
    # What was made of files of another layout is a plain table.
    form = tables.Form(how.separator, how.encoding) if how.layout == "csv" else tables.PLAIN
    found = tables.read(path, name, COLUMNS, ("file",), form)
    places = [f"{name}, line {line}" for line in found.lines]
    if how.layout == "fasta":
        places = [row[2] for row in found.rows]
    elif "file" in found.columns:
        places = [
            f"{place} ({tables.shown(row[2])})"
            for place, row in zip(places, found.rows, strict=True)
        ]
    rows = [row[:2] for row in found.rows]
    for place, row in zip(places, rows, strict=True):
        for column, value in zip(COLUMNS, row, strict=True):
            if value.strip().lower() in tables.MISSING:
                raise InputError(
                    f"{place}, {column} {tables.shown(value)}: there is no value; supply it or "
                    "remove the row."
                )
    return rows, places


def _labels(
    values: "pd.Series[str]", places: list[str], n_classes: int, names: Mapping[str, int] | None
) -> np.ndarray:
    """Turn labels as written into class numbers."""
    written = values.str.strip()
    meanings = {str(label): label for label in range(n_classes)}
    if names is not None:
        meanings = {str(word): int(label) for word, label in names.items()}
    labels = written.map(meanings)
    wrong = np.flatnonzero(labels.isna())
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"{places[row]}, label {tables.shown(values.iloc[row])}: "
            + _cure(set(written), n_classes, names)
        )
    return labels.to_numpy(dtype=np.int64)


def _cure(written: set[str], n_classes: int, names: Mapping[str, int] | None) -> str:
    """Say what labels have to be, and what would make those of this file right."""
    if names is not None:
        known = ", ".join(tables.shown(str(word)) for word in names)
        return f"`labels` names {known} only; name it there or correct the row."
    asked = f"labels are integers from 0 to {n_classes - 1}"
    others = {str(label) for label in range(1, n_classes + 1)}
    if written == others:
        return f"{asked}, and these count from 1; {_offer(sorted(written, key=int))}"
    if len(written) == n_classes and not all(word.lstrip("-").isdigit() for word in written):
        return f"{asked}; {_offer(sorted(written))}"
    return f"{asked}; correct the row or set n_classes."


def _offer(words: list[str]) -> str:
    """Offer the setting that gives words their numbers."""
    named = ", ".join(f"{tables.shown(word)}: {label}" for label, word in enumerate(words))
    return f"if that is what they mean, set labels: {{{named}}}."


def _check_characters(
    sequences: "pd.Series[str]",
    places: list[str],
    ambiguous: Ambiguous,
) -> dict[str, int]:
    """Count the ambiguity codes, and refuse foreign characters."""
    lengths = sequences.str.len().to_numpy(dtype=np.int64)
    # latin-1 with "replace" keeps one byte per character, whatever the character.
    characters = np.frombuffer(
        "".join(sequences).encode("latin-1", errors="replace"), dtype=np.uint8
    )
    kinds = _KIND[characters]
    refused = kinds > (_AMBIGUOUS if ambiguous == "to_N" else _PLAIN)
    if refused.any():
        _refuse(sequences, places, lengths, int(np.argmax(refused)))
    counts = np.bincount(characters, minlength=256)
    return {code: int(counts[ord(code)]) for code in "N" + AMBIGUITY_CODES if counts[ord(code)]}


def _refuse(
    sequences: "pd.Series[str]",
    places: list[str],
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
    elif character == "U":
        what = "this is a base of RNA; set rna: to_dna to read it as T."
    else:
        what = "this is no nucleotide (A, C, G, T or N); correct the row."
    raise InputError(
        f"{places[row]}, character {tables.shown(character)} at position {position + 1} of the "
        f"sequence: {what}"
    )
