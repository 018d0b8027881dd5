"""How well the autoencoders reconstruct, and what the models say of what they reconstruct."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from genosiege import files
from genosiege.expression.tables import intervals, reading
from genosiege.expression.tables.ablation import EVASION_ROWS
from genosiege.expression.tables.cells import Cell, cells
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import Cards, VaePlace

RECONSTRUCTED = "reconstructed"
SPLIT = "test"

COLUMNS = [
    "dataset", "seed", "fraction", "leak", "n_train", "n_test", "mse", "mse_of_mean",
    "explained", "model", "status", "n", *columns("prediction_kept"),
    *columns("accuracy_clean"), *columns("accuracy_reconstructed"),
]  # fmt: skip


def vae_table(descriptions: Iterable[str], evasion: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Tabulate each autoencoder's errors, and whether models know its reconstructions.

    Parameters
    ----------
    descriptions : iterable of str
        The autoencoders' `model.json`.
    evasion : iterable of str
        The models' `evasion.parquet`; may be missing.
    cards : Cards
        Of the data.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/vae.rst`: a row per autoencoder and model, or
        one with the status "no model" for an autoencoder that no model was asked about.
    """
    asked: dict[VaePlace, list[dict[str, Any]]] = {}
    for place, row in _asked(evasion):
        asked.setdefault(place, []).append(row)
    rows: list[dict[str, Any]] = []
    for path in descriptions:
        place = reading.vae_place(path)
        own = place._asdict() | {"leak": cards.leak(place.dataset, place.seed)}
        own |= _errors(files.read_json(path), path)
        rows += [own | row for row in asked.get(place, [_nobody()])]
    return reading.frame(rows, COLUMNS, ["dataset", "seed", "fraction", "model"])


def _errors(description: Mapping[str, Any], path: str) -> dict[str, Any]:
    found = reading.field(reading.field(description, "reconstruction", path), SPLIT, path)
    mse, of_mean = (float(reading.field(found, name, path)) for name in ("mse", "mse_of_mean"))
    return {
        "n_train": int(reading.field(description, "n_train", path)),
        "n_test": int(reading.field(found, "n", path)),
        "mse": mse,
        "mse_of_mean": of_mean,
        "explained": 1 - mse / of_mean if of_mean else np.nan,
    }


def _asked(paths: Iterable[str]) -> Iterator[tuple[VaePlace, dict[str, Any]]]:
    """Summarise for each model and fraction the answers to reconstructions."""
    for place, table, path in reading.read(paths, "evasion.parquet", EVASION_ROWS):
        kept = table[table["values"] == RECONSTRUCTED]
        seen = set()
        for cell in cells(kept, path, ["fraction"]):
            fraction = int(cell.setting["fraction"])
            # A reconstruction has no target: were it listed for several, they would be equal.
            if fraction not in seen:
                seen.add(fraction)
                where = VaePlace(place.dataset, place.seed, fraction)
                yield where, {"model": place.model} | _kept(cell)


def _kept(cell: Cell) -> dict[str, Any]:
    before, after = cell.correct_before, cell.correct_after[0]
    # With two classes a prediction stays where it is right, or wrong, both times.
    return {
        "status": cell.reason,
        "n": cell.n,
        **intervals.rate("prediction_kept", before == after),
        **intervals.rate("accuracy_clean", before),
        **intervals.rate("accuracy_reconstructed", after),
    }


def _nobody() -> dict[str, Any]:
    row: dict[str, Any] = {"model": "", "status": "no model", "n": 0}
    for name in ("prediction_kept", "accuracy_clean", "accuracy_reconstructed"):
        row |= intervals.unknown(name)
    return row
