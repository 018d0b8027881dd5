"""What moving samples did to a model: its answers before and after, and how far they went."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.expression.samples import Samples

if TYPE_CHECKING:
    import pandas as pd

Values = NDArray[np.float32]
"""Expression of samples, (n, p), scaled to about [-1, 1]."""

ATTACKED = "attacked"
NO_TARGETS = "no_targets"
K_EXCEEDS_FEATURES = "k_exceeds_features"

MEMORY_CELLS = 4_000_000
"""Numbers in float64 that a step over blocks of rows holds at once (32 MB)."""


class Predictor(Protocol):
    """What is asked of a model here."""

    def predict_proba(self, values: Values, /) -> NDArray[np.float64]:
        """Give the probability of both classes, (n, 2)."""
        ...


class Answers(NamedTuple):
    """A model's answers: probability of the true class and whether it is predicted, both (n,)."""

    p_true: NDArray[np.float64]
    correct: NDArray[np.bool_]


def answers(model: Predictor, values: Values, labels: NDArray[np.int64]) -> Answers:
    """Ask a model about samples; equal probabilities are a prediction of class 0.

    Parameters
    ----------
    model : Predictor
        Any model of expression.
    values : ndarray of float32, shape (n, p)
        The samples.
    labels : ndarray of int64, shape (n,)
        Their true classes.

    Returns
    -------
    Answers
        Both of shape (n,).
    """
    if not len(values):
        return Answers(np.empty(0), np.empty(0, dtype=bool))
    probabilities = np.asarray(model.predict_proba(values), dtype=np.float64)
    predicted = (probabilities[:, 1] > probabilities[:, 0]).astype(np.int64)
    return Answers(probabilities[np.arange(len(labels)), labels], predicted == labels)


class Neighbours:
    """The clean training samples, to tell what class a moved sample looks like.

    Parameters
    ----------
    train : Samples
        The training split.
    n : int
        Neighbours that vote; as many as there are where the split has fewer.

    Raises
    ------
    InputError
        If n is not positive or there is no training sample.
    """

    def __init__(self, train: Samples, n: int = 5) -> None:
        from sklearn.neighbors import NearestNeighbors

        if n < 1 or not len(train):
            raise InputError(
                f"{n} neighbours among {len(train)} training samples: both must be 1 at least."
            )
        self.labels = train.labels
        self.n = min(n, len(train))
        self._index = NearestNeighbors(n_neighbors=self.n, algorithm="brute").fit(train.values)

    def of_true_class(self, values: Values, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell for each sample whether most of its nearest neighbours have its true class.

        Parameters
        ----------
        values : ndarray of float32, shape (n, p)
            Samples, moved or not.
        labels : ndarray of int64, shape (n,)
            Their true classes.

        Returns
        -------
        ndarray of bool, shape (n,)
            More than half of the nearest training samples, by Euclidean distance over all
            features, have that class: 3 of 5.
        """
        if not len(values):
            return np.empty(0, dtype=bool)
        rows = self._index.kneighbors(values, return_distance=False)
        votes = (self.labels[rows] == labels[:, None]).sum(axis=1)
        most: NDArray[np.bool_] = 2 * votes > self.n
        return most


class Outcome(NamedTuple):
    """What happened to each moved sample, all (n,)."""

    p_true: NDArray[np.float64]
    correct: NDArray[np.bool_]
    l0: NDArray[np.int64]
    l2: NDArray[np.float64]
    neighbours_true: NDArray[np.bool_]


def outcome(
    model: Predictor, test: Samples, moved: Values, neighbours: Neighbours, before: Answers
) -> Outcome:
    """Ask the model about moved samples; one that did not move keeps its answer.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    test : Samples
        The samples as they were, n of them.
    moved : ndarray of float32, shape (n, p)
        The samples as they are now, in the same order.
    neighbours : Neighbours
        Of the clean training samples.
    before : Answers
        The model's answers to `test`.

    Returns
    -------
    Outcome
        `l0` features differ, `l2` is the Euclidean distance in scaled units.
    """
    if moved.shape != test.values.shape:
        raise InputError(
            f"moved samples have shape {moved.shape}, those before {test.values.shape}; give one "
            "moved sample for each."
        )
    l0, l2 = distances(test.values, moved)
    changed = np.flatnonzero(l0)
    p_true, correct = before.p_true.copy(), before.correct.copy()
    after = answers(model, moved[changed], test.labels[changed])
    p_true[changed], correct[changed] = after
    return Outcome(p_true, correct, l0, l2, neighbours.of_true_class(moved, test.labels))


def distances(values: Values, moved: Values) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count the features that differ and measure the Euclidean distance, row by row."""
    n, width = values.shape
    l0, l2 = np.zeros(n, dtype=np.int64), np.zeros(n)
    step = max(1, MEMORY_CELLS // max(width, 1))
    for start in range(0, n, step):
        part = slice(start, start + step)
        difference = moved[part].astype(np.float64) - values[part]
        l0[part] = np.count_nonzero(difference, axis=1)
        l2[part] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return l0, l2


def rows(
    test: Samples,
    before: Answers,
    after: Outcome,
    setting: Mapping[str, Any],
    status: NDArray[np.str_] | str = ATTACKED,
) -> "pd.DataFrame":
    """Write outcomes as rows of a table: the setting, the same in all rows, then each sample."""
    import pandas as pd

    ids = test.ids.astype(object)
    table: dict[str, Any] = {name: [value] * len(test) for name, value in setting.items()}
    table |= {
        "id": ids,
        "label": test.labels,
        "p_true_before": before.p_true,
        "correct_before": before.correct,
        "p_true_after": after.p_true,
        "correct_after": after.correct,
        "l0": after.l0,
        "l2": after.l2,
        "neighbours_true": after.neighbours_true,
        "status": np.broadcast_to(np.asarray(status, dtype=object), len(test)),
    }
    return pd.DataFrame(table)


def judge(
    model: Predictor,
    test: Samples,
    moved: Values,
    neighbours: Neighbours,
    setting: Mapping[str, Any],
    *,
    before: Answers | None = None,
    status: NDArray[np.str_] | str = ATTACKED,
) -> "pd.DataFrame":
    """Turn moved samples into rows of `fimba.parquet` or `evasion.parquet`.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    test : Samples
        The samples as they were, n of them.
    moved : ndarray of float32, shape (n, p)
        The samples as they are now. A row equal to the one before is not asked about again.
    neighbours : Neighbours
        Of the clean training samples.
    setting : mapping
        Columns that are the same in all rows (targets, features, k, …), in their order.
    before : Answers, optional
        The model's answers to `test`, where they are known already.
    status : str or ndarray of str, shape (n,)
        What to write as status.

    Returns
    -------
    DataFrame
        n rows: the setting, then id, label, p_true_before, correct_before, p_true_after,
        correct_after, l0, l2, neighbours_true, status.

    Raises
    ------
    InputError
        If the shapes of `test` and `moved` differ.
    """
    known = before or answers(model, test.values, test.labels)
    return rows(test, known, outcome(model, test, moved, neighbours, known), setting, status)


def not_run(
    test: Samples, before: Answers, setting: Mapping[str, Any], status: str
) -> "pd.DataFrame":
    """Write rows for a setting that cannot be: nothing after, and nothing moved."""
    n = len(test)
    nothing = np.zeros(n, dtype=bool)
    missing = np.full(n, np.nan)
    after = Outcome(missing, nothing, np.zeros(n, dtype=np.int64), missing, nothing)
    return rows(test, before, after, setting, status)
