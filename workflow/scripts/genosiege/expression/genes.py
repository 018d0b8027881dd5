"""Choose genes: the most variable ones of the samples that may be looked at."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.expression import scaling
from genosiege.expression.scaling import Values

if TYPE_CHECKING:
    from genosiege.expression.scaling import Matrix

log = logging.getLogger(__name__)

FLAVORS = ("seurat", "variance")
# Options of `genes` that the readers take.
_OF_READING = ("min_samples", "min_value", "duplicates")

# How far a file's rounding may push a logarithm of zero expression down.
_ROUNDING = 0.01
_BLOCK = 256


@dataclass(frozen=True)
class Choice:
    """How genes are chosen, named as in the configuration.

    Attributes
    ----------
    n_top : int or None
        Number of highly variable genes; None keeps all that vary.
    flavor : {"seurat", "variance"}
        `seurat`: dispersion (variance over mean) normalised within genes of like mean.
        `variance`: plain variance of the normalised values, which need be no logarithms.

    Raises
    ------
    InputError
        If a value is impossible.
    """

    n_top: int | None = None
    flavor: str = "seurat"

    def __post_init__(self) -> None:
        if self.n_top is not None and (type(self.n_top) is not int or self.n_top < 1):
            raise InputError(f"genes, n_top {self.n_top!r}: give a positive integer, or null.")
        if self.flavor not in FLAVORS:
            raise InputError(f"genes, flavor {self.flavor!r}: choose from {', '.join(FLAVORS)}.")

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any] | None) -> "Choice":
        """Take the options of an entry's `genes`; those of reading are left to the readers."""
        options = options or {}
        known = {field.name for field in fields(cls)}
        unknown = set(options) - known - set(_OF_READING)
        if unknown:
            raise InputError(f"genes, {min(unknown)}: there is no such option; remove it.")
        return cls(**{name: options[name] for name in known & set(options)})


def highly_variable(
    values: "Matrix", options: Choice, kind: Values, fitted_on: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Choose the most variable genes.

    Parameters
    ----------
    values : ndarray of float32 or csr_matrix of float32, shape (n, p)
        Normalised values of all samples.
    options : Choice
        How many, and what variable means.
    kind : Values
        What the values were in their file.
    fitted_on : ndarray of bool, shape (n,)
        The samples that are looked at, at least two.

    Returns
    -------
    ndarray of int64
        Columns, ascending. All of them if `n_top` is None or not below p. Fewer than `n_top`
        if fewer vary. Ties go to the first gene.

    Raises
    ------
    InputError
        If `seurat` meets values that are no logarithms of expression.

    Notes
    -----
    `seurat` is Scanpy's `highly_variable_genes(flavor="seurat", n_top_genes=n_top)` (Satija et al.
    2015, Nat. Biotechnol. 33, 495-502), which looks at ln(1 + x); values on another scale are
    brought to it for the choice only.
    """
    p = values.shape[1]
    if options.n_top is None or options.n_top >= p:
        return np.arange(p)
    if options.flavor == "variance":
        scores = _variance(scaling.dense(values[fitted_on]))
    else:
        _check_logarithms(values[fitted_on], kind)
        scores = _normalised_dispersion(scaling.as_log1p(values[fitted_on], kind))
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, kind="stable")[: options.n_top]
    chosen: NDArray[np.int64] = np.sort(order[scores[order] > -np.inf])
    log.info("%d of %d genes chosen by %s", len(chosen), p, options.flavor)
    return chosen


def varying(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say which genes differ between samples; `values` has the shape (n, p)."""
    differs: NDArray[np.bool_] = values.max(axis=0) > values.min(axis=0)
    return differs


def _check_logarithms(values: "Matrix", kind: Values) -> None:
    lowest = values.min()
    if lowest < kind.zero - _ROUNDING:
        raise InputError(
            f"genes, flavor seurat: a value is {lowest:g}, but the logarithm of no expression is "
            f"{kind.zero:g}; correct `log`, take flavor: variance, or n_top: null for all genes."
        )


def _variance(values: NDArray[np.float32]) -> NDArray[np.float64]:
    variance = np.empty(values.shape[1])
    # In blocks, so that no whole table is in float64.
    for start in range(0, len(variance), _BLOCK):
        columns = slice(start, start + _BLOCK)
        variance[columns] = values[:, columns].astype(np.float64).var(axis=0)
    return np.where(varying(values), variance, np.nan)


def _normalised_dispersion(values: "Matrix") -> NDArray[np.float64]:
    # Scanpy takes seconds to import, which a dataset that keeps its genes need not wait for.
    import anndata
    import scanpy

    # Genes without dispersion give a logarithm of 0, which Scanpy turns into NaN.
    with np.errstate(divide="ignore", invalid="ignore"):
        table = scanpy.pp.highly_variable_genes(
            anndata.AnnData(values), n_top_genes=1, flavor="seurat", inplace=False
        )
    return np.asarray(table["dispersions_norm"], dtype=np.float64)
