"""The table of the feature-importance attack: one row per model and setting."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.expression.tables import intervals, reading
from genosiege.expression.tables.cells import ROWS, SETTING, Cell, cells
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import PLACE, Cards

RANDOM = "random"
"""What features in no order of importance are called."""

ROUNDING = 1e-9
"""What sums of shares may differ by without a difference."""

COLUMNS = [
    *PLACE, "leak", *SETTING, "status", "n_genes", "n_sets", "n", "n_positive", "n_negative",
    "n_attacked", "n_attacked_correct", *columns("clean_accuracy"), *columns("attacked_accuracy"),
    "attacked_accuracy_sd", *columns("clean_balanced_accuracy"),
    *columns("attacked_balanced_accuracy"), "clean_fp", "attacked_fp", "clean_fn", "attacked_fn",
    *columns("clean_fpr"), *columns("attacked_fpr"), *columns("clean_fnr"),
    *columns("attacked_fnr"), *columns("success"), *columns("mean_confidence_drop"), "mean_l0",
    "mean_l2", *columns("neighbours_true"), *columns("accuracy_minus_random"),
    "hurts_less_than_random",
]  # fmt: skip

_AFTER = (
    "attacked_accuracy", "attacked_balanced_accuracy", "attacked_fpr", "attacked_fnr", "success",
    "mean_confidence_drop", "neighbours_true",
)  # fmt: skip


def fimba_table(paths: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Summarise the attacks on each model, one row per setting.

    Parameters
    ----------
    paths : iterable of str
        The models' `fimba.parquet`.
    cards : Cards
        Of the data that the models were trained on.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/fimba.rst`.

    Raises
    ------
    InputError
        If a file lacks a column or a sample, or has one twice in a setting.
    """
    rows: list[dict[str, Any]] = []
    for place, table, path in reading.read(paths, "fimba.parquet", ROWS):
        n_genes = cards.n_genes(place.dataset, place.seed)
        for row in _of_model(list(cells(table, path)), place, n_genes):
            leak = cards.leak(place.dataset, place.seed, row["targets"])
            rows.append(place.columns | {"leak": leak} | row)
    return reading.frame(rows, COLUMNS, [*PLACE, *SETTING])


def _of_model(
    found: Sequence[Cell], place: reading.Place, n_genes: int
) -> Iterator[dict[str, Any]]:
    """Summarise the cells of one model; all bootstraps share their resamples."""
    rows = [summary(cell) for cell in found]
    random = {counterpart(cell.setting): cell for cell in found if is_random(cell)}
    means = Means(place, "fimba")
    for cell, row in zip(found, rows, strict=True):
        if cell.measured:
            means.add(row, "mean_confidence_drop", *_drops(cell))
        row |= intervals.unknown("accuracy_minus_random")
        row["hurts_less_than_random"], other = _comparable(cell, random)
        if other is not None:
            means.add(row, "accuracy_minus_random", *difference(cell, other))
    means.fill()
    for row in rows:
        row["n_genes"] = n_genes
        row["hurts_less_than_random"] = row["hurts_less_than_random"] or _verdict(row)
    yield from rows


def summary(cell: Cell) -> dict[str, Any]:
    """Count what happened in a cell; where nothing was measured the status says why.

    The mean fall in confidence is left open, see `Means`.
    """
    positive = cell.label == 1
    attacked, before, after = cell.attacked, cell.correct_before, cell.correct_after
    row: dict[str, Any] = dict(cell.setting) | {
        "status": cell.reason,
        "n_sets": len(after),
        "n": cell.n,
        "n_positive": int(positive.sum()),
        "n_negative": int((~positive).sum()),
        "n_attacked": int(attacked[0].sum()),
        "n_attacked_correct": int((attacked & before)[0].sum()),
        "clean_fp": int((~before & ~positive).sum()),
        "clean_fn": int((~before & positive).sum()),
    }
    row |= intervals.rate("clean_accuracy", before)
    row |= intervals.balanced_accuracy("clean_balanced_accuracy", before, cell.label)
    row |= intervals.rate("clean_fpr", ~before, ~positive)
    row |= intervals.rate("clean_fnr", ~before, positive)
    for name in _AFTER:
        row |= intervals.unknown(name)
    row |= dict.fromkeys(
        ("attacked_accuracy_sd", "attacked_fp", "attacked_fn", "mean_l0", "mean_l2"), np.nan
    )
    if not cell.measured:
        return row
    of_negatives, of_positives = (
        np.broadcast_to(part, after.shape) for part in (~positive, positive)
    )
    row |= intervals.rate("attacked_accuracy", after)
    row |= intervals.balanced_accuracy("attacked_balanced_accuracy", after, cell.label)
    row |= intervals.rate("attacked_fpr", ~after, of_negatives)
    row |= intervals.rate("attacked_fnr", ~after, of_positives)
    row |= intervals.rate("success", ~after, attacked & before)
    row |= intervals.rate("neighbours_true", cell.neighbours_true, attacked)
    row["attacked_fp"] = float((~after & ~positive).sum(axis=1).mean())
    row["attacked_fn"] = float((~after & positive).sum(axis=1).mean())
    if len(after) > 1:
        row["attacked_accuracy_sd"] = float(after.mean(axis=1).std(ddof=1))
    if attacked.any():
        row["mean_l0"] = float(cell.l0[attacked].mean())
        row["mean_l2"] = float(cell.l2[attacked].mean())
    return row


