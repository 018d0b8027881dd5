"""The report's table of each true class: whether one is weaker, and what relatives are worth."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from genosiege.errors import InputError
from genosiege.proportions import Counts, newcombe_family
from genosiege.sequence import rates
from genosiege.sequence.results import MODEL, AttackResult, ModelResult, read_rows
from genosiege.sequence.suite import CERTIFIED_SPLIT, Suite, suites

DIFFERENCE = "robust_accuracy_minus_rest"
COLUMNS = [
    *MODEL, "label", "n_test", *rates.columns("accuracy"), "n_sequences",
    *rates.columns("robust_accuracy"), "edit_budget", "n_correct", *rates.columns("flip_rate"),
    *rates.columns("certified_accuracy"), *rates.columns(DIFFERENCE), f"{DIFFERENCE}_p",
    "n_with_relative", *rates.columns("accuracy_with_relative"), "n_without_relative",
    *rates.columns("accuracy_without_relative"),
]  # fmt: skip

Row = dict[str, Any]

_COUNTS = ["n_sequences", "edit_budget", "n_correct"]
"""Whole numbers that are not there without an attack."""


def read_relatives(path: str) -> pd.DataFrame:
    """Read of a prepared split which of its rows have relatives in train.

    Parameters
    ----------
    path : str
        `…/data/task/split.parquet`.

    Returns
    -------
    pandas.DataFrame
        Columns id and relative_labels.
    """
    columns = {"id": "object", "relative_labels": "object"}
    return read_rows(path, columns, "prepared split")[list(columns)]


def by_class_table(
    predictions: Iterable[ModelResult],
    tests: Mapping[str, pd.DataFrame],
    attacks: Iterable[AttackResult] = (),
    certificates: Iterable[ModelResult] = (),
) -> pd.DataFrame:
    """Tabulate what holds for each true class, one row per model and class of the test split.

    Parameters
    ----------
    predictions : iterable of ModelResult
        From `results.read_predictions`.
    tests : mapping of str to pandas.DataFrame
        By task, from `read_relatives` of its test split.
    attacks : iterable of AttackResult
        All attacks in DNA space; those on the test split count.
    certificates : iterable of ModelResult
        From `results.read_certificate`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/by_class.rst`. Robust accuracy is that of
        `worst_case` at its largest budget. A rate without any sequence is missing, and so is
        all that only an attack or a certificate tells where there is none.

    Raises
    ------
    InputError
        If predictions, attacks and the prepared task are not about the same sequences.
    """
    tried = {
        (suite.task, suite.encoder, suite.seed, suite.stage): suite
        for suite in suites(attacks, certificates)
        if suite.split == CERTIFIED_SPLIT
    }
    models = []
    for model in sorted(predictions, key=lambda found: found[:4]):
        suite = tried.get((model.task, model.encoder, model.seed, model.stage))
        models.append(_rows(model, tests[model.task], suite))
    table = pd.DataFrame(_compared(models), columns=COLUMNS)
    return table.astype(dict.fromkeys(_COUNTS, "Int64"))


def _rows(model: ModelResult, relatives: pd.DataFrame, suite: Suite | None) -> list[Row]:
    test = model.rows.merge(relatives, on="id", how="left", validate="one_to_one")
    if test["relative_labels"].isna().any():
        raise InputError(
            f"{model.task}, {model.encoder}, seed {model.seed}, {model.stage}: its predictions "
            "are not about the prepared test split; make them again."
        )
    related = test["relative_labels"] != ""
    rows = []
    for label in np.unique(test["label"]):
        mine = test["label"] == label
        parts = {
            ("n_test", "accuracy"): mine,
            ("n_with_relative", "accuracy_with_relative"): mine & related,
            ("n_without_relative", "accuracy_without_relative"): mine & ~related,
        }
        row = {name: getattr(model, name) for name in MODEL} | {"label": label}
        for (n, accuracy), these in parts.items():
            row |= {n: int(these.sum())} | _rate(accuracy, test.loc[these, "correct"])
        nothing = {"n_robust": 0, "n_sequences": None}
        rows.append(row | (_robustness(suite, int(label)) if suite else nothing))
    return rows


def _robustness(suite: Suite, label: int) -> Row:
    """Say how the sequences of a class withstand all that was tried on them."""
    sequences = suite.sequences()
    mine = sequences["label"] == label
    robust, correct = suite.withstood()[mine], sequences.loc[mine, "correct"]
    row: Row = {
        "n_robust": int(robust.sum()),
        "n_sequences": len(robust),
        "edit_budget": suite.last_budget,
        "n_correct": int(correct.sum()),
        **_rate("robust_accuracy", robust),
        **_rate("flip_rate", ~robust[correct]),
    }
    if suite.certificate is None:
        return row
    proofs = suite.certificate.rows
    proofs = proofs[(proofs["label"] == label) & (proofs["k"] == 1)]
    return row | _rate("certified_accuracy", proofs["status"] == "robust")


def _rate(name: str, outcomes: "pd.Series[bool]") -> dict[str, float]:
    """Give a rate of a class; without sequences its interval says nothing and stays away."""
    return rates.wilson(name, int(outcomes.sum()), len(outcomes)) if len(outcomes) else {}


def _compared(models: Iterable[list[Row]]) -> Iterator[Row]:
    """Add how much more of a class is robust than of all others of its model together."""
    kept = list(models)
    # Of two classes, each is the rest of the other: one comparison.
    asked = [rows[:1] if len(rows) == 2 else rows for rows in kept]
    counts = [
        _against_rest(row, rows) for rows, these in zip(kept, asked, strict=True) for row in these
    ]
    found = iter(newcombe_family(counts))
    for rows, these in zip(kept, asked, strict=True):
        differences = [next(found) for _ in these]
        if len(these) < len(rows):
            differences.append(differences[0].turned())
        for row, difference in zip(rows, differences, strict=True):
            named = rates.named(DIFFERENCE, difference.value, difference.interval)
            yield row | named | {f"{DIFFERENCE}_p": difference.p}


def _against_rest(row: Row, rows: Iterable[Row]) -> Counts:
    own = row["n_robust"], row["n_sequences"] or 0
    total = [sum(one[name] or 0 for one in rows) for name in ("n_robust", "n_sequences")]
    return Counts(*own, total[0] - own[0], total[1] - own[1])
