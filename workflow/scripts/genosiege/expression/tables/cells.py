"""Rows of an attack as a rectangle: a line per setting and set of features, a column per sample."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.errors import InputError

SETTING = ["targets", "importance", "features", "values", "k", "t"]
"""What tells the settings of an attack apart; `feature_set` repeats one."""

ROWS = {
    "targets": "object",
    "importance": "object",
    "features": "object",
    "feature_set": "int64",
    "values": "object",
    "k": "int64",
    "t": "float64",
    "id": "object",
    "label": "int64",
    "p_true_before": "float64",
    "correct_before": "bool",
    "p_true_after": "float64",
    "correct_after": "bool",
    "l0": "float64",
    "l2": "float64",
    "neighbours_true": "bool",
    "status": "object",
}
"""The columns of `fimba.parquet` that tables need."""

ATTACKED = "attacked"
_OF_SAMPLE = ("label", "p_true_before", "correct_before")
_OF_TRIAL = (
    "p_true_after", "correct_after", "l0", "l2", "neighbours_true", "status", "feature_set",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cell:
    """One setting of an attack on n samples, with s sets of features (1 but for random ones).

    Attributes
    ----------
    setting : dict
        The columns `SETTING`, and what else tells settings apart.
    ids : ndarray of str, shape (n,)
        Sorted.
    label : ndarray of int64, shape (n,)
        0 or 1.
    p_true_before : ndarray of float64, shape (n,)
        Probability of the true class before the attack.
    correct_before : ndarray of bool, shape (n,)
        Whether the model is right before it.
    p_true_after, l0, l2 : ndarray of float64, shape (s, n)
        Probability after it, features that differ, and how far.
    correct_after, neighbours_true : ndarray of bool, shape (s, n)
        Whether the model is still right, and most of the nearest clean samples of the true class.
    status : ndarray of str, shape (s, n)
        `attacked`, or why not.
    feature_set : ndarray of int64, shape (s, n)
        Number of the set.
    """

    setting: dict[str, Any]
    ids: NDArray[np.object_]
    label: NDArray[np.int64]
    p_true_before: NDArray[np.float64]
    correct_before: NDArray[np.bool_]
    p_true_after: NDArray[np.float64]
    correct_after: NDArray[np.bool_]
    l0: NDArray[np.float64]
    l2: NDArray[np.float64]
    neighbours_true: NDArray[np.bool_]
    status: NDArray[np.object_]
    feature_set: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.ids)

    @property
    def attacked(self) -> NDArray[np.bool_]:
        """Which samples were attacked; shape (s, n)."""
        return np.asarray(self.status == ATTACKED)

    @property
    def measured(self) -> bool:
        """Whether the model was asked about every sample after the attack."""
        return bool(np.isfinite(self.p_true_after).all())

    @property
    def reason(self) -> str:
        """The statuses that occur, the commonest first."""
        names, counts = np.unique(self.status.astype(str), return_counts=True)
        return "; ".join(names[np.argsort(-counts, kind="stable")])

    @property
    def share_correct(self) -> NDArray[np.float64]:
        """Share of the feature sets under which the model is right about a sample; shape (n,)."""
        return np.asarray(self.correct_after.mean(axis=0), dtype=np.float64)

    def of(self, ids: NDArray[np.object_]) -> "Cell":
        """Take some samples only."""
        taken = np.isin(self.ids, ids)
        parts = {
            part.name: getattr(self, part.name)[..., taken]
            for part in fields(self)
            if part.name != "setting"
        }
        return Cell(setting=self.setting, **parts)


def cells(rows: pd.DataFrame, where: str, more: Sequence[str] = ()) -> Iterator[Cell]:
    """Bring the rows of one model into cells, sorted by setting.

    Parameters
    ----------
    rows : pandas.DataFrame
        `ROWS`, in any order.
    where : str
        The file, for an error.
    more : sequence of str
        Further columns that tell settings apart, such as `fraction`.

    Yields
    ------
    Cell
        One per setting.

    Raises
    ------
    InputError
        If a sample is missing from a set of features or is there twice, or is another sample
        before the attack than in other rows.
    """
    if rows.empty:
        return
    keys = [*more, *SETTING]
    table = rows.astype(dict.fromkeys(("targets", "importance", "features", "values"), "category"))
    setting = table.groupby(keys, dropna=False, sort=True, observed=True).ngroup().to_numpy()
    sample, ids = pd.factorize(rows["id"], sort=True)
    feature_set = rows["feature_set"].to_numpy()
    order = np.lexsort((sample, feature_set, setting))
    new_setting, new_set, new_sample = (
        np.diff(part[order], prepend=part.min() - 1) != 0 for part in (setting, feature_set, sample)
    )
    again = ~(new_setting | new_set | new_sample)
    if again.any():
        raise InputError(
            f"{where}: sample {ids[sample[order][again][0]]} is there twice in one setting; "
            "make this file again."
        )
    sorted_rows = rows.iloc[order]
    columns = {name: sorted_rows[name].to_numpy() for name in (*_OF_SAMPLE, *_OF_TRIAL, "id")}
    starts = np.flatnonzero(new_setting)
    for begin, end in zip(starts, [*starts[1:], len(order)], strict=True):
        sets = int((new_setting | new_set)[begin:end].sum())
        part = {name: column[begin:end] for name, column in columns.items()}
        names = {key: sorted_rows[key].iat[int(begin)] for key in keys}
        yield _cell(part, sets, names, where)


def _cell(columns: dict[str, NDArray[Any]], sets: int, setting: dict[str, Any], where: str) -> Cell:
    """Fold the rows of one setting, sorted by set and sample."""
    if len(columns["id"]) % sets:
        raise InputError(f"{where}: a sample lacks some sets of features; make this file again.")
    folded = {name: part.reshape(sets, -1) for name, part in columns.items()}
    for name in (*_OF_SAMPLE, "id"):
        if (folded[name] != folded[name][0]).any():
            raise InputError(
                f"{where}: {name} of a sample differs between sets of features; "
                "make this file again."
            )
    return Cell(
        setting=setting,
        ids=folded["id"][0],
        **{name: folded[name][0] for name in _OF_SAMPLE},
        **{name: folded[name] for name in _OF_TRIAL},
    )
