"""How many features must move before a prediction flips."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from genosiege.expression.tables import intervals, reading
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import PLACE, Cards
from genosiege.statistics import Interval, weighted_median

ROWS = {
    "targets": "object",
    "importance": "object",
    "features": "object",
    "t": "float64",
    "id": "object",
    "label": "int64",
    "correct_before": "bool",
    "smallest_k": "Int64",
    "tried_to": "int64",
    "n_queries": "int64",
    "status": "object",
}
SETTING = ["targets", "importance", "features", "t"]
ATTACKED, MISCLASSIFIED = "attacked", "skipped_misclassified"

_QUARTILES = {"lower_quartile": 0.25, "upper_quartile": 0.75}

COLUMNS = [
    *PLACE, "leak", *SETTING, "status", "n", "n_attacked", "n_genes", "tried_to", "n_flipped",
    *columns("flipped"), "median", *columns("median_k"), *_QUARTILES,
    *columns("median_share_of_genes"), "median_queries",
]  # fmt: skip


def smallest_k_table(paths: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Summarise for each model how many features the attack has to move.

    Parameters
    ----------
    paths : iterable of str
        The models' `smallest_k.parquet`.
    cards : Cards
        Of the data; they say how many genes there are.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/smallest_k.rst`.
    """
    rows = []
    for place, table, _ in reading.read(paths, "smallest_k.parquet", ROWS):
        n_genes = cards.n_genes(place.dataset, place.seed)
        for key, own in table.groupby(SETTING, dropna=False, sort=True):
            setting = dict(zip(SETTING, key, strict=True))
            leak = cards.leak(place.dataset, place.seed, str(setting["targets"]))
            rows.append(place.columns | {"leak": leak} | setting | summary(own, n_genes))
    return reading.frame(rows, COLUMNS, [*PLACE, *SETTING])


def tried(rows: pd.DataFrame) -> pd.DataFrame:
    """Take the samples that the attack was tried on: known to the model, and with a target."""
    return rows[rows["correct_before"] & (rows["status"] == ATTACKED)]


def needed(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Give each sample's smallest number of features; inf where none up to `tried_to` flips it."""
    found = rows["smallest_k"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.inf)
    return np.asarray(found, dtype=np.float64)


def summary(own: pd.DataFrame, n_genes: int) -> dict[str, Any]:
    """Summarise the samples of one setting.

    Parameters
    ----------
    own : pandas.DataFrame
        `ROWS` of the setting.
    n_genes : int
        Number of features.

    Returns
    -------
    dict
        The columns of the table; inf stands for "more than was tried".
    """
    attacked = tried(own)
    k = needed(attacked)
    tried_to = int(attacked["tried_to"].max()) if len(attacked) else 0
    flipped = np.isfinite(k)
    row: dict[str, Any] = {
        "status": _status(own, attacked),
        "n": len(own),
        "n_attacked": len(attacked),
        "n_genes": n_genes,
        "tried_to": tried_to,
        "n_flipped": int(flipped.sum()),
        "median_queries": attacked["n_queries"].median(),
    }
    if not len(k):
        names = ("flipped", "median_k", "median_share_of_genes")
        for name in names:
            row |= intervals.unknown(name)
        return row | {"median": ""} | dict.fromkeys(_QUARTILES, np.nan)
    median = float(weighted_median(k, np.ones((1, len(k))))[0])
    ends = median_interval(k)
    row |= intervals.rate("flipped", flipped)
    row |= {"median": _words(median, tried_to)}
    row |= intervals.named("median_k", median, ends)
    row |= intervals.named("median_share_of_genes", median / n_genes, np.array(ends) / n_genes)
    quartiles = np.quantile(k, [*_QUARTILES.values()], method="inverted_cdf")
    return row | dict(zip(_QUARTILES, map(float, quartiles), strict=True))


def median_interval(values: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Interval of a median from order statistics, which may be inf (censored).

    Parameters
    ----------
    values : ndarray, shape (n,)
        One per sample.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    Interval
        nan where so few values (5 and less at 95 %) bound nothing.

    Notes
    -----
    The r-th smallest and the r-th largest value, r the largest with P(B < r) ≤ (1 − level) / 2
    for B binomial (n, ½): free of any distribution, of at least the level (Conover 1999,
    Practical Nonparametric Statistics, section 3.2). Only the ranks of values count, so that a
    censored one needs no number.
    """
    n = len(values)
    tail = (1 - level) / 2
    # P(B ≤ r − 1) ≤ tail.
    r = int(np.searchsorted(binom.cdf(np.arange(n), n, 0.5), tail * (1 + 1e-9), side="right"))
    if r == 0:
        return Interval(np.nan, np.nan)
    ranked = np.sort(values)
    return Interval(float(ranked[r - 1]), float(ranked[n - r]))


def _words(median: float, tried_to: int) -> str:
    return f"{median:g}" if np.isfinite(median) else f"more than {tried_to}"


def _status(own: pd.DataFrame, attacked: pd.DataFrame) -> str:
    """Say what became of the samples that the model knows; of all, if it knows none."""
    found = set(own["status"].astype(str)) - ({MISCLASSIFIED} if len(attacked) else set())
    return "; ".join(sorted(found))
