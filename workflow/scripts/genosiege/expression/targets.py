"""Where samples are moved to: the nearest error of the model, or the nearest other class."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.expression.judging import MEMORY_CELLS, Values
from genosiege.expression.samples import Samples

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("error", "opposite", "test_error")
"""Kinds of targets."""
LEAKY = ("test_error",)
"""Kinds that know the test split; no sound attack uses them."""

# Candidates beside those asked for whose distance is worked out exactly too: sklearn's is a
# difference of large sums.
_SPARE = 7


@dataclass(frozen=True, eq=False)
class Targets:
    """Candidates to move samples to.

    Attributes
    ----------
    kind : str
        `error`, `opposite` or `test_error`.
    samples : Samples
        The split that they belong to.
    candidates : tuple of ndarray of int, length 2
        For each class, the rows of `samples` that a sample of that class may be moved to.
    """

    kind: str
    samples: Samples
    candidates: tuple[NDArray[np.intp], NDArray[np.intp]]

    def for_class(self, label: int) -> NDArray[np.intp]:
        """Give the rows of `samples` that a sample of this class may be moved to."""
        return self.candidates[label]


class Assigned(NamedTuple):
    """The target of each sample: its row in the split of targets, or -1, and its values.

    A sample without a target has its own values, so that moving it to them changes nothing.
    """

    rows: NDArray[np.intp]
    values: Values


def opposite_targets(train: Samples) -> Targets:
    """Take as targets all training samples of the other class."""
    return Targets(
        "opposite",
        train,
        (np.flatnonzero(train.labels == 1), np.flatnonzero(train.labels == 0)),
    )


def error_targets(train: Samples, out_of_fold: "pd.DataFrame") -> Targets:
    """Take as targets the training samples that models fitted without them get wrong.

    Parameters
    ----------
    train : Samples
        The training split.
    out_of_fold : DataFrame
        Columns id, label, predicted: the prediction for each training sample by the model
        that was fitted on the other folds; rows in any order.

    Returns
    -------
    Targets
        False positives for class 0, false negatives for class 1; none where there is none.

    Raises
    ------
    InputError
        If the rows are not those of the training split.
    """
    return _errors("error", train, out_of_fold, "out_of_fold", "training")


def test_error_targets(test: Samples, predictions: "pd.DataFrame") -> Targets:
    """Take as targets the model's errors on the test split, as published.

    The attacker then knows labels and predictions of the split that the attack is judged on:
    every table marks it. `assign` never gives a sample itself as target.

    Parameters
    ----------
    test : Samples
        The test split.
    predictions : DataFrame
        Columns id, label, predicted, for each test sample.

    Raises
    ------
    InputError
        If the rows are not those of the test split.
    """
    return _errors("test_error", test, predictions, "predictions", "test")


def _errors(kind: str, split: Samples, table: "pd.DataFrame", name: str, which: str) -> Targets:
    absent = [column for column in ("id", "label", "predicted") if column not in table.columns]
    if absent:
        raise InputError(f"{name}: column {absent[0]} is missing; make the table anew.")
    found = table.set_index(table["id"].astype(str))
    if sorted(found.index) != sorted(split.ids.tolist()):
        raise InputError(f"{name}: its samples are not those of the {which} split; make it anew.")
    found = found.loc[split.ids.tolist()]
    if not np.array_equal(found["label"].to_numpy(), split.labels):
        raise InputError(f"{name}: its labels are not those of the {which} split; make it anew.")
    wrong = found["predicted"].to_numpy() != split.labels
    return Targets(
        kind,
        split,
        (
            np.flatnonzero(wrong & (split.labels == 0)),
            np.flatnonzero(wrong & (split.labels == 1)),
        ),
    )


def make(
    kinds: Iterable[str],
    train: Samples,
    out_of_fold: "pd.DataFrame",
    published: "tuple[Samples, pd.DataFrame] | None" = None,
) -> dict[str, Targets]:
    """Make the targets of these kinds.

    Parameters
    ----------
    kinds : iterable of str
        Of `KINDS`.
    train : Samples
        The training split.
    out_of_fold : DataFrame
        Its out-of-fold predictions.
    published : tuple of Samples and DataFrame, optional
        The whole test split and the model's predictions of it, for `test_error` only.

    Returns
    -------
    dict of str to Targets
        In the order asked.

    Raises
    ------
    InputError
        If a kind is unknown or `test_error` is asked without the test split.
    """
    made: dict[str, Targets] = {}
    for kind in kinds:
        if kind == "error":
            made[kind] = error_targets(train, out_of_fold)
        elif kind == "opposite":
            made[kind] = opposite_targets(train)
        elif kind == "test_error" and published is not None:
            made[kind] = test_error_targets(*published)
        elif kind == "test_error":
            raise InputError("targets test_error: they need the model's predictions; give them.")
        else:
            raise InputError(f'targets "{kind}": choose among {", ".join(KINDS)}.')
    return made


def assign(targets: Targets, samples: Samples) -> Assigned:
    """Give each sample the nearest target of its class.

    Parameters
    ----------
    targets : Targets
        Candidates, with the genes of `samples`.
    samples : Samples
        n samples to be moved. One that is itself a candidate, told by its id, is not taken.

    Returns
    -------
    Assigned
        rows (n,), -1 where there is no candidate; values (n, p).

    Raises
    ------
    InputError
        If the genes differ.
    """
    rows = assign_several(targets, samples, 1)[:, 0]
    values = samples.values.copy()
    values[rows >= 0] = targets.samples.values[rows[rows >= 0]]
    return Assigned(rows, values)


def assign_several(targets: Targets, samples: Samples, n: int) -> NDArray[np.intp]:
    """Give each sample the n nearest targets of its class, the nearest first.

    Parameters
    ----------
    targets, samples
        As in `assign`.
    n : int
        How many, 1 at least.

    Returns
    -------
    ndarray of int, shape (len(samples), n)
        Rows of the split of the targets; -1 behind the last where there are fewer than n.

    Raises
    ------
    InputError
        If the genes differ.
    """
    if targets.samples.genes != samples.genes:
        raise InputError("targets and samples have different genes; prepare both together.")
    rows = np.full((len(samples), n), -1, dtype=np.intp)
    where = {name: row for row, name in enumerate(targets.samples.ids.tolist())}
    own = np.array([where.get(name, -1) for name in samples.ids.tolist()], dtype=np.intp)
    for label in (0, 1):
        mine = np.flatnonzero(samples.labels == label)
        candidates = targets.for_class(label)
        if not len(mine) or not len(candidates):
            continue
        position = np.full(len(targets.samples), -1, dtype=np.intp)
        position[candidates] = np.arange(len(candidates))
        forbidden = np.where(own[mine] >= 0, position[own[mine]], -1)
        few = targets.samples.values[candidates]
        found = nearest_several(samples.values[mine], few, n, forbidden)
        rows[mine] = np.where(found >= 0, candidates[found], -1)
    return rows


def nearest(
    values: Values, candidates: Values, forbidden: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """Find the nearest candidate of each sample, by Euclidean distance over all features.

    Parameters
    ----------
    values : ndarray of float32, shape (n, p)
        Samples.
    candidates : ndarray of float32, shape (m, p)
        What they may be moved to.
    forbidden : ndarray of int, shape (n,), optional
        For each sample a row of `candidates` that is not taken (itself), or -1.

    Returns
    -------
    ndarray of int, shape (n,)
        Rows of `candidates`; the first of equally near ones; -1 where there is none.
    """
    return nearest_several(values, candidates, 1, forbidden)[:, 0]


def nearest_several(
    values: Values,
    candidates: Values,
    n: int,
    forbidden: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """Find the n nearest candidates of each sample, the nearest first.

    Parameters
    ----------
    values, candidates, forbidden
        As in `nearest`.
    n : int
        How many, 1 at least.

    Returns
    -------
    ndarray of int, shape (len(values), n)
        Rows of `candidates`; of equally near ones the first comes first; -1 behind the last
        where there are fewer than n.
    """
    from sklearn.neighbors import NearestNeighbors

    found = np.full((len(values), n), -1, dtype=np.intp)
    if not found.size or not len(candidates):
        return found
    close_by = min(len(candidates), n + _SPARE)
    index = NearestNeighbors(n_neighbors=close_by, algorithm="brute").fit(candidates)
    close = np.sort(index.kneighbors(values, return_distance=False), axis=1)
    step = max(1, MEMORY_CELLS // (close_by * values.shape[1]))
    for start in range(0, len(values), step):
        part = slice(start, start + step)
        difference = candidates[close[part]].astype(np.float64) - values[part, None]
        squared = np.einsum("ijk,ijk->ij", difference, difference)
        if forbidden is not None:
            squared[close[part] == forbidden[part, None]] = np.inf
        best = np.argsort(squared, axis=1, kind="stable")[:, :n]
        taken = np.take_along_axis(close[part], best, axis=1)
        reachable = np.isfinite(np.take_along_axis(squared, best, axis=1))
        found[part, : best.shape[1]] = np.where(reachable, taken, -1)
    return found
