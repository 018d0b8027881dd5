"""Scaled expression of labelled samples, and the file it is kept in."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genosiege import files
from genosiege.data.tables import shown
from genosiege.errors import InputError

if TYPE_CHECKING:
    import pyarrow

COLUMNS = ("id", "label", "group")
"""What stands before the genes in a file of samples."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of one split.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Names of the samples, unique in a dataset.
    values : ndarray of float32, shape (n, p)
        Expression, scaled on the training split to [-1, 1].
    labels : ndarray of int64, shape (n,)
        0 (normal, healthy) or 1 (tumour, infected).
    genes : tuple of str, length p
        Names of the genes, unique.

    Raises
    ------
    InputError
        If the shapes do not fit, a value is not finite or a label is neither 0 nor 1.
    """

    ids: NDArray[np.str_]
    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    genes: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.genes))
        if self.values.shape != shape or self.labels.shape != shape[:1]:
            raise InputError(
                f"{shape[0]} samples of {shape[1]} genes: values of shape {self.values.shape} and "
                f"{len(self.labels)} labels do not fit; give one row and one label per sample."
            )
        if not np.isfinite(self.values).all():
            raise InputError("expression: a value is missing or infinite; prepare the data again.")
        if not np.isin(self.labels, (0, 1)).all():
            raise InputError("expression: a label is neither 0 nor 1; prepare the data again.")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Samples":
        """Give these rows, by number or by mask."""
        return Samples(self.ids[rows], self.values[rows], self.labels[rows], self.genes)


def read(path: str | os.PathLike[str]) -> Samples:
    """Read a file that `write` made.

    Raises
    ------
    InputError
        If the file is missing, is no parquet or lacks a column.
    """
    table = files.read_table(path)
    if tuple(table.column_names[: len(COLUMNS)]) != COLUMNS:
        raise InputError(f"{path}: the first columns are not {', '.join(COLUMNS)}; make it anew.")
    genes = tuple(table.column_names[len(COLUMNS) :])
    return Samples(
        ids=np.array(table["id"].to_pylist(), dtype=np.str_),
        values=_matrix(table, genes),
        labels=table["label"].to_numpy().astype(np.int64),
        genes=genes,
    )


def _matrix(table: "pyarrow.Table", genes: Sequence[str]) -> NDArray[np.float32]:
    values = np.empty((table.num_rows, len(genes)), dtype=np.float32)
    for column, gene in enumerate(genes):
        values[:, column] = table[gene].to_numpy()
    return values


def read_groups(path: str | os.PathLike[str]) -> list[str]:
    """Read the donor or site of each sample from a file that `write` made; "" for none."""
    groups: list[str] = files.read_table(path)["group"].to_pylist()
    return groups


def write(samples: Samples, groups: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Write samples; `groups` names the donor or site that each one belongs to ("" for none)."""
    import pyarrow
    import pyarrow.parquet

    clashes = sorted(set(COLUMNS) & set(samples.genes))
    if clashes:
        raise InputError(
            f"gene {shown(clashes[0])}: this name is taken; rename the column of the data."
        )
    columns = {
        "id": pyarrow.array(samples.ids.tolist(), pyarrow.string()),
        "label": pyarrow.array(samples.labels),
        "group": pyarrow.array([str(group) for group in groups], pyarrow.string()),
    }
    columns |= {
        gene: pyarrow.array(np.ascontiguousarray(samples.values[:, column]))
        for column, gene in enumerate(samples.genes)
    }
    with files.whole(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.table(columns), temporary)
