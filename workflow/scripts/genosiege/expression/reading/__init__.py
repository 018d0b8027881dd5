"""Readers of expression data, one per format, behind two functions.

`describe` reads names, labels and groups only; so samples can be split, and `read` can then
choose the expressed genes on the training samples alone, block by block of the matrix.

An entry is a mapping with `format` (toil, geo_lung, csv or h5ad), optionally `values`
(counts or log) and `genes` (see `raw.Genes`), and what its format's module lists.
"""

import importlib
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from genosiege.data.tables import shown
from genosiege.errors import InputError
from genosiege.expression.reading.raw import (
    Described,
    Raw,
    are_counts,
    count_fractions,
    look_like_counts,
)

__all__ = ["MODULES", "Described", "Raw", "describe", "read"]

log = logging.getLogger(__name__)

Entry = Mapping[str, Any]
Path = str | os.PathLike[str]

MODULES = {"toil": "toil", "geo_lung": "geo_lung", "csv": "table", "h5ad": "annotated"}
"""Names of the modules of this package, by format."""


class _Format(Protocol):
    def describe(self, entry: Entry, matrix: Path, samples: Path | None, name: str) -> Described:
        """See `describe` below."""

    def read(
        self,
        entry: Entry,
        matrix: Path,
        described: Described,
        train: NDArray[np.bool_],
        rows: NDArray[np.integer] | None,
    ) -> Raw:
        """See `read` below."""


def describe(
    entry: Entry, matrix: Path, samples: Path | None = None, name: str = "dataset"
) -> Described:
    """Read what is known of the samples of a dataset, without their expression.

    Parameters
    ----------
    entry : mapping
        The dataset's entry in the catalogue.
    matrix : path-like
        File of expression values.
    samples : path-like or None
        File of labels and groups, for the formats that have one.
    name : str
        The dataset, for errors of its entry.

    Raises
    ------
    InputError
        If a file is missing, damaged or not of this format, a column is missing, a label is
        unknown, a sample is there twice, or a class has no sample.
    """
    return _format(entry, name).describe(entry, matrix, samples, name)


def read(
    entry: Entry,
    matrix: Path,
    described: Described,
    train: NDArray[np.bool_],
    rows: NDArray[np.integer] | None = None,
) -> Raw:
    """Read the expression of described samples; genes not expressed are left out on the way.

    Parameters
    ----------
    entry, matrix
        As for `describe`.
    described : Described
        What `describe` gave for the same files.
    train : ndarray of bool, shape (n,)
        Which of the samples *that are read* decide whether a gene is expressed.
    rows : ndarray of int, shape (n,), or None
        Which of the described samples are read, in this order, repeats allowed; None reads all.

    Returns
    -------
    Raw
        `values` of shape (n, p), in the order of `rows`. Under `values: counts` the notes tell
        of `fractional_values`. What is warned of is logged, too.

    Raises
    ------
    InputError
        If the file is damaged, a value is missing, no number or negative under
        `values: counts`, a gene is there twice (unless `genes.duplicates` says how to merge),
        or no gene is expressed.
    """
    found = _format(entry, "dataset").read(entry, matrix, described, train, rows)
    warnings, notes = list(found.warnings), dict(found.notes)
    if are_counts(entry):
        notes["fractional_values"] = fractions = count_fractions(found.values)
        # No refusal, since expected counts of RSEM or Salmon are fractions, too.
        if fractions:
            warnings.append(
                f"values: counts, but {fractions} values are no whole numbers; if they are "
                "normalised already, set values: log or choose another layer"
            )
    elif look_like_counts(found.values):
        warnings.append(
            f"values: log, but all values are whole numbers, up to {found.values.max():g}; if they "
            "are counts, set values: counts"
        )
    for warning in warnings:
        log.warning("%s: %s", matrix, warning)
    return replace(found, notes=notes, warnings=tuple(warnings))


def _format(entry: Entry, name: str) -> _Format:
    kind = entry.get("format")
    if kind not in MODULES:
        raise InputError(
            f"datasets/{name}, format {shown(kind)}: there is no such format; choose one of "
            f"{', '.join(MODULES)}."
        )
    # By name, so that a job of one format imports, and depends on, no other.
    return cast(_Format, importlib.import_module(f"{__name__}.{MODULES[kind]}"))
