"""What readers must know of the data: relatives in train, and constructed negatives."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from genosiege.report import forms
from genosiege.report.told import MODEL, Run, one_seed

WITH, WITHOUT = "accuracy_with_relative", "accuracy_without_relative"
HEADER = ["", "class", "a relative in train", "n", "none", "n"]


class AboutData(NamedTuple):
    """What is said of a run's data.

    Attributes
    ----------
    sentences : list of str
        One for each task whose negatives look constructed.
    accuracy : list of lists of str
        The table of accuracy by class, with and without a relative; the first row is its header.
    """

    sentences: list[str]
    accuracy: list[list[str]]


def about_data(tables: Mapping[str, pd.DataFrame]) -> AboutData:
    """Say what the data's relatives mean for accuracy.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The run's tables by name; `data` and `by_class` are looked at, where there are such.

    Returns
    -------
    AboutData
        Empty lists where nothing need be said: no constructed negatives, no relatives.
    """
    run = Run(tables, {})
    constructed = run.rows("data", split="test", constructed_negatives=True)
    sentences = [_sentence(row) for _, row in constructed.iterrows()]
    by_class = run.rows("by_class", stage="baseline")
    rows = [HEADER]
    for (task, encoder), model in by_class.groupby(MODEL, sort=True) if len(by_class) else ():
        classes, named = one_seed(model)
        if classes["n_with_relative"].any():
            rows += [_accuracy(row, f"{task} · {encoder}{named}") for _, row in classes.iterrows()]
    return AboutData(sentences, rows if len(rows) > 1 else [])


def _sentence(test: "pd.Series[Any]") -> str:
    return (
        f"{test['task']}: this task's negatives look constructed from its positives. "
        f"{_counted(test)} Robust accuracy partly measures how well replaced blocks are noticed; "
        "a flip from negative to positive has no biological reading."
    )


def _counted(test: "pd.Series[Any]") -> str:
    if pd.notna(test["pairs"]):
        return (
            f"Of {test['pairs']:,.0f} pairs of related rows {test['pairs_opposite']:,.0f} have "
            "opposite labels."
        )
    other, both = test["relatives_other"], test["relatives_both"]
    return (
        f"Of the test rows with a relative in train {other:,.0f} have relatives of another label "
        f"alone, {both:,.0f} of either."
    )


def _accuracy(row: "pd.Series[Any]", subject: str) -> list[str]:
    return [
        subject,
        str(row["label"]),
        forms.interval(row, WITH, forms.share),
        f"{row['n_with_relative']:,}",
        forms.interval(row, WITHOUT, forms.share),
        f"{row['n_without_relative']:,}",
    ]
