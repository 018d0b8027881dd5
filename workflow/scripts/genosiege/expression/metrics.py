"""How good a model of expression is on clean samples, from its probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from genosiege.calibration import expected_calibration_error
from genosiege.errors import InputError
from genosiege.expression.models import decisions


@dataclass(frozen=True)
class Metrics:
    """Metrics of one split; class 1 is the positive one.

    Attributes
    ----------
    n, n_positive, n_negative : int
        Numbers of samples.
    accuracy : float
        Share of samples whose predicted class is the true one.
    balanced_accuracy : float or None
        Mean of both classes' shares of correct samples; None where a class has no sample.
    mcc : float
        Matthews correlation coefficient; 0 where it is not defined.
    f1 : float or None
        Of the positive class; None where no sample is positive, truly or as predicted.
    auroc : float or None
        Area under the ROC curve; None where a class has no sample.
    ece : float
        Expected calibration error over 15 equal bins of the predicted class's probability.
    fp, fn : int
        Negatives called positive, positives called negative.
    fpr, fnr : float or None
        The same as shares of the negatives and of the positives; None where there are none.
    """

    n: int
    n_positive: int
    n_negative: int
    accuracy: float
    balanced_accuracy: float | None
    mcc: float
    f1: float | None
    auroc: float | None
    ece: float
    fp: int
    fn: int
    fpr: float | None
    fnr: float | None


def metrics(p_positive: NDArray[np.floating], labels: NDArray[np.integer]) -> Metrics:
    """Compute all metrics of a split.

    Parameters
    ----------
    p_positive : ndarray, shape (n,)
        Probability of class 1; above 0.5 it is the predicted class.
    labels : ndarray of int, shape (n,)
        True classes, 0 or 1.

    Raises
    ------
    InputError
        If there is no sample, the shapes do not fit, or a number is out of range.
    """
    p, classes = _checked(p_positive, labels)
    predicted = decisions(p)
    n, n_positive = len(classes), int(classes.sum())
    n_negative = n - n_positive
    fp = int(predicted[classes == 0].sum())
    fn = int((predicted[classes == 1] == 0).sum())
    tp, tn = n_positive - fn, n_negative - fp
    fpr = fp / n_negative if n_negative else None
    fnr = fn / n_positive if n_positive else None
    spread = math.sqrt((tp + fp) * n_positive * (tn + fn) * n_negative)
    return Metrics(
        n=n,
        n_positive=n_positive,
        n_negative=n_negative,
        accuracy=(tp + tn) / n,
        balanced_accuracy=None if fpr is None or fnr is None else 1 - (fpr + fnr) / 2,
        mcc=(tp * tn - fp * fn) / spread if spread else 0.0,
        f1=2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
        auroc=float(roc_auc_score(classes, p)) if n_positive and n_negative else None,
        ece=expected_calibration_error(np.stack([1 - p, p], axis=1), classes),
        fp=fp,
        fn=fn,
        fpr=fpr,
        fnr=fnr,
    )


def predictions(
    ids: Sequence[str] | NDArray[np.str_],
    p_positive: NDArray[np.floating],
    labels: NDArray[np.integer],
) -> pd.DataFrame:
    """Tabulate each sample's prediction.

    Parameters
    ----------
    ids : sequence of str, length n
        Names of the samples.
    p_positive, labels : ndarray (n,)
        As for `metrics`.

    Returns
    -------
    pandas.DataFrame
        Columns id, label, predicted, correct, p_true, p_positive; `correct` as accuracy
        counts it.
    """
    p, classes = _checked(p_positive, labels)
    predicted = decisions(p)
    return pd.DataFrame(
        {
            "id": [str(name) for name in ids],
            "label": classes,
            "predicted": predicted,
            "correct": predicted == classes,
            "p_true": np.where(classes == 1, p, 1 - p),
            "p_positive": p,
        }
    )


def _checked(
    p_positive: NDArray[np.floating], labels: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    p, true = np.asarray(p_positive, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if not p.size or p.ndim != 1 or p.shape != true.shape:
        raise InputError(
            f"probabilities of shape {p.shape}, labels of shape {true.shape}: give one of each "
            "per sample, and at least one sample."
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("a probability is outside [0, 1]: the model is damaged; train it again.")
    if not np.isin(true, (0, 1)).all():
        raise InputError("expression: a label is neither 0 nor 1; prepare the data again.")
    return p, true
