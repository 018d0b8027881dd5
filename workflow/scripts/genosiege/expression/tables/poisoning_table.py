"""What poisoned training data cost each model."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from genosiege.comparisons import holm, mcnemar
from genosiege.errors import InputError
from genosiege.expression.tables import intervals, reading
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import PLACE, Cards

ROWS = {
    "kind": "object",
    "fraction": "int64",
    "rate": "float64",
    "n_poison": "int64",
    "n_poison_wrong": "int64",
    "id": "object",
    "label": "int64",
    "correct": "bool",
    "status": "object",
}
NONE, RETRAINED = "none", "retrained"
POISON = ["kind", "fraction", "rate"]
_COUNTS = ["n_poison", "n_poison_wrong"]

COLUMNS = [
    *PLACE, "leak", *POISON, *_COUNTS, "status", "n", *columns("accuracy"),
    *columns("balanced_accuracy"), "n_worse", "n_better", *columns("accuracy_lost"), "p",
    "p_adjusted",
]  # fmt: skip


def poisoning_table(paths: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Compare each retrained model with the one of clean data, on the same test samples.

    Parameters
    ----------
    paths : iterable of str
        The models' `poisoning.parquet`.
    cards : Cards
        Of the data.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/poisoning.rst`. Holm's family are all
        poisons of one model and seed.

    Raises
    ------
    InputError
        If the clean model is missing, or a model was tested on other samples than it.
    """
    rows: list[dict[str, Any]] = []
    for place, table, path in reading.read(paths, "poisoning.parquet", ROWS):
        if not len(table):
            continue
        models = {
            key: own.set_index("id").sort_index()
            for key, own in table.groupby([*POISON, *_COUNTS], sort=True)
        }
        clean = [own for key, own in models.items() if key[0] == NONE]
        if len(clean) != 1:
            raise InputError(
                f"{path}: {len(clean)} models of clean data, where there must be one; poison the "
                "models again."
            )
        own_rows = [
            place.columns
            | {"leak": cards.leak(place.dataset, place.seed)}
            | dict(zip([*POISON, *_COUNTS], key, strict=True))
            | _compared(own, clean[0], str(key[0]), path)
            for key, own in models.items()
        ]
        adjusted = holm([row["p"] for row in own_rows])
        rows += [row | {"p_adjusted": p} for row, p in zip(own_rows, adjusted, strict=True)]
    return reading.frame(rows, COLUMNS, [*PLACE, *POISON])


def _compared(own: pd.DataFrame, clean: pd.DataFrame, kind: str, path: str) -> dict[str, Any]:
    if not own.index.equals(clean.index) or own.index.has_duplicates:
        raise InputError(
            f"{path}: {kind} was tested on other samples than the clean model, or on some twice; "
            "poison the models again."
        )
    correct = own["correct"].to_numpy()
    row: dict[str, Any] = {"status": str(own["status"].iloc[0]), "n": len(own)}
    row |= intervals.rate("accuracy", correct)
    row |= intervals.balanced_accuracy("balanced_accuracy", correct, own["label"].to_numpy())
    # Where the attacker had no target nothing was retrained: there is nothing to compare.
    if row["status"] != RETRAINED:
        return row | intervals.unknown("accuracy_lost") | {"p": np.nan}
    found = mcnemar(clean["correct"].to_numpy(), correct)
    row |= {"n_worse": found.n_first_only, "n_better": found.n_second_only, "p": found.p}
    return row | intervals.named("accuracy_lost", found.difference, found.interval)
