"""The table of mean spectra of natural and attacked samples, of both arms."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from genosiege import files
from genosiege.detection.tables import reading
from genosiege.detection.tables.reading import PLACE, Place
from genosiege.errors import InputError
from genosiege.expression.tables.reading import place_of, typed

NAME = "spectra.parquet"
MOST = 200
"""Frequencies of a spectrum in the table."""

COLUMNS = [*PLACE, "group", "attack", "targets", "frequency", "mean", "low", "high", "n_samples"]
FIMBA = "fimba"

_MEASURED = {"frequency": "float64", "mean": "float64", "low": "float64", "high": "float64"}
_EXPRESSION_ROWS = {"group": "object", "targets": "object", **_MEASURED, "n": "int64"}
_SEQUENCE_ROWS = {"group": "object", "attack": "object", **_MEASURED, "n": "int64"}


def spectra_table(expression_paths: Iterable[str], sequence_paths: Iterable[str]) -> pd.DataFrame:
    """Tabulate mean spectra with their bands, at most `MOST` frequencies of each.

    Parameters
    ----------
    expression_paths, sequence_paths : iterable of str
        The models' `spectra.parquet`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/spectra.rst`. Neighbouring frequencies of a
        longer spectrum are averaged, their means and the ends of their bands alike. `targets` are
        those of an expression attack, else "".

    Raises
    ------
    InputError
        If a path is not of the form of the results, a file is missing, lacks a column, or has
        a frequency twice.
    """
    places = {path: Place(reading.EXPRESSION, *place_of(path, NAME)) for path in expression_paths}
    places |= {path: reading.sequence_place(path, NAME) for path in sequence_paths}
    tables = []
    for path, place in sorted(places.items(), key=lambda both: (both[1], both[0])):
        of_expression = place.arm == reading.EXPRESSION
        columns = _EXPRESSION_ROWS if of_expression else _SEQUENCE_ROWS
        rows = typed(files.read_parquet(path), columns, path)
        if of_expression:
            rows = rows.assign(attack=np.where(rows["group"] == "attacked", FIMBA, ""))
        else:
            rows = rows.assign(targets="")
        tables += list(_thinned(rows, reading.of_place(place), path))
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _thinned(rows: pd.DataFrame, place: Mapping[str, Any], path: str) -> Iterator[pd.DataFrame]:
    """Average neighbouring frequencies of each spectrum, in the order of the file."""
    for key, own in rows.groupby(["group", "attack", "targets"], sort=False):
        own = own.sort_values("frequency", ignore_index=True)
        if own["frequency"].duplicated().any():
            raise InputError(f"{path}: {key[0]} has a frequency twice; make this file again.")
        bins = np.arange(len(own)) * min(MOST, len(own)) // len(own)
        table = own[[*_MEASURED]].groupby(bins).mean()
        where = dict(place) | dict(zip(("group", "attack", "targets"), key, strict=True))
        yield table.assign(**where, n_samples=int(own["n"].iloc[0]))