def is_random(cell: Cell) -> bool:
    """Tell whether the features were drawn, not ranked."""
    return bool(cell.setting["features"] == RANDOM)


def counterpart(setting: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give what a setting shares with the one of random features that it is compared to."""
    t = setting["t"]
    # nan is not equal to itself; t went through a file, and may have lost its last bit.
    return (setting["targets"], setting["values"], setting["k"],
            None if np.isnan(t) else round(float(t), 9))  # fmt: skip


def difference(first: Cell, second: Cell) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Subtract the accuracies after two attacks, sample by sample.

    Parameters
    ----------
    first, second : Cell
        Of the same samples.

    Returns
    -------
    tuple of ndarray (n,)
        Per sample the difference of the shares of feature sets under which the model is
        right, and a count of 1.
    """
    if not np.array_equal(first.ids, second.ids):
        raise InputError(
            f"{first.setting['features']} and {second.setting['features']} features were tried on "
            "different samples; attack the model again."
        )
    return first.share_correct - second.share_correct, np.ones(first.n)


class _Asked(NamedTuple):
    row: dict[str, Any]
    name: str
    sums: NDArray[np.float64]
    counts: NDArray[np.float64]


class Means:
    """Means over the samples of one model, which all share one bootstrap.

    Parameters
    ----------
    place : Place
        Which model.
    *names : str
        What the means are of: the further names of the random stream.
    """

    def __init__(self, place: reading.Place, *names: str) -> None:
        self._stream: tuple[str | int, ...] = (*place, "table", *names)
        self._asked: dict[int, list[_Asked]] = {}

    def add(
        self,
        row: dict[str, Any],
        name: str,
        sums: NDArray[np.float64],
        counts: NDArray[np.float64],
    ) -> None:
        """Ask for a mean and its interval in a row; `sums` and `counts` are per sample, (n,)."""
        self._asked.setdefault(len(sums), []).append(_Asked(row, name, sums, counts))

    def fill(self) -> None:
        """Write the means and their 95 % intervals into their rows; nan where nothing counts."""
        for n, asked in sorted(self._asked.items()):
            sums = np.column_stack([entry.sums for entry in asked])
            counts = np.column_stack([entry.counts for entry in asked])
            found = intervals.ratios(sums, counts, runtime.stream(*self._stream, n))
            for entry, interval in zip(asked, found, strict=True):
                total = entry.counts.sum()
                value = float(entry.sums.sum() / total) if total else np.nan
                entry.row.update(intervals.named(entry.name, value, interval))


def _drops(cell: Cell) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum up each sample's falls in confidence, of the trials that were attacked."""
    drops = np.where(cell.attacked, cell.p_true_before - cell.p_true_after, 0.0)
    return drops.sum(axis=0), cell.attacked.sum(axis=0).astype(float)


def _comparable(cell: Cell, random: Mapping[tuple[Any, ...], Cell]) -> tuple[str, Cell | None]:
    """Find the random features that a cell is compared to, or say why there are none."""
    if is_random(cell):
        return "this is random", None
    if not cell.measured:
        return "not measured", None
    other = random.get(counterpart(cell.setting))
    if other is None or not other.measured:
        return "no random features", None
    if not cell.attacked.any():
        return "not attacked", None
    return "", other


def _verdict(row: Mapping[str, Any]) -> str:
    if row["k"] == row["n_genes"]:
        # Nothing was chosen: random values still differ, as each set of features has its own.
        return "all features"
    value, low, _ = (row[name] for name in columns("accuracy_minus_random"))
    if not value > ROUNDING:
        return "no"
    return "yes, interval excludes 0" if low > ROUNDING else "yes"
