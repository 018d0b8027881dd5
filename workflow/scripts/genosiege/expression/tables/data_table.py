"""What prepared expression data hold."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from genosiege.expression.tables import reading
from genosiege.expression.tables.reading import Cards

SPLITS = ("train", "dev", "test")

COLUMNS = [
    "dataset", "seed", "leak", "split", "split_kind", "n", "n_negative", "n_positive", "excluded",
    "genes_expressed", "genes_constant", "genes", "share_of_zeros", "clipped",
    "duplicates_in_train", "near_duplicates_in_train", "donors", "samples_of_train_donors",
    "sites", "samples_of_train_sites", "studies", "donors_crossing",
]  # fmt: skip
_COUNTS = (
    "duplicates_in_train", "near_duplicates_in_train", "samples_of_train_donors",
    "samples_of_train_sites",
)  # fmt: skip


def data_table(cards: Cards) -> pd.DataFrame:
    """Tabulate what cards say, one row per dataset, seed and split.

    Parameters
    ----------
    cards : Cards
        Of all prepared data.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/expression_data.rst`.
    """
    rows = []
    for (dataset, seed), card in sorted(cards.cards.items()):
        leak = cards.leak(dataset, seed)
        own = {"dataset": dataset, "seed": seed, "leak": leak} | _of_dataset(card)
        rows += [own | {"split": split} | _of_split(card, split) for split in SPLITS]
    table = reading.frame(rows, COLUMNS, [])
    # A count that train has not, as it would be one of itself, leaves the others whole numbers.
    return table.astype(dict.fromkeys(_COUNTS, "Int64"))


def _of_dataset(card: Mapping[str, Any]) -> dict[str, Any]:
    genes = card["genes"]
    return {
        "split_kind": card["split"]["split"],
        "excluded": sum(card["samples"]["excluded"].values()),
        "genes_expressed": genes["expressed"],
        "genes_constant": genes["constant_in_train"],
        "genes": genes["kept"],
        "share_of_zeros": card["values"]["share_of_zeros"],
        "donors_crossing": card["groups"]["donor"]["crossing"],
    }


def _of_split(card: Mapping[str, Any], split: str) -> dict[str, Any]:
    counted = card["samples"]["splits"][split]
    groups, duplicates = card["groups"], card["duplicates"]
    return {
        "n": counted["n"],
        "n_negative": counted["per_class"]["0"],
        "n_positive": counted["per_class"]["1"],
        "clipped": card["values"]["clipped"][split],
        "duplicates_in_train": _in_train(duplicates["exact"], split),
        "near_duplicates_in_train": _in_train(duplicates["rounded"], split),
        "donors": groups["donor"]["per_split"][split],
        "samples_of_train_donors": _in_train(groups["donor"], split),
        "sites": groups["site"]["per_split"][split],
        "samples_of_train_sites": _in_train(groups["site"], split),
        "studies": groups["study"]["per_split"][split],
    }


def _in_train(counted: Mapping[str, Any], split: str) -> int | None:
    """Count the samples of a split that share something with one of train."""
    found: int | None = counted["sharing"][split].get("train")
    return found
