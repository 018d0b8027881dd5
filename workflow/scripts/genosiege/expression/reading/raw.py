"""What readers of expression data give, and the choices they share."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from genosiege.data.tables import shown
from genosiege.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse

Matrix = Any
"""A float32 array of shape (n, p), or a scipy CSR matrix of it (which has no types)."""

DUPLICATES = ("error", "first", "mean")
VALUES = ("counts", "log")
LARGEST_LOGARITHM = 30
"""No count of molecules has a larger logarithm, whatever the base."""


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
    warnings : tuple of str
        What may be wrong with the values, in sentences without an end.
    """

    values: Union[NDArray[np.float32], "scipy.sparse.csr_matrix"]
    genes: tuple[str, ...]
    notes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


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

    def names(self, names: Sequence[str], where: str) -> "Names":
        """Decide what becomes of genes of one name; `where` starts an error."""
        first: dict[str, int] = {}
        groups = np.empty(len(names), dtype=np.int64)
        for place, name in enumerate(names):
            if not name:
                raise InputError(f"{where}: gene {place + 1} has no name; name it or leave it out.")
            if name in first and self.duplicates == "error":
                raise repeated_gene(where, name)
            groups[place] = first.setdefault(name, len(first))
        return Names(tuple(first), groups, self.duplicates == "mean")


def repeated_gene(where: str, name: str) -> InputError:
    """Tell of a gene that is there twice."""
    return InputError(
        f"{where}: gene {shown(name)} is there twice; rename one, or set genes.duplicates to "
        "first or mean."
    )


@dataclass(frozen=True, eq=False)
class Names:
    """Genes after those of one name became one.

    Attributes
    ----------
    genes : tuple of str, length p
        Unique, in the order of their first appearance.
    groups : ndarray of int64
        For each gene of the file its place in `genes`.
    average : bool
        Whether genes of one name are averaged; else the first one stands for all.
    """

    genes: tuple[str, ...]
    groups: NDArray[np.int64]
    average: bool

    def merge(self, values: Matrix) -> Matrix:
        """Give values of shape (n, p) for values of the file's genes."""
        import scipy.sparse

        n_file, n_genes = len(self.groups), len(self.genes)
        if n_file == n_genes:
            return values
        if not self.average:
            return values[:, np.unique(self.groups, return_index=True)[1]]
        shares = 1 / np.bincount(self.groups)[self.groups]
        mean = scipy.sparse.csr_matrix(
            (shares, (np.arange(n_file), self.groups)), shape=(n_file, n_genes)
        )
        merged = (mean.T @ values.T).T
        return merged.tocsr() if scipy.sparse.issparse(merged) else merged


def expressed(values: Matrix, weights: NDArray[np.int64], min_value: float) -> NDArray[np.int64]:
    """Count for each gene the samples in which it is expressed.

    Parameters
    ----------
    values : matrix, shape (n, p)
        Dense or CSR.
    weights : ndarray of int64, shape (n,)
        How often each sample counts.
    min_value : float
        A gene is expressed above it.

    Returns
    -------
    ndarray of int64, shape (p,)
    """
    import scipy.sparse

    if not scipy.sparse.issparse(values):
        counts: NDArray[np.int64] = weights @ (values > min_value)
        return counts
    stored = values.tocoo()
    # Zeros that are not stored are expressed where the limit is negative.
    chosen = stored.data > min_value if min_value >= 0 else stored.data <= min_value
    found = np.bincount(stored.col[chosen], weights[stored.row[chosen]], values.shape[1])
    counts = found.astype(np.int64)
    return counts if min_value >= 0 else weights.sum() - counts


def collect(
    blocks: Callable[[], Iterator[tuple[NDArray[np.int64], Matrix]]],
    names: Names,
    options: Genes,
    rows: NDArray[np.integer],
    train: NDArray[np.bool_],
) -> Raw:
    """Put together what a file with samples in rows gives block by block.

    Parameters
    ----------
    blocks : callable
        Gives pairs of places in the file, ascending, and their values, for the samples that
        are wanted; called twice where genes are chosen, so that no others are kept.
    names : Names
        Of the file's genes.
    options : Genes
        Which genes are kept.
    rows : ndarray of int, shape (n,)
        Places in the file of the samples to be read, repeats allowed.
    train : ndarray of bool, shape (n,)
        Which of them decide whether a gene is expressed.

    Raises
    ------
    InputError
        If no gene is left.
    """
    wanted, places = np.unique(rows, return_inverse=True)
    keep = np.ones(len(names.genes), dtype=np.bool_)
    if options.min_samples:
        weights = np.bincount(places[train], minlength=len(wanted))
        counts = np.zeros(len(keep), dtype=np.int64)
        for found, values in blocks():
            here = weights[np.searchsorted(wanted, found)]
            counts += expressed(names.merge(values), here, options.min_value)
        keep = counts >= options.min_samples
    check_left(int(keep.sum()), options)
    merged = ((found, names.merge(values)[:, keep]) for found, values in blocks())
    table = _stacked(merged, wanted, int(keep.sum()))
    if not np.array_equal(places, np.arange(len(wanted))):
        table = table[places]
    genes = tuple(itertools.compress(names.genes, keep))
    return Raw(table, genes, notes(len(names.groups), len(names.genes), len(genes)))


