"""Tables of one gene per line, as large as public compendia: read once, in blocks."""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.data import table_blocks
from genosiege.data.table_blocks import numbered
from genosiege.data.tables import PLAIN, Form, shown
from genosiege.errors import InputError
from genosiege.expression.reading import phenotypes
from genosiege.expression.reading.phenotypes import Labels, Row, ragged
from genosiege.expression.reading.raw import (
    Described,
    Genes,
    Raw,
    are_counts,
    check_left,
    check_values,
    notes,
    repeated_gene,
    selected,
)

Path = str | os.PathLike[str]


class Header(NamedTuple):
    """How a table of genes × samples begins.

    Attributes
    ----------
    separator : bytes
        Between fields.
    samples : list of str
        Names of the columns of values.
    unnamed : bool
        Whether the column of genes has no name, as R writes tables.
    """

    separator: bytes
    samples: list[str]
    unnamed: bool


def header(path: Path, form: Form = PLAIN) -> Header:
    """Read the first line; it may lack a name for the column of genes, as R writes it.

    Raises
    ------
    InputError
        If the file is missing, damaged or empty, or has no gene.
    """
    sep, names, row = table_blocks.header(path, form)
    if row is None or not row.strip():
        raise InputError(
            f"{path}, line 2: there is no gene below the header; supply the file anew."
        )
    fields = table_blocks.cells(row, sep)
    unnamed = len(fields) == len(names) + 1
    samples = names if unnamed else names[1:]
    if len(fields) != len(samples) + 1:
        raise ragged(path, 2, len(fields), len(samples) + 1)
    # Else genes were called 0, 1 and so on, and their names taken for a sample.
    counted = fields[0] == b"0" and table_blocks.number(fields[1]) is None
    if counted and names[0] in ("", "Unnamed: 0"):
        raise InputError(
            f"{path}, line 1, column 1: this column has no name, as an index that pandas wrote; "
            "save the table without it."
        )
    _check_samples(path, samples)
    return Header(sep, samples, unnamed)


