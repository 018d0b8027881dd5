"""The finding about models of expression: how few genes must move until a sample flips."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from genosiege.report import forms, told
from genosiege.report.told import Run, rate

RANDOM = "random"
"""Features in no order of importance: the control."""

TARGETS = {
    "opposite": "the other class",
    "error": "known errors",
    "test_error": "the test split's own errors",
}
RANKINGS = {"shap": "SHAP", "permutation": "permutation importance"}


def smallest_k(run: Run) -> Iterator[dict[str, Any]]:
    """Tell each model's median of the smallest number of genes, beside that of random genes."""
    for (dataset, name), model in run.tables["smallest_k"].groupby(["dataset", "model"], sort=True):
        ranked = model[model["features"] != RANDOM]
        ranked = told.prefer(ranked, features="shap", targets="opposite", importance="global")
        if ranked.empty:
            continue
        rows, named = told.one_seed(ranked.sort_values("t", kind="stable"))
        row = rows.iloc[-1]
        same = (model[["seed", "targets", "t"]] == row[["seed", "targets", "t"]]).all(axis=1)
        control = model[same & (model["features"] == RANDOM)]
        yield {
            "subject": f"{dataset} · {name}{named}, towards {towards(row['targets'])}, "
            f"{RANKINGS[row['features']]}",
            "measure": f"genes to move, median (at most {row['tried_to']} tried)",
            **rate(row, "median_k", "value"),
            "reference_measure": "random genes",
            **(rate(control.iloc[0], "median_k", "reference") if len(control) else {}),
            "n": row["n_attacked"],
            "remark": told.joined(
                [_flipped(row, control), _over_seeds(ranked[ranked["t"] == row["t"]]), leak(row)]
            ),
        }


def towards(targets: str) -> str:
    """Say in words what samples are moved to."""
    return TARGETS.get(targets, targets)


def leak(row: "pd.Series[Any]") -> str:
    """Say what was known of the test split before the test."""
    return "" if pd.isna(row["leak"]) else f"the test split was known before: {row['leak']}"


def _flipped(row: "pd.Series[Any]", control: pd.DataFrame) -> str:
    """Say how many samples flip at all, with as many genes as were tried."""
    if not row["n_attacked"]:
        return f"no sample was attacked ({row['status']})"
    flipped = forms.interval(row, "flipped", forms.share)
    said = f"at most {row['tried_to']} of {row['n_genes']:,} genes flip {flipped}"
    if len(control):
        said += f", random ones {forms.interval(control.iloc[0], 'flipped', forms.share)}"
    return said


def _over_seeds(rows: pd.DataFrame) -> str:
    medians = rows["median_k"].dropna()
    if len(medians) < 2:
        return ""
    low, high = forms.count(medians.min()), forms.count(medians.max())
    return f"medians of {len(medians)} seeds: {low} to {high}"
