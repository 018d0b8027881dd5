"""Anybody's text table of expression, gzip or plain, separated by tabs, commas or semicolons.

Samples in rows (`orientation: samples`): one column per gene, and columns of text that the entry
names: `label.column`, `id`, `donor`, `site`, `study`, and those to `drop`. Without `id`, samples
are called row1, row2, … Genes in rows (`orientation: genes`): the first column names the gene, the
header the samples, and a second table has the labels; its `id` is its first column by default.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.expression.reading import by_gene, phenotypes, raw, text
from genosiege.expression.reading.by_gene import Layout
from genosiege.expression.reading.phenotypes import Labels, Row, numbered, ragged
from genosiege.expression.reading.raw import Described, Genes, Raw

Path = str | os.PathLike[str]
Entry = Mapping[str, Any]

ORIENTATIONS = ("samples", "genes")


def describe(entry: Entry, matrix: Path, samples: Path | None, name: str) -> Described:
    """Read labels and groups; see `reading.describe`."""
    if _orientation(entry) == "genes":
        return by_gene.describe(entry, matrix, samples, name, Layout())
    raw.are_counts(entry), Genes.from_entry(entry)  # a mistake in these ends it at once
    labels = Labels.from_entry(entry)
    columns = _columns(entry, matrix)
    meanings = {"id": entry.get("id"), "label": labels.column, **phenotypes.groups_of(entry)}
    places = {
        what: columns.names.index(str(column))
        for what, column in meanings.items()
        if column is not None
    }
    rows = []
    for position, (number, line) in enumerate(numbered(matrix)):
        cells = _cells(matrix, number, line, columns)
        if not position:
            _check_numeric(matrix, cells, columns)
        known = {what: text.decoded(cells[place]).strip() for what, place in places.items()}
        rows.append(
            Row(
                id=known.get("id", f"row{position + 1}"),
                label=known["label"],
                donor=known.get("donor", ""),
                site=known.get("site", ""),
                study=known.get("study", ""),
                position=position,
                where=f"line {number}",
            )
        )
    return phenotypes.assemble(rows, labels, matrix)


def read(
    entry: Entry,
    matrix: Path,
    described: Described,
    train: NDArray[np.bool_],
    rows: NDArray[np.integer] | None,
) -> Raw:
    """Read values; see `reading.read`."""
    if _orientation(entry) == "genes":
        return by_gene.read(entry, matrix, described, train, rows)
    options, counts = Genes.from_entry(entry), raw.are_counts(entry)
    columns = _columns(entry, matrix)
    genes = [columns.names[place] for place in columns.genes]
    places = described.positions[raw.selected(described, train, rows)]

    def blocks() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for found, lines, parsed in _blocks(matrix, columns, set(places.tolist())):
            values = parsed

            def cell(row: int, gene: int, lines: list[int] = lines) -> str:
                return f"{matrix}, line {lines[row]}, gene {genes[gene]}"

            raw.check_values(values, counts, cell)
            yield found, values

    return raw.collect(blocks, options.names(genes, f"{matrix}, line 1"), options, places, train)


class _Columns(NamedTuple):
    separator: bytes
    names: list[str]
    genes: list[int]  # places of the columns of values


def _orientation(entry: Entry) -> str:
    orientation = entry.get("orientation") or "samples"
    if orientation not in ORIENTATIONS:
        raise InputError(f"orientation {orientation!r}: choose samples or genes.")
    return str(orientation)


def _columns(entry: Entry, path: Path) -> _Columns:
    """Tell the columns of genes from the others by what the entry names."""
    header = text.first_lines(path, 1)[0]
    sep = text.separator(header, path)
    names = text.fields(header, sep)
    wanted = [entry.get("id"), Labels.from_entry(entry).column, *(entry.get("drop") or [])]
    wanted += phenotypes.groups_of(entry).values()
    named = {str(column) for column in wanted if column is not None}
    phenotypes.need_columns(path, names, sorted(named))
    for column in sorted(named):
        if names.count(column) > 1:
            raise InputError(f"{path}, line 1: column {column} is there twice; rename one.")
    genes = [place for place, name in enumerate(names) if name not in named]
    if not genes:
        raise InputError(f"{path}, line 1: there is no column of a gene; correct id or drop.")
    return _Columns(sep, names, genes)


def _cells(path: Path, number: int, line: bytes, columns: _Columns) -> list[bytes]:
    cells = text.cells(line, columns.separator)
    if len(cells) != len(columns.names):
        raise ragged(path, number, len(cells), len(columns.names))
    return cells


def _check_numeric(path: Path, cells: list[bytes], columns: _Columns) -> None:
    texts = [columns.names[place] for place in columns.genes if text.number(cells[place]) is None]
    if texts:
        shown = ", ".join(repr(name) for name in texts[:5]) + (", …" if len(texts) > 5 else "")
        raise InputError(
            f"{path}, line 2: {shown}: not a column of numbers; name it in the entry as id, "
            "donor, site, study or under drop."
        )


def _blocks(
    path: Path, columns: _Columns, wanted: set[int]
) -> Iterator[tuple[NDArray[np.int64], list[int], NDArray[np.float32]]]:
    """Give the wanted samples' places, line numbers and values, block by block."""
    position = 0
    for block in text.lines(path):
        found, numbers, rows = [], [], []
        for number, line in enumerate(block.lines, block.first):
            if number == 1 or not line.strip():
                continue
            if position in wanted:
                cells = _cells(path, number, line, columns)
                found.append(position)
                numbers.append(number)
                rows.append([cells[place] for place in columns.genes])
            position += 1
        if found:
            yield np.array(found), numbers, _values(path, numbers, rows, columns)


def _values(
    path: Path, numbers: list[int], rows: list[list[bytes]], columns: _Columns
) -> NDArray[np.float32]:
    shape = (len(rows), len(columns.genes))
    values = text.numbers([b"\n".join(row) for row in rows])
    if values is not None and values.size == shape[0] * shape[1]:
        return values.reshape(shape)
    parsed = np.empty(shape, dtype=np.float32)
    for row, (number, cells) in enumerate(zip(numbers, rows, strict=True)):
        for place, cell in enumerate(cells):
            value = text.number(cell)
            if value is None:
                gene = columns.names[columns.genes[place]]
                raise text.not_a_number(f"{path}, line {number}, gene {gene}", cell)
            parsed[row, place] = value
    return parsed
