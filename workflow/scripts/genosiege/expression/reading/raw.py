"""What readers of expression data give, and the choices they share."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse

DUPLICATES = ("error", "first", "mean")
VALUES = ("counts", "log")


@dataclass(frozen=True, eq=False)
class Described:
    """Samples of a dataset, without their expression.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Unique, in the order of the matrix.
    labels : ndarray of int64, shape (n,)
        0 (normal, healthy) or 1 (tumour, infected).
    donors, sites, studies : ndarray of str, shape (n,)
        Groups of samples; "" where none is known.
    positions : ndarray of int64, shape (n,)
        Where the matrix has the sample, counted from 0: a row, or a column of values.
    excluded : mapping of str to int
        How many samples were left out, by reason.
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    donors: NDArray[np.str_]
    sites: NDArray[np.str_]
    studies: NDArray[np.str_]
    positions: NDArray[np.int64]
    excluded: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Raw:
    """Expression as a file has it: neither normalised nor scaled.

    Attributes
    ----------
    values : ndarray of float32 or scipy.sparse.csr_matrix of float32, shape (n, p)
        Sparse only for an h5ad whose matrix is.
    genes : tuple of str, length p
        Unique, in the order of the file.
    notes : mapping of str to int
        `genes_in_file`, `genes_not_expressed`, `genes_merged` (rows or columns of one name
        that were left out or averaged).
    """

    values: Union[NDArray[np.float32], "scipy.sparse.csr_matrix"]
    genes: tuple[str, ...]
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Genes:
    """Which genes are kept while reading; part of an entry's `genes`.

    Attributes
    ----------
    min_samples : int
        Training samples in which a gene has to be expressed; 0 keeps every gene.
    min_value : float
        A gene is expressed above this value (in the file's units).
    duplicates : str
        What to do with genes of one name: `error`, `first` keeps the first one, `mean`
        averages them.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    min_samples: int = 0
    min_value: float = 0.0
    duplicates: str = "error"

    def __post_init__(self) -> None:
        if type(self.min_samples) is not int or self.min_samples < 0:
            raise InputError(f"genes, min_samples {self.min_samples!r}: give an integer ≥ 0.")
        if isinstance(self.min_value, bool) or not isinstance(self.min_value, int | float):
            raise InputError(f"genes, min_value {self.min_value!r}: give a number.")
        if self.duplicates not in DUPLICATES:
            raise InputError(
                f"genes, duplicates {self.duplicates!r}: choose one of {', '.join(DUPLICATES)}."
            )

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> "Genes":
        """Take the options of reading; the others of `genes` belong to the choice of genes."""
        options = entry.get("genes") or {}
        names = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in options.items() if key in names})
