"""What each part of the attack adds: importance, interpolation, and the autoencoder."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genosiege.errors import InputError
from genosiege.expression.tables import intervals, reading
from genosiege.expression.tables.cells import ROWS, Cell, cells
from genosiege.expression.tables.fimba_table import Means, difference, is_random
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import PLACE, Cards, Place

ARMS = (
    "all", "FIMBA", "VAE only", "SHAP only", "interpolation only", "random × uniform",
)  # fmt: skip
"""From all parts to none, in the order in which they are shown."""

_PARTS = {
    ("ranked", "decoded"): "all",
    ("ranked", "interpolated"): "FIMBA",
    ("random", "decoded"): "VAE only",
    ("ranked", "uniform"): "SHAP only",
    ("random", "interpolated"): "interpolation only",
    ("random", "uniform"): "random × uniform",
}
"""Arm by how features are chosen and what they are set to."""

EVASION_ROWS = ROWS | {"fraction": "int64"}
"""The columns of `evasion.parquet` that tables need."""

RANKING = "shap"
_BLOCK = ["targets", "importance", "k", "t", "fraction"]

COLUMNS = [
    *PLACE, "leak", *_BLOCK, "arm", "status", "n", "n_attacked", *columns("attacked_accuracy"),
    "n_attacked_correct", *columns("success"), *columns("accuracy_minus_all"), "note",
]  # fmt: skip


class _Block(NamedTuple):
    """What the arms of one comparison share; `fraction` is None where there is no autoencoder."""

    targets: str
    importance: str
    k: int
    t: float
    fraction: int | None


def ablation_table(fimba: Iterable[str], evasion: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Set the arms of the attack side by side, at equal k, t and targets.

    Parameters
    ----------
    fimba, evasion : iterable of str
        The models' `fimba.parquet` and `evasion.parquet`; the latter may be missing.
    cards : Cards
        Of the data.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/ablation.rst`. Each comparison has a row for
        each arm that was run; arms without an autoencoder stand in the comparisons of all
        its fractions, as they are the same there.
    """
    decoded = {reading.place_of(path, "evasion.parquet"): path for path in evasion}
    rows: list[dict[str, Any]] = []
    for place, table, path in reading.read(fimba, "fimba.parquet", ROWS):
        found: list[tuple[Cell, int | None]] = [
            (cell, None) for cell in cells(table, path) if _arm(cell)
        ]
        found += list(_decoded(place, decoded.get(place)))
        rows += _of_model(place, found, cards)
    order = {arm: number for number, arm in enumerate(ARMS)}
    made = reading.frame(rows, COLUMNS, [])
    made["fraction"] = made["fraction"].astype("Int64")
    return made.sort_values(
        [*PLACE, *_BLOCK, "arm"],
        key=lambda column: column.map(order) if column.name == "arm" else column,
        ignore_index=True,
    )


def _decoded(place: Place, path: str | None) -> Iterator[tuple[Cell, int | None]]:
    """Read the cells whose features take decoded values, with their fraction."""
    if path is None:
        return
    for _, table, where in reading.read([path], "evasion.parquet", EVASION_ROWS):
        for cell in cells(table, where, ["fraction"]):
            if _arm(cell):
                yield cell, int(cell.setting["fraction"])


def _of_model(
    place: Place, found: Sequence[tuple[Cell, int | None]], cards: Cards
) -> Iterator[dict[str, Any]]:
    means = Means(place, "ablation")
    rows = []
    for block in _blocks(found):
        arms = dict(_arms(found, block))
        whole = arms.get("all")
        for arm, cell in arms.items():
            row = place.columns | block._asdict() | {"arm": arm} | _measured(cell)
            row["leak"] = cards.leak(place.dataset, place.seed, block.targets)
            row["note"] = _note(cell, whole)
            if whole is not None and not row["note"]:
                first, second = _common(place, cell, whole)
                means.add(row, "accuracy_minus_all", *difference(first, second))
            rows.append(row)
    means.fill()
    yield from rows


def _note(cell: Cell, whole: Cell | None) -> str:
    """Say why an arm is not compared with all parts together; "" where it is."""
    if whole is None:
        return "no autoencoder"
    if cell is whole:
        return "this is all"
    return "" if cell.measured and whole.measured else "not measured"


def _arm(cell: Cell) -> str | None:
    """Name a cell's arm; None for what belongs to no arm, such as a plain reconstruction."""
    if not is_random(cell) and cell.setting["features"] != RANKING:
        return None
    chosen = "random" if is_random(cell) else "ranked"
    return _PARTS.get((chosen, cell.setting["values"]))


def _blocks(found: Sequence[tuple[Cell, int | None]]) -> list[_Block]:
    """List the comparisons: what ranked features were moved to a target, by fraction if any."""
    directed: set[_Block] = set()
    with_vae: set[_Block] = set()
    for cell, fraction in found:
        setting = cell.setting
        if _arm(cell) in ("all", "FIMBA"):
            t = round(float(setting["t"]), 9)
            block = _Block(setting["targets"], setting["importance"], int(setting["k"]), t, None)
            (directed if fraction is None else with_vae).add(block._replace(fraction=fraction))
    covered = {block._replace(fraction=None) for block in with_vae}
    return sorted((directed - covered) | with_vae, key=lambda b: (*b[:4], b.fraction or 0))


def _arms(found: Sequence[tuple[Cell, int | None]], block: _Block) -> Iterator[tuple[str, Cell]]:
    """Give the arms of a comparison, those without targets or importance whatever these are."""
    for wanted in ARMS:
        for cell, fraction in found:
            setting, arm = cell.setting, _arm(cell)
            if arm != wanted or setting["k"] != block.k:
                continue
            if not is_random(cell) and setting["importance"] != block.importance:
                continue
            if setting["values"] != "uniform" and (
                setting["targets"] != block.targets or abs(setting["t"] - block.t) > 1e-9
            ):
                continue
            if fraction is None or fraction == block.fraction:
                yield arm, cell
                break


def _measured(cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {
        "status": cell.reason,
        "n": cell.n,
        "n_attacked": int(cell.attacked[0].sum()),
        "n_attacked_correct": int((cell.attacked & cell.correct_before)[0].sum()),
    }
    for name in ("attacked_accuracy", "success", "accuracy_minus_all"):
        row |= intervals.unknown(name)
    if cell.measured:
        row |= intervals.rate("attacked_accuracy", cell.correct_after)
        counted = cell.attacked & cell.correct_before
        row |= intervals.rate("success", ~cell.correct_after, counted)
    return row


def _common(place: Place, first: Cell, second: Cell) -> tuple[Cell, Cell]:
    """Take the samples that both were tried on."""
    if np.array_equal(first.ids, second.ids):
        return first, second
    ids = np.intersect1d(first.ids, second.ids)
    if not len(ids):
        raise InputError(
            f"{place.dataset}/{place.model}/seed{place.seed}: fimba.parquet and evasion.parquet "
            "have no sample in common; make them again."
        )
    return first.of(ids), second.of(ids)
