"""Labels and groups of samples: which column means what, and which samples are left out."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.data import table_blocks, tables
from genosiege.data.tables import Form, shown
from genosiege.errors import InputError
from genosiege.expression.reading.raw import Described

Path = str | os.PathLike[str]

GROUPS = ("donor", "site", "study")
YAML_BOOLEANS = frozenset(["yes", "no", "on", "off"])
"""What YAML may read as true or false, in lower case."""
NO_MATRIX, NO_PHENOTYPE = "not in the matrix", "not in the table of samples"


@dataclass(frozen=True)
class Labels:
    """What makes a sample negative (0) or positive (1), from an entry's `label`.

    Attributes
    ----------
    column : str
        Where the label stands.
    negative, positive : tuple of str
        The column's values that mean 0 and 1.
    exclude : tuple of str
        Values whose samples are left out.

    Raises
    ------
    InputError
        If there is no value for a class, or one has two meanings.
    """

    column: str = "label"
    negative: tuple[str, ...] = ("0",)
    positive: tuple[str, ...] = ("1",)
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("negative", "positive"):
            if not getattr(self, part):
                raise InputError(f"label, {part}: name at least one value of {shown(self.column)}.")
        twice = [value for value, n in Counter(self.meanings()).items() if n > 1]
        if twice:
            raise InputError(f"label, value {shown(twice[0])}: it has two meanings; name it once.")

    def meanings(self) -> tuple[str, ...]:
        """Give all values with a meaning."""
        return (*self.negative, *self.positive, *self.exclude)

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], default: "Labels | None" = None) -> "Labels":
        """Take what `label` says, and the rest from the format's default."""
        default, given = default or cls(), entry.get("label") or {}
        if not isinstance(given, Mapping):
            raise InputError("label: give a mapping of column, negative and positive.")
        unknown = sorted(set(given) - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(f"label, {unknown[0]}: there is no such option; remove it.")
        changes: dict[str, Any] = {}
        for key, value in given.items():
            if value is None:
                continue
            if key != "column" and (isinstance(value, str) or not isinstance(value, Iterable)):
                raise InputError(f"label, {key} {shown(value)}: give a list of values.")
            changes[key] = str(value) if key == "column" else tuple(map(str, value))
        return replace(default, **changes)


class Row(NamedTuple):
    """A sample: its name, label as written, groups, place in the matrix and in its table."""

    id: str
    label: str
    donor: str
    site: str
    study: str
    position: int
    where: str


def assemble(
    rows: Sequence[Row], labels: Labels, path: Path, excluded: Mapping[str, int] | None = None
) -> Described:
    """Turn samples into a description, without those that are left out.

    Parameters
    ----------
    rows : sequence of Row
        In the order of the matrix.
    labels : Labels
        What their labels mean.
    path : path-like
        Their table, for errors.
    excluded : mapping of str to int or None
        Samples that were left out before.

    Raises
    ------
    InputError
        If a sample is there twice, a label is unknown or a class has no sample.
    """
    codes = dict.fromkeys(labels.negative, 0) | dict.fromkeys(labels.positive, 1)
    left_out, kept = Counter(excluded or {}), []
    _check_ids(rows, path)
    for row in rows:
        if row.label in codes:
            kept.append(row)
        elif row.label in labels.exclude:
            left_out[row.label or "no label"] += 1
        else:
            raise InputError(
                f"{path}, {row.where}, column {shown(labels.column)}: "
                + _unknown(row.label, {other.label for other in rows}, labels)
            )
    found = {codes[row.label] for row in kept}
    if len(found) < 2:
        missing = labels.negative if 1 in found else labels.positive
        raise InputError(
            f"{path}, column {shown(labels.column)}: of {len(rows)} samples none is "
            f"{' or '.join(map(shown, missing))}; two classes are needed: correct label or data."
        )
    return Described(
        ids=np.array([row.id for row in kept], dtype=np.str_),
        labels=np.array([codes[row.label] for row in kept], dtype=np.int64),
        donors=np.array([row.donor for row in kept], dtype=np.str_),
        sites=np.array([row.site for row in kept], dtype=np.str_),
        studies=np.array([row.study for row in kept], dtype=np.str_),
        positions=np.array([row.position for row in kept], dtype=np.int64),
        excluded=dict(sorted((reason, n) for reason, n in left_out.items() if n)),
    )


def _unknown(label: str, found: set[str], labels: Labels) -> str:
    """Say what is wrong with a label, and what would make those of this table right."""
    if label.lower() in tables.MISSING:
        return (
            f"label {shown(label)} is no value; fill it in, or name it under label: exclude to "
            "leave such samples out."
        )
    told = f"label {shown(label)} has no meaning"
    if {"True", "False"} & set(labels.meanings()) and label.lower() in YAML_BOOLEANS:
        return (
            f'{told}: YAML reads a bare {label} as true or false; write it in quotes ("{label}").'
        )
    words = sorted(word for word in found - {*labels.exclude} if word.lower() not in tables.MISSING)
    if len(words) == 2 and not found & {*labels.negative, *labels.positive} - {"1"}:
        one, other = map(shown, words)
        return (
            f"{told}; if that is what they mean, set label: {{negative: [{one}], positive: "
            f"[{other}]}}, or the other way round."
        )
    return f"{told}; name it under label: negative, positive or exclude."


def _check_ids(rows: Sequence[Row], path: Path) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        if not row.id:
            raise InputError(f"{path}, {row.where}: the sample has no name; name it.")
        if row.id in seen:
            raise InputError(
                f"{path}, {row.where}: sample {shown(row.id)} is there twice (before: "
                f"{seen[row.id]}); rename or remove one."
            )
        seen[row.id] = row.where


class Table(NamedTuple):
    """Some columns of a table of samples; `lines` are their numbers in the file."""

    path: Path
    columns: Mapping[str, Sequence[str]]
    lines: NDArray[np.int64]

    def starts_with(self, key: str, name: str | None) -> bool:
        """Tell whether the first row is of this name."""
        return name is not None and list(self.columns[key][:1]) == [name]

    def without_first(self) -> "Table":
        """Give the table without its first row."""
        columns = {name: values[1:] for name, values in self.columns.items()}
        return Table(self.path, columns, self.lines[1:])


def header(path: Path, form: Form, wanted: Iterable[str] = ()) -> table_blocks.Header:
    """Read a table's header, nameless columns called as pandas does.

    Raises
    ------
    InputError
        If the file is missing, damaged or empty, has one column, or a name twice.
    """
    found = table_blocks.header(path, form, set(wanted))
    names = tables.named(found.names)
    tables.refuse_twice(names, os.fspath(path))
    return found._replace(names=names)


def need_columns(path: Path, names: Sequence[str], wanted: Iterable[str]) -> None:
    """Refuse a table that lacks a column."""
    for column in wanted:
        if column not in names:
            some = ", ".join(map(shown, names[:8])) + (", …" if len(names) > 8 else "")
            raise InputError(
                f"{path}: there is no column {shown(column)} (there are {some}); correct the entry."
            )


def read_table(path: Path, wanted: Iterable[str], form: Form = tables.PLAIN) -> Table:
    """Read columns of a table of samples.

    Raises
    ------
    InputError
        If a column is missing, or a line has more or fewer fields than the header.
    """
    wanted = list(dict.fromkeys(wanted))
    sep, names, _ = header(path, form, wanted)
    need_columns(path, names, wanted)
    places = [names.index(column) for column in wanted]
    found: list[list[str]] = [[] for _ in wanted]
    numbers = []
    for number, line in table_blocks.numbered(path, form.encoding):
        row = table_blocks.fields(line, sep, path, number)
        if len(row) != len(names):
            raise ragged(path, number, len(row), len(names))
        numbers.append(number)
        for column, place in zip(found, places, strict=True):
            column.append(row[place])
    return Table(path, dict(zip(wanted, found, strict=True)), np.array(numbers, dtype=np.int64))


def ragged(path: Path, number: int, found: int, expected: int) -> InputError:
    """Tell of a line with too many or too few fields."""
    return InputError(
        f"{path}, line {number}: {found} fields where {expected} are expected; correct the line, "
        "or fetch the file anew."
    )


def join(
    matrix: Sequence[str],
    table: Table,
    key: str,
    make: Callable[[int, int], Row],
    alias: Callable[[str], str] = str,
) -> tuple[list[Row], dict[str, int]]:
    """Match the samples of a matrix with their table.

    Parameters
    ----------
    matrix : sequence of str
        Names in the matrix, in its order.
    table : Table
        With the column `key` of the same names.
    key : str
        That column.
    make : callable
        Gives a row for a row of the table and a place in the matrix.
    alias : callable
        What is done to a name of either before they are compared.

    Returns
    -------
    tuple of a list of Row and a dict of str to int
        The samples that both have, in the matrix's order; and how many only one has.
    """
    rows: dict[str, int] = {}
    for row, name in enumerate(table.columns[key]):
        if alias(name) in rows:
            before = table.lines[rows[alias(name)]]
            raise InputError(
                f"{table.path}, line {table.lines[row]}: sample {shown(name)} is there twice "
                f"(before: line {before}); remove one."
            )
        rows[alias(name)] = row
    found = [
        make(rows[alias(name)], place) for place, name in enumerate(matrix) if alias(name) in rows
    ]
    present = {alias(name) for name in matrix}
    only_table = sum(name not in present for name in rows)
    return found, {NO_PHENOTYPE: len(matrix) - len(found), NO_MATRIX: only_table}


def groups_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """Give the columns of donor, site and study that an entry names."""
    return {group: str(entry[group]) for group in GROUPS if entry.get(group) is not None}


def form_of(entry: Mapping[str, Any]) -> Form:
    """Give how an entry says that its files are written."""
    return Form(entry.get("separator"), entry.get("encoding"))
