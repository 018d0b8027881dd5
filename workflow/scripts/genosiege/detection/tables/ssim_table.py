"""The table of similarities of spectra: attacked data against natural errors and gene orders."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.detection.tables import reading
from genosiege.detection.tables.reading import PLACE, Place
from genosiege.errors import InputError
from genosiege.expression.tables.intervals import LEVEL, columns, named
from genosiege.expression.tables.reading import Cards
from genosiege.expression.tables.reading import read as read_models

ROWS = {
    "targets": "object", "features": "object", "k": "int64", "n": "int64", "view": "object",
    "scale": "object", "comparison": "object", "kind": "object", "number": "int64",
    "ssim": "float64",
}  # fmt: skip
"""Columns of `ssim.parquet`, and their types."""

COMPARISONS = ("natural", "natural_error", "attacked", "attacked_error", "published")
COLUMNS = [
    *PLACE, "leak", "targets", "features", "k", "view", "scale", "comparison", "n_samples",
    "n_draws", *columns("ssim"), "order_low", "order_high", "own_order", "p_gene_order",
    "published", "p_exchangeable", "sign_over_orders", "reading",
]  # fmt: skip

LIKE, UNLIKE = "like natural error", "unlike natural error"
TOO_FEW, DEPENDS = "too few samples", "depends on gene order"

ALPHA = 0.05
"""At a p-value up to it attacked samples and natural errors differ."""
LEAST_SHARE = 0.95
"""Share of gene orders that must agree with the data's own on the sign of that difference."""

_ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
_PLACE = ["targets", "features", "k", "view", "scale"]
_ORDER = {
    "comparison": COMPARISONS,
    "view": ("signal", "image"),
    "scale": ("power", "log_power"),
}


def ssim_table(paths: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Tabulate how alike spectra are, and what their nulls say of it.

    Parameters
    ----------
    paths : iterable of str
        The models' `ssim.parquet`.
    cards : Cards
        Of the data that the models were trained on.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/ssim.rst`: a row per model, targets, features,
        view, scale and comparison. The interval is that of the draws of samples, `order_low` to
        `order_high` 95 % of the gene orders, in draw 0, whose value in the data's own order is
        `own_order`. `published`, `p_exchangeable`, `sign_over_orders` and `reading` stand in rows
        of the comparison `attacked`; `published`, where each sample is compared with itself
        attacked, is a comparison of its own as well. `sign_over_orders` is the share of random
        gene orders in which attacked − natural_error has the sign that it has in the own order.

    Raises
    ------
    InputError
        If a file lacks a column, has a row twice or a draw without any.

    Notes
    -----
    `reading`: "too few samples" without a p-value; "like natural error" if it is above 0.05, which
    means that no difference was shown; else "depends on gene order" where fewer than 95 % of
    the gene orders agree on the sign; else "unlike natural error".
    """
    rows: list[dict[str, Any]] = []
    for model, table, path in read_models(paths, "ssim.parquet", ROWS):
        place = Place(reading.EXPRESSION, *model)
        if table.duplicated([*_PLACE, "comparison", "kind", "number"]).any():
            raise InputError(f"{path}: a row stands there twice; make this file again.")
        found: list[dict[str, Any]] = []
        for key, own in table.groupby(_PLACE, sort=False):
            where = dict(zip(_PLACE, key, strict=True))
            leak = {"leak": reading.leak(cards, place, str(where["targets"]))}
            whole = reading.of_place(place) | leak | where
            found += [whole | row for row in _of_setting(own, path)]
        rows += sorted(found, key=_position)
    return pd.DataFrame(rows, columns=COLUMNS)


def _position(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Order the rows of a model."""
    ranks = [order.index(row[name]) for name, order in _ORDER.items()]
    return row["targets"], row["features"], row["k"], *ranks


def _of_setting(rows: pd.DataFrame, path: str) -> Iterator[dict[str, Any]]:
    """Summarise one view of one attack, a row per comparison."""
    draws, orders, published, p_values = (
        rows[rows["kind"] == kind] for kind in ("draw", "gene_order", "published", "p_value")
    )
    as_published = _single(published, "published")
    by_order = {
        str(name): own.sort_values("number")["ssim"].to_numpy()
        for name, own in orders.groupby("comparison")
    }
    for comparison in COMPARISONS:
        own = draws[draws["comparison"] == comparison]
        of_published = comparison == "published"
        measured = published if of_published else own
        if measured.empty:
            continue
        if comparison not in by_order:
            raise InputError(f"{path}: {comparison} has no gene order; make this file again.")
        row = {
            "comparison": comparison,
            "n_samples": int(measured["n"].iloc[0]),
            "n_draws": len(own),
            "p_gene_order": _single(p_values, comparison),
            "published": as_published if of_published or comparison == "attacked" else np.nan,
            "p_exchangeable": np.nan,
            "sign_over_orders": np.nan,
            "reading": "",
        }
        ends = (np.nan, np.nan) if of_published else np.quantile(own["ssim"], _ENDS)
        row |= named("ssim", float(measured["ssim"].mean()), ends)
        row |= _of_orders(by_order[comparison])
        if comparison == "attacked":
            row |= _read(by_order, _single(p_values, "exchangeable"))
        yield row


def _single(rows: pd.DataFrame, comparison: str) -> float:
    """Take the one value of a comparison; nan where there is none."""
    own = rows.loc[rows["comparison"] == comparison, "ssim"]
    return float(own.iloc[0]) if len(own) else np.nan


def _of_orders(values: NDArray[np.float64]) -> dict[str, float]:
    """Summarise the random orders of genes, and name the value in the own order, the first."""
    low, high = np.quantile(values[1:], _ENDS) if len(values) > 1 else (np.nan, np.nan)
    return {"order_low": float(low), "order_high": float(high), "own_order": float(values[0])}


def _read(by_order: Mapping[str, NDArray[np.float64]], p: float) -> dict[str, Any]:
    """Say what the nulls make of the attacked samples."""
    share = np.nan
    if "natural_error" in by_order:
        signs = np.sign(by_order["attacked"] - by_order["natural_error"])
        share = float((signs[1:] == signs[0]).mean())
    if np.isnan(p):
        words = TOO_FEW
    elif p > ALPHA:
        words = LIKE
    else:
        words = DEPENDS if share < LEAST_SHARE else UNLIKE
    return {"p_exchangeable": p, "sign_over_orders": share, "reading": words}