def _check_samples(path: Path, samples: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for column, sample in enumerate(samples, 2):
        if not sample:
            raise InputError(f"{path}, line 1, column {column}: the sample has no name; name it.")
        if sample in seen:
            raise InputError(
                f"{path}, line 1, columns {seen[sample]} and {column}: sample {shown(sample)} is "
                "there twice; rename or remove one."
            )
        seen[sample] = column


@dataclass(frozen=True)
class Layout:
    """What the table of samples of a format looks like, where an entry does not say so.

    Attributes
    ----------
    labels : Labels
        The label's column and values.
    id : str or None
        Column of the names that the matrix uses; None is the first column.
    groups : mapping of str to str
        Columns of `donor`, `site` and `study`.
    donor : callable or None
        Reads the donor out of a sample's name, where no column is named.
    alias : callable
        What is done to names before those of matrix and table are compared.
    types : str or None
        Name in a first row that describes the columns and is no sample.
    latin_1 : bool
        Whether the table is Latin-1 where it is no UTF-8.
    """

    labels: Labels = field(default_factory=Labels)
    id: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    donor: Callable[[str], str] | None = None
    alias: Callable[[str], str] = str
    types: str | None = None
    latin_1: bool = False


def describe(
    entry: Mapping[str, Any], matrix: Path, samples: Path | None, name: str, layout: Layout
) -> Described:
    """Read the matrix' header and the table of samples; see `reading.describe`."""
    are_counts(entry), Genes.from_entry(entry)  # a mistake in these ends before the long reading
    if samples is None:
        raise InputError(f"datasets/{name}, samples: give the table of labels.")
    labels = Labels.from_entry(entry, layout.labels)
    groups = {**layout.groups, **phenotypes.groups_of(entry)}
    form = phenotypes.form_of(entry)
    if layout.latin_1 and form.encoding is None and not table_blocks.is_utf8(samples):
        form = form._replace(encoding="latin-1")
    key = str(entry.get("id") or layout.id or "")
    if not key:
        key = phenotypes.header(samples, form, [labels.column, *groups.values()]).names[0]
    table = phenotypes.read_table(samples, [key, labels.column, *groups.values()], form)
    table = table.without_first() if table.starts_with(key, layout.types) else table

    def row(place: int, position: int) -> Row:
        sample = table.columns[key][place]
        known = {group: table.columns[column][place] for group, column in groups.items()}
        donor = layout.donor(sample) if layout.donor else ""
        return Row(
            id=sample,
            label=table.columns[labels.column][place],
            donor=known.get("donor", donor),
            site=known.get("site", ""),
            study=known.get("study", ""),
            position=position,
            where=f"line {table.lines[place]}",
        )

    head = header(matrix, phenotypes.form_of(entry))
    known = set(map(layout.alias, table.columns[key]))
    if head.unnamed and layout.alias(head.samples[0]) not in known:
        # Else a cell too many would shift the values to other samples.
        raise ragged(matrix, 2, len(head.samples) + 1, len(head.samples))
    rows, excluded = phenotypes.join(head.samples, table, key, row, layout.alias)
    return phenotypes.assemble(rows, labels, samples, excluded)


def read(
    entry: Mapping[str, Any],
    path: Path,
    described: Described,
    train: NDArray[np.bool_],
    rows: NDArray[np.integer] | None,
) -> Raw:
    """Read values; parameters, result and errors as of `reading.read`.

    No more than a block of text and the genes that are kept is held, as float32.
    """
    chosen = selected(described, train, rows)
    table = _Table(entry, path, described, train, chosen)
    for block in table_blocks.lines(path, phenotypes.form_of(entry).encoding):
        table.add(block)
    return table.finish()


class _Table:
    def __init__(
        self,
        entry: Mapping[str, Any],
        path: Path,
        described: Described,
        train: NDArray[np.bool_],
        rows: NDArray[np.integer],
    ) -> None:
        self.path = path
        self.options = Genes.from_entry(entry)
        self.counts = are_counts(entry)
        self.form = phenotypes.form_of(entry)
        self.header = header(path, self.form)
        self.columns = described.positions[rows]
        self.ids = described.ids[rows]
        self.train = train
        self.lines: dict[str, int] = {}  # gene → its first line
        self.sums: dict[str, NDArray[np.float64]] = {}  # of genes that are averaged
        self.times: Counter[str] = Counter()
        self.genes: list[list[str]] = []
        self.blocks: list[NDArray[np.float32]] = []
        self.n_file = 0
        self.repeated = self._repeated() if self.options.duplicates == "mean" else frozenset()

    def add(self, block: table_blocks.Lines) -> None:
        """Keep the expressed genes of some lines."""
        names, numbers, bodies = [], [], []
        for number, line in enumerate(block.lines, block.first):
            if number == 1 or not line.strip():
                continue
            name, body = self._parts(number, line)
            self.n_file += 1
            if name in self.lines and self.options.duplicates == "error":
                raise repeated_gene(f"{self.path}, lines {self.lines[name]} and {number}", name)
            if name in self.lines and self.options.duplicates == "first":
                continue
            self.lines.setdefault(name, number)
            names.append(name)
            numbers.append(number)
            bodies.append(body)
        if not names:
            return
        values = self._values(numbers, bodies)
        check_values(
            values, self.counts, lambda row, column: self._cell(numbers[row], names[row], column)
        )
        self._keep(names, values)

    def finish(self) -> Raw:
        """Give what was kept, in the order of the file."""
        kept = [self._averaged(block) for block in range(len(self.genes))]
        n_genes = sum(int(rows.sum()) for rows in kept)
        check_left(n_genes, self.options)
        values = np.empty((len(self.columns), n_genes), dtype=np.float32)
        genes: list[str] = []
        # Block by block, so that the table is never there twice.
        for names, rows in zip(self.genes, kept, strict=True):
            block = self.blocks.pop(0)[rows]
            values[:, len(genes) : len(genes) + len(block)] = block.T
            genes += itertools.compress(names, rows)
        return Raw(values, tuple(genes), notes(self.n_file, len(self.lines), n_genes))

    def _keep(self, names: Sequence[str], values: NDArray[np.float32]) -> None:
        keep = self._expressed(values)
        for row, name in enumerate(names):
            if name in self.repeated:
                # The first one keeps a place for the mean, whose expression is judged later.
                keep[row] = name not in self.sums
                self.sums[name] = self.sums.get(name, 0.0) + values[row].astype(np.float64)
                self.times[name] += 1
        self.genes.append(list(itertools.compress(names, keep)))
        self.blocks.append(values[keep])

    def _averaged(self, block: int) -> NDArray[np.bool_]:
        """Fill the means into a block, and tell which of its genes stay."""
        stay = np.ones(len(self.genes[block]), dtype=np.bool_)
        for row, name in enumerate(self.genes[block]):
            if name in self.sums:
                mean = (self.sums[name] / self.times[name]).astype(np.float32)
                self.blocks[block][row] = mean
                stay[row] = self._expressed(mean[None])[0]
        return stay

    def _repeated(self) -> frozenset[str]:
        lines = numbered(self.path, self.form.encoding)
        times = Counter(self._parts(number, line)[0] for number, line in lines)
        return frozenset(name for name, n in times.items() if n > 1)

    def _expressed(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        if not self.options.min_samples:
            return np.ones(len(values), dtype=np.bool_)
        above = values[:, self.train] > self.options.min_value
        enough: NDArray[np.bool_] = above.sum(axis=1) >= self.options.min_samples
        return enough

    def _parts(self, number: int, line: bytes) -> tuple[str, bytes]:
        """Give a line's gene, and its values one per line."""
        sep, n = self.header.separator, len(self.header.samples)
        if b'"' in line:
            row = table_blocks.cells(line, sep)
            name, body, found = row[0], b"\n".join(row[1:]), len(row) - 1
        else:
            name, _, rest = line.partition(sep)
            body, found = rest.replace(sep, b"\n"), line.count(sep)
        if found != n:
            raise ragged(self.path, number, found + 1, n + 1)
        gene = table_blocks.decoded(name, self.path, number).strip()
        if not gene:
            raise InputError(f"{self.path}, line {number}: the gene has no name; name it.")
        return gene, body

    def _values(self, numbers: Sequence[int], bodies: Sequence[bytes]) -> NDArray[np.float32]:
        """Parse the wanted samples' values of some lines; shape (lines, samples)."""
        shape = (len(bodies), len(self.header.samples))
        values = table_blocks.numbers(bodies)
        if values is not None and values.size == shape[0] * shape[1]:
            return values.reshape(shape)[:, self.columns]
        # A cell is no number, perhaps of a sample that nobody wants.
        rows = [body.split(b"\n") for body in bodies]
        parsed = np.empty((len(rows), len(self.columns)), dtype=np.float32)
        for row, number in enumerate(numbers):
            for place, column in enumerate(self.columns):
                value = table_blocks.number(rows[row][column])
                if value is None:
                    where = f"{self.path}, line {number}, sample {shown(self.ids[place])}"
                    raise table_blocks.not_a_number(where, rows[row][column])
                parsed[row, place] = value
        return parsed

    def _cell(self, number: int, gene: str, place: int) -> str:
        return f"{self.path}, line {number}, gene {shown(gene)}, sample {shown(self.ids[place])}"
