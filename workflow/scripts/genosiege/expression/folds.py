"""Predictions for the training split by models that have not seen the sample."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.expression import models
from genosiege.expression.samples import Samples

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# Part of a fold's training rows on which its model decides when to stop: one in so many.
_DEV_PART = 10


def out_of_fold(
    entry: Mapping[str, Any],
    train: Samples,
    folds: int,
    seed: int,
    threads: int = 1,
    groups: Sequence[str] | None = None,
) -> "pd.DataFrame":
    """Predict each training sample by a model that was trained on the other folds.

    Parameters
    ----------
    entry : mapping
        Of the model, as for `models.create`.
    train : Samples
        The training split.
    folds : int
        Number of stratified folds, at least 2.
    seed : int
        Of the folds and of each fold's model. scikit-learn's `StratifiedKFold`, shuffled
        with this `random_state`, gives the same folds.
    threads : int
        As for `models.create`.
    groups : sequence of str, length n, optional
        Donors or sites that no fold divides (scikit-learn's `StratifiedGroupKFold`), where the
        splits do not either: a model that knows a donor errs less on it.

    Returns
    -------
    pandas.DataFrame
        A row per sample, in the order of `train`: id, label, fold (from 0), p_positive,
        predicted, correct.

    Raises
    ------
    InputError
        If there are fewer than two folds, one class only, or fewer samples of a class than
        folds.

    Notes
    -----
    A model that stops early does so on a stratified tenth of its own training rows, and
    learns from the rest; any other learns from all of them.
    """
    import pandas as pd
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    _check(train.labels, folds)
    p_positive, fold_of = np.empty(len(train)), np.empty(len(train), dtype=np.int64)
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    for fold, (seen, held_out) in enumerate(splitter.split(train.values, train.labels, groups)):
        _check_seen(train.labels[seen], folds)
        model = models.create(entry, len(train.genes), seed, threads)
        if model.needs_dev:
            rng = runtime.stream(seed, fold, "out-of-fold dev")
            learnt, judged = split_tenth(seen, train.labels, rng)
        else:
            learnt, judged = seen, seen[:0]
        model.fit(train.take(learnt), train.take(judged))
        p_positive[held_out] = model.predict_proba(train.values[held_out])[:, 1]
        fold_of[held_out] = fold
        log.info("fold %d of %d: %d samples predicted", fold + 1, folds, len(held_out))
    predicted = models.decisions(p_positive)
    return pd.DataFrame(
        {
            "id": train.ids.tolist(),
            "label": train.labels,
            "fold": fold_of,
            "p_positive": p_positive,
            "predicted": predicted,
            "correct": predicted == train.labels,
        }
    )


def _check_seen(labels: NDArray[np.int64], folds: int) -> None:
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"out-of-fold predictions: with {folds} folds of whole donors or sites, all samples of "
            "a class fall into one; take fewer folds, or another split."
        )


def split_tenth(
    rows: NDArray[np.integer], labels: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take a tenth of each class out of some rows.

    Parameters
    ----------
    rows : ndarray of int
        Numbers of samples.
    labels : ndarray of int
        Of all samples.
    rng : numpy.random.Generator
        For the choice.

    Returns
    -------
    tuple of ndarray
        The rows that stay and those taken, both in order. Of a class with two samples or
        more at least one is taken, and at least one stays; a class's only one stays.
    """
    taken: list[NDArray[np.integer]] = []
    for label in np.unique(labels[rows]):
        of_class = rows[labels[rows] == label]
        n = min(max(1, round(len(of_class) / _DEV_PART)), len(of_class) - 1)
        taken.append(rng.permutation(of_class)[:n])
    judged = np.sort(np.concatenate(taken)).astype(np.int64)
    return np.setdiff1d(rows, judged).astype(np.int64), judged


def _check(labels: NDArray[np.int64], folds: int) -> None:
    if type(folds) is not int or folds < 2:
        raise InputError(f"folds {folds!r}: give a whole number ≥ 2.")
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        raise InputError(
            f"out-of-fold predictions: {len(labels)} training samples of one class only; "
            "add samples of the other."
        )
    if counts.min() < folds:
        raise InputError(
            f"out-of-fold predictions: {counts.min()} training samples of class {counts.argmin()} "
            f"for {folds} folds; add samples or lower folds."
        )
