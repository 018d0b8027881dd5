"""Anybody's text table of expression, gzip or plain, separated by tabs, commas or semicolons.

Samples in rows (`orientation: samples`): one column per gene, and columns of text that the entry
names: `label.column`, `id`, `donor`, `site`, `study`, and those to `drop`. Without `id`, samples
are called row1, row2, … Genes in rows (`orientation: genes`): the first column names the gene, the
header the samples, and a second table has the labels; its `id` is its first column by default.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.data import table_blocks, tables
from genosiege.data.table_blocks import decoded, numbered
from genosiege.data.tables import shown
from genosiege.errors import InputError
from genosiege.expression.reading import by_gene, phenotypes, raw
from genosiege.expression.reading.by_gene import Layout
from genosiege.expression.reading.phenotypes import Labels, Row, ragged
from genosiege.expression.reading.raw import Described, Genes, Raw

Path = str | os.PathLike[str]
Entry = Mapping[str, Any]

ORIENTATIONS = ("samples", "genes")
NO_GENES = frozenset(
    ["label", "labels", "class", "target", "outcome", "diagnosis", "disease", "phenotype", "status"]
)
"""What columns of labels are called, and no gene is, in lower case."""


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
    for position, (number, line) in enumerate(numbered(matrix, columns.encoding)):
        cells = _cells(matrix, number, line, columns)
        if not position:
            _check_numeric(matrix, number, cells, columns)
        known = {
            what: decoded(cells[place], matrix, number).strip() for what, place in places.items()
        }
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
                return f"{matrix}, line {lines[row]}, gene {shown(genes[gene])}"

            raw.check_values(values, counts, cell)
            yield found, values

    return raw.collect(blocks, options.names(genes, f"{matrix}, line 1"), options, places, train)


class _Columns(NamedTuple):
    separator: bytes
    encoding: str | None
    names: list[str]
    genes: list[int]  # places of the columns of values


def _orientation(entry: Entry) -> str:
    orientation = entry.get("orientation") or "samples"
    if orientation not in ORIENTATIONS:
        raise InputError(f"orientation {shown(orientation)}: choose samples or genes.")
    return str(orientation)


def _columns(entry: Entry, path: Path) -> _Columns:
    """Tell the columns of genes from the others by what the entry names."""
    wanted = [entry.get("id"), Labels.from_entry(entry).column, *(entry.get("drop") or [])]
    wanted += phenotypes.groups_of(entry).values()
    named = {str(column) for column in wanted if column is not None}
    form = phenotypes.form_of(entry)
    sep, header, _ = table_blocks.header(path, form, named)
    names = tables.named(header)
    phenotypes.need_columns(path, names, sorted(named))
    # A gene may stand twice, which `genes.duplicates` is about.
    tables.refuse_twice(names, str(path), named)
    genes = [place for place, name in enumerate(names) if name not in named]
    if not genes:
        raise InputError(f"{path}, line 1: there is no column of a gene; correct id or drop.")
    _check_genes(path, names, genes)
    return _Columns(sep, form.encoding, names, genes)


def _check_genes(path: Path, names: list[str], genes: list[int]) -> None:
    """Refuse columns that are no genes, though they may be numbers."""
    for place in genes:
        name, where = names[place], f"{path}, line 1, column {place + 1}"
        if re.fullmatch(r"Unnamed: [0-9]+", name):
            raise InputError(
                f"{where}: this column has no name, as an index that pandas or R wrote; set "
                f'id: "{name}" if it names the samples, or drop: ["{name}"].'
            )
        if name.lower() in NO_GENES:
            raise InputError(
                f"{where}: {shown(name)} is no gene but a label; name it as label: {{column: …}}, "
                "or under drop."
            )


def _cells(path: Path, number: int, line: bytes, columns: _Columns) -> list[bytes]:
    cells = table_blocks.cells(line, columns.separator)
    if len(cells) != len(columns.names):
        raise ragged(path, number, len(cells), len(columns.names))
    return cells


def _check_numeric(path: Path, number: int, cells: list[bytes], columns: _Columns) -> None:
    wrong = [place for place in columns.genes if table_blocks.number(cells[place]) is None]
    if not wrong:
        return
    first, names = wrong[0], [shown(columns.names[place]) for place in wrong[:5]]
    where = f"{path}, line {number}"
    if table_blocks.has_decimal_comma(cells[first]):
        raise table_blocks.not_a_number(f"{where}, gene {names[0]}", cells[first])
    raise InputError(
        f"{where}: {', '.join(names)}{', …' if len(wrong) > 5 else ''}: not a column of numbers; "
        "name it in the entry as id, donor, site, study or under drop."
    )


def _blocks(
    path: Path, columns: _Columns, wanted: set[int]
) -> Iterator[tuple[NDArray[np.int64], list[int], NDArray[np.float32]]]:
    """Give the wanted samples' places, line numbers and values, block by block."""
    position = 0
    for block in table_blocks.lines(path, columns.encoding):
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
    values = table_blocks.numbers([b"\n".join(row) for row in rows])
    if values is not None and values.size == shape[0] * shape[1]:
        return values.reshape(shape)
    parsed = np.empty(shape, dtype=np.float32)
    for row, (number, cells) in enumerate(zip(numbers, rows, strict=True)):
        for place, cell in enumerate(cells):
            value = table_blocks.number(cell)
            if value is None:
                gene = columns.names[columns.genes[place]]
                raise table_blocks.not_a_number(f"{path}, line {number}, gene {shown(gene)}", cell)
            parsed[row, place] = value
    return parsed