def _stacked(
    blocks: Iterable[tuple[NDArray[np.int64], Matrix]], wanted: NDArray[np.integer], n_genes: int
) -> Matrix:
    import scipy.sparse

    dense = np.empty((len(wanted), n_genes), dtype=np.float32)
    sparse = []
    for found, values in blocks:
        if scipy.sparse.issparse(values):
            sparse.append(values.astype(np.float32, copy=False))
        else:
            dense[np.searchsorted(wanted, found)] = values
    return scipy.sparse.vstack(sparse, format="csr") if sparse else dense


def notes(n_file: int, n_merged: int, n_kept: int) -> dict[str, int]:
    """Give a `Raw`'s notes for genes in the file, of different names, and kept."""
    return {
        "genes_in_file": n_file,
        "genes_merged": n_file - n_merged,
        "genes_not_expressed": n_merged - n_kept,
    }


def check_left(n_genes: int, options: Genes) -> None:
    """Refuse to go on without genes."""
    if not n_genes:
        raise InputError(
            f"genes, min_samples {options.min_samples}: no gene is above {options.min_value:g} in "
            "that many training samples; lower min_samples or min_value."
        )


def check_values(
    values: Matrix, counts: bool, cell: Callable[[int, int], str], cure: str = "set values: log"
) -> None:
    """Refuse values that are missing, infinite or, for counts, negative.

    Parameters
    ----------
    values : matrix
        Dense or CSR.
    counts : bool
        Whether values are counts.
    cell : callable
        Names a cell, by its row and its column, for the error.
    cure : str
        What to do about negative counts, if they are no mistake.
    """
    import scipy.sparse

    data = values.data if scipy.sparse.issparse(values) else values
    sound = np.isfinite(data)
    if counts:
        sound &= data >= 0
    if sound.all():
        return
    if scipy.sparse.issparse(values):
        stored = values.tocoo()
        first = int(np.argmin(sound))
        row, column, value = stored.row[first], stored.col[first], data[first]
    else:
        row, column = np.argwhere(~sound)[0]
        value = values[row, column]
    where = cell(int(row), int(column))
    if np.isnan(value):
        raise InputError(f"{where}: there is no value; fill it in, or leave out gene or sample.")
    if np.isinf(value):
        raise InputError(f"{where}: the value is infinite; correct it.")
    raise InputError(f"{where}: {value:g} is negative, counts are not; correct it, or {cure}.")


def count_fractions(values: Matrix) -> int:
    """Count the values that are no whole numbers, some rows at a time."""
    import scipy.sparse

    data = values.data[None] if scipy.sparse.issparse(values) else values
    step = max(1, (1 << 22) // max(1, data.shape[1]))
    parts = (data[start : start + step] for start in range(0, len(data), step))
    return int(sum(np.count_nonzero(part != np.floor(part)) for part in parts))


def look_like_counts(values: Matrix) -> bool:
    """Tell whether values are whole numbers, too large for logarithms of expression."""
    return bool(values.max() > LARGEST_LOGARITHM) and not count_fractions(values)


def are_counts(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry's values are counts; without `values` they are not."""
    kind = entry.get("values", "log")
    if kind not in VALUES:
        raise InputError(f"values {shown(kind)}: choose one of {', '.join(VALUES)}.")
    return bool(kind == "counts")


def selected(
    described: Described, train: NDArray[np.bool_], rows: NDArray[np.integer] | None
) -> NDArray[np.integer]:
    """Give the rows to be read: all where none are named.

    Raises
    ------
    ValueError
        If `train` does not say of each of them whether it decides on genes.
    """
    chosen = np.arange(len(described)) if rows is None else np.asarray(rows)
    if train.shape != chosen.shape or train.dtype != np.bool_:
        raise ValueError(
            f"train of shape {train.shape} for {len(chosen)} rows: give a mask of them"
        )
    return chosen
