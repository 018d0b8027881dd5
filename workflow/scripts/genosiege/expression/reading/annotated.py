"""AnnData files (h5ad): read piece by piece, dense or sparse, and never unpickled.

An entry names columns of `obs` in `label.column`, `donor`, `site`, `study` and `id` (the index
by default), and the matrix: `X`, or `layer: NAME`, or `use_raw: true`.

Source of the layout: https://anndata.readthedocs.io/en/stable/fileformat-prose.html.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genosiege.data import tables
from genosiege.data.tables import shown
from genosiege.errors import InputError
from genosiege.expression.reading import phenotypes, raw
from genosiege.expression.reading.phenotypes import Labels, Row
from genosiege.expression.reading.raw import Described, Genes, Matrix, Names, Raw

if TYPE_CHECKING:
    import h5py
    import pandas

Path = str | os.PathLike[str]
Entry = Mapping[str, Any]

BLOCK = 1 << 24
"""Values that are read at once."""

SPARSE = {"csr_matrix": "csr", "csc_matrix": "csc"}


def describe(entry: Entry, matrix: Path, samples: Path | None, name: str) -> Described:
    """Read labels and groups from `obs`; see `reading.describe`."""
    raw.are_counts(entry), Genes.from_entry(entry)  # a mistake in these ends it at once
    labels, groups = Labels.from_entry(entry), phenotypes.groups_of(entry)
    with _opened(matrix) as file:
        n = _Stored(entry, matrix, file).shape[0]
        obs = _frame(matrix, file["obs"], "obs")
    named = {"label": labels.column, **groups}
    named |= {"id": str(entry["id"])} if entry.get("id") is not None else {}
    phenotypes.need_columns(f"{matrix}, obs", list(obs.columns), named.values())
    if len(obs) != n:
        raise InputError(f"{matrix}: {len(obs)} rows of obs for {n} of values; write it anew.")
    columns = {what: _texts(obs[column]) for what, column in named.items()}
    columns.setdefault("id", _texts(obs.index))
    rows = [
        Row(
            id=columns["id"][place],
            label=columns["label"][place],
            donor=columns["donor"][place] if "donor" in columns else "",
            site=columns["site"][place] if "site" in columns else "",
            study=columns["study"][place] if "study" in columns else "",
            position=place,
            where=f"obs {place + 1}",
        )
        for place in range(n)
    ]
    return phenotypes.assemble(rows, labels, matrix)


def read(
    entry: Entry,
    matrix: Path,
    described: Described,
    train: NDArray[np.bool_],
    rows: NDArray[np.integer] | None,
) -> Raw:
    """Read values; see `reading.read`. They stay sparse where the file's are."""
    options, counts = Genes.from_entry(entry), raw.are_counts(entry)
    places = described.positions[raw.selected(described, train, rows)]
    ids = dict(zip(described.positions.tolist(), described.ids.tolist(), strict=True))
    wanted = np.unique(places)
    with _opened(matrix) as file:
        stored = _Stored(entry, matrix, file)
        genes = stored.genes()
        names = options.names(genes, f"{matrix}, {stored.genes_where}")

        def check(values: Matrix, found: NDArray[np.int64], first_gene: int = 0) -> None:
            def cell(row: int, gene: int) -> str:
                name, sample = genes[first_gene + gene], ids[int(found[row])]
                return f"{matrix}, gene {shown(name)}, sample {shown(sample)}"

            raw.check_values(values, counts, cell, stored.cure)

        def by_sample() -> Iterator[tuple[NDArray[np.int64], Matrix]]:
            for start, end in stored.ranges():
                found = wanted[(wanted >= start) & (wanted < end)]
                if len(found):
                    values = stored.part(start, end)[found - start]
                    check(values, found)
                    yield found, values

        if stored.kind != "csc":
            return stored.warned(raw.collect(by_sample, names, options, places, train))
        # Such a file gives genes: those that are not kept can go at once.
        weights = np.bincount(np.searchsorted(wanted, places[train]), minlength=len(wanted))
        once = np.zeros(len(genes), dtype=np.bool_)
        once[np.unique(names.groups, return_index=True)[1]] = True
        parts, kept = [], []
        for start, end in stored.ranges():
            values = stored.part(start, end)[wanted].tocsr()
            check(values, wanted, start)
            keep = np.ones(end - start, dtype=np.bool_)
            if not names.average:
                enough = raw.expressed(values, weights, options.min_value) >= options.min_samples
                keep = once[start:end] & enough
            parts.append(values[:, keep])
            kept += [genes[start + place] for place in np.flatnonzero(keep)]
        return stored.warned(_joined(parts, kept, wanted, names, options, places, train))


def _joined(
    parts: list[Matrix],
    kept: list[str],
    wanted: NDArray[np.int64],
    names: Names,
    options: Genes,
    places: NDArray[np.int64],
    train: NDArray[np.bool_],
) -> Raw:
    import scipy.sparse

    raw.check_left(len(kept), options)
    whole = scipy.sparse.hstack(parts, format="csr")
    left = options.names(kept, "genes")
    result = raw.collect(lambda: iter([(wanted, whole)]), left, options, places, train)
    counted = raw.notes(len(names.groups), len(names.genes), len(result.genes))
    return replace(result, notes=counted)


