"""The feature-importance attack beside others, at equal budgets of queries."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from genosiege.expression.tables import intervals, reading
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import PLACE, Cards

ROWS = {
    "attack": "object",
    "budget": "int64",
    "id": "object",
    "label": "int64",
    "correct_before": "bool",
    "flipped": "bool",
    "n_queries": "int64",
    "n_gradients": "int64",
    "l0": "float64",
    "l2": "float64",
    "linf": "float64",
    "status": "object",
}
ATTACKED = ("success", "failed")
NOT_APPLICABLE = "not_applicable"
ATTACK = ["attack", "budget"]

COLUMNS = [
    *PLACE, "leak", *ATTACK, "status", "n", "n_attacked", "n_flips", *columns("flip_rate"),
    "median_queries", "largest_queries", "median_gradients", "median_l0", "median_l2",
    "median_linf",
]  # fmt: skip


def comparison_table(paths: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Summarise each attack on each model in one row.

    Parameters
    ----------
    paths : iterable of str
        The models' `comparison.parquet`.
    cards : Cards
        Of the data.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/comparison.rst`.
    """
    rows = [
        place.columns
        | {"leak": cards.leak(place.dataset, place.seed)}
        | dict(zip(ATTACK, key, strict=True))
        | _summary(own)
        for place, table, _ in reading.read(paths, "comparison.parquet", ROWS)
        for key, own in table.groupby(ATTACK, sort=True)
    ]
    return reading.frame(rows, COLUMNS, [*PLACE, *ATTACK])


def _summary(own: pd.DataFrame) -> dict[str, Any]:
    attacked = own[own["correct_before"] & own["status"].isin(ATTACKED)]
    flips = attacked[attacked["flipped"]]
    row: dict[str, Any] = {
        "status": _status(own, len(attacked)),
        "n": len(own),
        "n_attacked": len(attacked),
        "n_flips": len(flips),
        "median_queries": attacked["n_queries"].median(),
        "largest_queries": attacked["n_queries"].max() if len(attacked) else np.nan,
        "median_gradients": attacked["n_gradients"].median(),
        **{f"median_{size}": flips[size].median() for size in ("l0", "l2", "linf")},
    }
    if not len(attacked):
        return row | intervals.unknown("flip_rate")
    return row | intervals.rate("flip_rate", attacked["flipped"].to_numpy())


def _status(own: pd.DataFrame, n_attacked: int) -> str:
    if (own["status"] == NOT_APPLICABLE).all():
        return NOT_APPLICABLE
    return "attacked" if n_attacked else "nothing to attack"
