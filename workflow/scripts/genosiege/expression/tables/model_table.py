"""How well the models of expression classify before any attack, and all over seeds."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from genosiege.errors import InputError
from genosiege.expression.tables import intervals, reading
from genosiege.expression.tables.cells import SETTING
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import PLACE, Cards, field

RATES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity")
SCORES = ("mcc", "f1", "auroc", "ece")
ATTACK_MEASURES = (
    "clean_accuracy", "attacked_accuracy", "clean_balanced_accuracy", "attacked_balanced_accuracy",
    "attacked_fpr", "attacked_fnr", "success", "mean_confidence_drop", "accuracy_minus_random",
)  # fmt: skip

ALL = "all"
"""What k is called where it is the number of genes."""

COLUMNS = [
    *PLACE, "kind", "leak", "n", "n_negative", "n_positive",
    *(name for rate in RATES for name in columns(rate)), *SCORES, "fp", "fn", "n_features",
    "n_parameters", "n_nodes",
]  # fmt: skip
SEEDS_COLUMNS = [
    "dataset", "model", "leak", *SETTING, "measure", "n_seeds", "n_partly_attacked", "mean",
    "sd", "min", "max",
]  # fmt: skip


def models_table(metrics: Iterable[str], descriptions: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Tabulate the models' metrics on the clean test split, one row per model and seed.

    Parameters
    ----------
    metrics, descriptions : iterable of str
        The models' `metrics.json` and `model.json`.
    cards : Cards
        Of the data.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/expression_models.rst`.

    Raises
    ------
    InputError
        If a file is missing, or counts contradict each other.
    """
    known = reading.descriptions(descriptions, "model.json")
    rows = []
    for place, found in reading.descriptions(metrics, "metrics.json").items():
        if place not in known:
            raise InputError(f"{place.dataset}/{place.model}: model.json is missing; train again.")
        told = known[place]
        row = place.columns | {"kind": field(told, "kind", f"{place}")}
        row |= {"leak": cards.leak(place.dataset, place.seed)} | _measures(found, str(place))
        row |= {"n_features": field(told, "n_features", f"{place}")}
        rows.append(row | {name: told.get(name) for name in ("n_parameters", "n_nodes")})
    table = reading.frame(rows, COLUMNS, PLACE)
    return table.astype(dict.fromkeys(("n_parameters", "n_nodes"), "Int64"))


def _measures(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Count again, so that a file changed by hand cannot carry a wrong interval."""
    n_negative, n_positive, fp, fn = (
        int(field(found, name, where)) for name in ("n_negative", "n_positive", "fp", "fn")
    )
    n = n_negative + n_positive
    if not (0 <= fp <= n_negative and 0 <= fn <= n_positive):
        raise InputError(f"{where}, metrics.json: more errors than samples; evaluate it again.")
    labels = np.repeat([0, 1], [n_negative, n_positive])
    right = np.arange(n) >= np.where(labels == 0, fp, n_negative + fn)
    row: dict[str, Any] = {"n": n, "n_negative": n_negative, "n_positive": n_positive}
    row |= intervals.rate("accuracy", right)
    row |= intervals.balanced_accuracy("balanced_accuracy", right, labels)
    row |= intervals.rate("sensitivity", right, labels == 1)
    row |= intervals.rate("specificity", right, labels == 0)
    return row | {name: field(found, name, where) for name in SCORES} | {"fp": fp, "fn": fn}


def seeds_table(models: pd.DataFrame, fimba: pd.DataFrame) -> pd.DataFrame:
    """Summarise each measure over the seeds as mean and standard deviation.

    Parameters
    ----------
    models : pandas.DataFrame
        From `models_table`.
    fimba : pandas.DataFrame
        From `fimba_table.fimba_table`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/expression_seeds.rst`. A seed divides the data
        anew, too, so that the spread holds both; under `split: folds` the seeds are the folds.
    """
    clean = models.assign(targets="", importance="", features="", values="", k="", t=np.nan)
    whole = fimba["k"] == fimba["n_genes"]
    # Seeds may differ in how many genes they keep: all of them are one setting.
    fimba = fimba.assign(k=fimba["k"].astype(str).mask(whole, ALL))
    rows: list[dict[str, Any]] = []
    for table, measures in ((clean, (*RATES, *SCORES)), (fimba, ATTACK_MEASURES)):
        if not len(table):
            continue
        keys = ["dataset", "model", "leak", *SETTING]
        # In the order of the tables, where k is a number.
        for key, own in table.groupby(keys, dropna=False, sort=False):
            row = dict(zip(keys, key, strict=True))
            row |= {"n_partly_attacked": _partly(own)}
            rows += [row | {"measure": name} | _spread(own[name]) for name in measures]
    return reading.frame(rows, SEEDS_COLUMNS, [])


def _partly(own: pd.DataFrame) -> int:
    """Count the seeds in which some samples had no target and stayed as they were."""
    if "n_attacked" not in own:
        return 0
    return int((own["n_attacked"] < own["n"]).sum())


def _spread(values: "pd.Series[Any]") -> dict[str, Any]:
    known = values.astype(float).dropna().to_numpy()
    return {
        "n_seeds": len(known),
        "mean": known.mean() if len(known) else np.nan,
        "sd": known.std(ddof=1) if len(known) > 1 else np.nan,
        "min": known.min() if len(known) else np.nan,
        "max": known.max() if len(known) else np.nan,
    }
