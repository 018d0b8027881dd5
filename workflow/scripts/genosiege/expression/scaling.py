"""Normalise expression values, and scale each gene to [-1, 1] as the training split has it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse

    Matrix: TypeAlias = "NDArray[np.float32] | scipy.sparse.csr_matrix"

KINDS = ("counts", "log")

LIMIT = 1.5
"""Scaled values outside ±LIMIT are clipped."""

# Rows that are worked on in float64 at a time, so that no whole table ever is.
_BLOCK = 256


@dataclass(frozen=True)
class Values:
    """What the values of a file are, named as in the configuration.

    Attributes
    ----------
    values : {"counts", "log"}
        `counts` are normalised (see `normalise`); `log` are taken as they are.
    target_sum : float
        Counts per sample after normalisation: 10,000 (usual for single cells), or 1,000,000 for
        log-CPM.
    base : float or None
        Of `log` values: they are log_base(x + pseudocount); None means e.
    pseudocount : float
        See `base`. Both are only used to choose genes and to count zeros.

    Raises
    ------
    InputError
        If a value is impossible.
    """

    values: str = "log"
    target_sum: float = 1e4
    base: float | None = None
    pseudocount: float = 1.0

    def __post_init__(self) -> None:
        if self.values not in KINDS:
            raise InputError(f"values {self.values!r}: choose from {', '.join(KINDS)}.")
        for name, value in (
            ("target_sum", self.target_sum),
            ("log, pseudocount", self.pseudocount),
        ):
            if not _positive(value):
                raise InputError(f"{name} {value!r}: give a number > 0.")
        if self.base is not None and not (_positive(self.base) and self.base > 1):
            raise InputError(f"log, base {self.base!r}: give a number > 1, or null for e.")

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> "Values":
        """Take what a dataset's entry says about its values; it may say more."""
        given = {name: entry[name] for name in ("values", "target_sum") if name in entry}
        logarithm = entry.get("log") or {}
        unknown = set(logarithm) - {"base", "pseudocount"}
        if unknown:
            raise InputError(f"log, {min(unknown)}: there is no such option; remove it.")
        return cls(**given, **logarithm)

    @property
    def log_base(self) -> float:
        """The base of `log` values as a number."""
        return math.e if self.base is None else float(self.base)

    @property
    def zero(self) -> float:
        """The value in the file that stands for no expression."""
        return (
            0.0 if self.values == "counts" else math.log(self.pseudocount) / math.log(self.log_base)
        )


@dataclass(frozen=True, eq=False)
class Scaling:
    """Range of each gene, fitted once and applied to any samples.

    Attributes
    ----------
    low, high : ndarray of float64, shape (p,)
        Smallest and largest normalised value of each gene.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def transform(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map low to -1, high to 1 and all between linearly; clip at ±`LIMIT`.

        Parameters
        ----------
        values : ndarray of float32, shape (n, p)
            Normalised values.

        Returns
        -------
        ndarray of float32, shape (n, p)
            A gene whose low equals its high becomes -1, as in scikit-learn's MinMaxScaler.
        """
        span = np.where(self.high > self.low, self.high - self.low, 1.0)
        scaled = np.empty(values.shape, dtype=np.float32)
        for rows in _blocks(len(values)):
            block = (values[rows].astype(np.float64) - self.low) / span * 2 - 1
            scaled[rows] = np.clip(block, -LIMIT, LIMIT)
        return scaled


def fit(values: NDArray[np.float32]) -> Scaling:
    """Find the range of each gene; `values` are normalised, of shape (n, p) with n ≥ 1."""
    return Scaling(values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64))


def normalise(values: "Matrix", options: Values) -> "Matrix":
    """Bring counts to one sum per sample and take ln(1 + x); give log values as they are.

    Parameters
    ----------
    values : ndarray of float32 or csr_matrix of float32, shape (n, p)
        As the file has them.
    options : Values
        What they are.

    Returns
    -------
    ndarray of float32 or csr_matrix of float32, shape (n, p)
        A new matrix for counts. A sample without any count stays at zero.

    Notes
    -----
    The same as Scanpy's `normalize_total(target_sum=...)` and `log1p` (a test compares), whose
    import takes longer than all the rest of preparing a small dataset.
    """
    if options.values == "log":
        return values
    totals = np.asarray(values.sum(axis=1, dtype=np.float64)).reshape(-1)
    factors = options.target_sum / np.where(totals > 0, totals, options.target_sum)
    if not isinstance(values, np.ndarray):
        sparse = values.astype(np.float32, copy=True)
        per_value = np.repeat(factors, np.diff(sparse.indptr))
        sparse.data = np.log1p(sparse.data * per_value).astype(np.float32)
        return sparse
    normalised = np.empty(values.shape, dtype=np.float32)
    for rows in _blocks(len(values)):
        normalised[rows] = np.log1p(values[rows] * factors[rows, None])
    return normalised


def as_log1p(values: "Matrix", options: Values) -> "Matrix":
    """Turn normalised values into ln(1 + x), which Scanpy's choice of genes asks for.

    Parameters
    ----------
    values : ndarray of float32 or csr_matrix of float32, shape (n, p)
        As `normalise` gives them: log_base(x + pseudocount).
    options : Values
        With the base and the pseudocount. Where x comes out below 0 (a rounded logarithm
        of the pseudocount), it is 0.

    Raises
    ------
    InputError
        If x overflows: such values are no logarithms.
    """
    if options.values == "counts":
        return values
    if options.base is None and options.pseudocount == 1:
        if values.max() > math.log(np.finfo(np.float32).max):
            raise _no_logarithm(float(values.max()), options)
        return values
    dense = values if isinstance(values, np.ndarray) else values.toarray()
    converted = np.empty(dense.shape, dtype=np.float32)
    for rows in _blocks(len(dense)):
        with np.errstate(over="ignore"):
            linear = np.power(options.log_base, dense[rows].astype(np.float64))
        converted[rows] = np.log1p(np.maximum(linear - options.pseudocount, 0))
    if not np.isfinite(converted).all():
        raise _no_logarithm(float(dense.max()), options)
    return converted


def _no_logarithm(value: float, options: Values) -> InputError:
    return InputError(
        f"values log: {value:g} is no logarithm of base {options.log_base:g}; take values: counts, "
        "or correct `log`."
    )


def dense(values: "Matrix") -> NDArray[np.float32]:
    """Give a matrix as a C-contiguous array of float32."""
    array = values if isinstance(values, np.ndarray) else values.toarray()
    return np.ascontiguousarray(array, dtype=np.float32)


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))