class _Stored:
    """The matrix of an AnnData file that an entry names, still on disk.

    Attributes
    ----------
    kind : str
        dense, csr or csc.
    shape : tuple of int
        Samples, genes.
    """

    def __init__(self, entry: Entry, path: Path, file: "h5py.File") -> None:
        import h5py

        layer, use_raw = entry.get("layer"), bool(entry.get("use_raw"))
        if layer is not None and use_raw:
            raise InputError(f"{path}: layer and use_raw exclude each other; give one.")
        self.where = f"layers/{layer}" if layer is not None else "raw/X" if use_raw else "X"
        self.genes_where = "raw/var" if use_raw else "var"
        self.path, self.file = path, file
        self.raw_left = not use_raw and "raw/X" in file
        for part in (self.where, self.genes_where):
            if part not in file:
                raise InputError(
                    f"{path}: there is no {shown(part)} in it; correct layer or use_raw."
                )
        node = file[self.where]
        self.kind, self.node = "dense", node
        self.values = node
        if isinstance(node, h5py.Group):
            encoding = str(node.attrs.get("encoding-type", ""))
            if encoding not in SPARSE or not {"data", "indices", "indptr"} <= set(node):
                raise InputError(
                    f"{path}, {self.where}: encoding {shown(encoding)} is unknown; write the file "
                    "anew with a current anndata."
                )
            self.kind, self.values = SPARSE[encoding], node["data"]
            self.starts = node["indptr"][:]
        self.shape = tuple(int(n) for n in (node.attrs["shape"] if self.sparse else node.shape))
        if self.values.dtype.kind not in "fiub" or len(self.shape) != 2:
            raise InputError(
                f"{path}, {self.where}: values of type {self.values.dtype} in {len(self.shape)} "
                "dimensions are no matrix of numbers; choose another layer."
            )

    @property
    def sparse(self) -> bool:
        """Whether zeros are left out."""
        return self.kind != "dense"

    @property
    def cure(self) -> str:
        """What to do about negative values that should be counts."""
        return (
            "set use_raw: true, as the file has a raw part" if self.raw_left else "set values: log"
        )

    def warned(self, found: Raw) -> Raw:
        """Add a warning where values were scaled, and the file still has the others."""
        if not self.raw_left or found.values.min() >= 0:
            return found
        warning = (
            f"values of {self.where} are negative, and the file has a raw part; if that holds "
            "the expression, set use_raw: true"
        )
        return replace(found, warnings=(*found.warnings, warning))

    def genes(self) -> list[str]:
        """Give the names in the index of `var`."""
        names = _texts(_frame(self.path, self.file[self.genes_where], self.genes_where).index)
        if len(names) != self.shape[1]:
            raise InputError(
                f"{self.path}: {len(names)} rows of {self.genes_where} for {self.shape[1]} genes; "
                "write it anew."
            )
        return names

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Give ranges of samples (of genes for csc) that are read at once."""
        start, n = 0, self.shape[1 if self.kind == "csc" else 0]
        while start < n:
            end = start + max(1, BLOCK // max(1, self.shape[1]))
            if self.sparse:
                limit = self.starts[start] + BLOCK
                end = max(start + 1, int(np.searchsorted(self.starts, limit, "right")) - 1)
            yield start, min(end, n)
            start = end

    def part(self, start: int, end: int) -> Matrix:
        """Give the values of one range as float32: an array, CSR or CSC."""
        import scipy.sparse

        if not self.sparse:
            return self.node[start:end].astype(np.float32)
        first, last = int(self.starts[start]), int(self.starts[end])
        data = self.values[first:last].astype(np.float32)
        indices, starts = self.node["indices"][first:last], self.starts[start : end + 1] - first
        make = scipy.sparse.csr_matrix if self.kind == "csr" else scipy.sparse.csc_matrix
        across = self.shape[0] if self.kind == "csc" else self.shape[1]
        shape = (end - start, across) if self.kind == "csr" else (across, end - start)
        try:
            part = make((data, indices, starts), shape=shape)
            part.check_format(full_check=True)
        except ValueError as error:
            raise InputError(
                f"{self.path}, {self.where}: damaged ({error}); fetch anew."
            ) from error
        part.sum_duplicates()
        return part


@contextmanager
def _opened(path: Path) -> "Iterator[h5py.File]":
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if not {"obs", "var"} <= set(file):
                raise InputError(f"{path}: this HDF5 file is no AnnData; it lacks obs or var.")
            yield file
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: there is no such file; supply it or correct the path."
        ) from error
    except OSError as error:
        with open(path, "rb") as handle:
            start = handle.read(8)
        if not start.startswith(b"\x89HDF"):
            tables.refuse_binary(start, os.fspath(path))
        raise InputError(
            f"{path}: this is no whole h5ad file ({_line(error)}); fetch or write it anew."
        ) from error


def _frame(path: Path, node: Any, where: str) -> "pandas.DataFrame":
    import anndata.io
    import pandas

    try:
        frame = anndata.io.read_elem(node)
    # What a foreign file can raise in there is not ours to list.
    except Exception as error:
        raise InputError(
            f"{path}, {where}: it cannot be read ({_line(error)}); write the file anew with a "
            "current anndata."
        ) from error
    if not isinstance(frame, pandas.DataFrame):
        raise InputError(f"{path}, {where}: this is no table; write the file anew.")
    return frame


def _texts(column: Any) -> list[str]:
    """Give a column as text, "" where a value is missing."""
    import pandas

    values = pandas.Series(np.asarray(column, dtype=object))
    return [
        "" if missing else value.decode() if isinstance(value, bytes) else str(value)
        for value, missing in zip(values, values.isna(), strict=True)
    ]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
