"""How good a classifier is on clean sequences, from its logits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from genosiege.calibration import expected_calibration_error
from genosiege.errors import InputError
from genosiege.sequence.answers import margins

SATURATED = 0.99
"""Largest probability above which a prediction is near its ceiling."""


@dataclass(frozen=True)
class Metrics:
    """Metrics of one split.

    Attributes
    ----------
    n : int
        Number of sequences.
    accuracy : float
        Share of sequences whose predicted class is the true one.
    mcc : float
        Matthews correlation coefficient; 0 where it is not defined.
    f1 : float
        Unweighted mean of the classes' F1; a class with no sequence, true or predicted,
        is left out.
    auroc : float or None
        Area under the ROC curve; one class against the rest, averaged over classes, where
        there are more than two. None where a class has no sequence.
    ece : float
        Expected calibration error over 15 equal bins of the predicted class's probability.
    loss : float
        Mean cross-entropy, in nats.
    mean_margin : float
        Mean of the true class's logit minus the largest other logit.
    saturation : float
        Share of the sequences whose largest probability is above `SATURATED`.
    confusion_matrix : list of list of int
        Rows are true classes, columns predicted ones.
    """

    n: int
    accuracy: float
    mcc: float
    f1: float
    auroc: float | None
    ece: float
    loss: float
    mean_margin: float
    saturation: float
    confusion_matrix: list[list[int]]


def classification_metrics(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> Metrics:
    """Compute all metrics of a split.

    Parameters
    ----------
    logits : ndarray, shape (n, C)
        One row per sequence.
    labels : ndarray of int, shape (n,)
        True classes, 0 to C - 1.

    Raises
    ------
    InputError
        If there is no sequence, the shapes do not fit, or a logit is not finite.
    """
    # Here, as it takes as long to import as torch: no script waits for it before its work.
    from sklearn.metrics import confusion_matrix, f1_score, matthews_corrcoef

    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    n, n_classes = logits.shape
    if n == 0 or labels.shape != (n,):
        raise InputError(
            f"{n} rows of logits, {len(labels)} labels: give one label per row, n > 0."
        )
    if not np.isfinite(logits).all():
        raise InputError("a logit is not finite: the model is damaged or its training diverged.")
    predicted = logits.argmax(axis=1)
    probabilities = softmax(logits, axis=1)
    return Metrics(
        n=n,
        accuracy=float((predicted == labels).mean()),
        mcc=float(matthews_corrcoef(labels, predicted)),
        f1=float(f1_score(labels, predicted, average="macro")),
        auroc=_auroc(probabilities, labels),
        ece=expected_calibration_error(probabilities, labels),
        loss=float(-log_softmax(logits, axis=1)[np.arange(n), labels].mean()),
        mean_margin=float(margins(logits, labels).mean()),
        saturation=float((probabilities.max(axis=1) > SATURATED).mean()),
        confusion_matrix=confusion_matrix(labels, predicted, labels=np.arange(n_classes)).tolist(),
    )


def predictions(
    ids: Sequence[str], logits: NDArray[np.floating], labels: NDArray[np.integer]
) -> pd.DataFrame:
    """Tabulate each sequence's prediction, so that two models can be compared pair by pair.

    Parameters
    ----------
    ids : sequence of str, length n
        Names of the sequences.
    logits, labels : ndarray (n, C) and ndarray of int (n,)
        As for `classification_metrics`.

    Returns
    -------
    pandas.DataFrame
        Columns id, label, predicted, correct, p_true, margin; `correct` as accuracy counts it.
    """
    logits = np.asarray(logits, dtype=np.float64)
    predicted = logits.argmax(axis=1)
    return pd.DataFrame(
        {
            "id": list(ids),
            "label": labels,
            "predicted": predicted,
            "correct": predicted == labels,
            "p_true": softmax(logits, axis=1)[np.arange(len(labels)), labels],
            "margin": margins(logits, labels),
        }
    )


def _auroc(probabilities: NDArray[np.float64], labels: NDArray[np.integer]) -> float | None:
    from sklearn.metrics import roc_auc_score

    n_classes = probabilities.shape[1]
    if len(np.unique(labels)) < n_classes:
        return None
    if n_classes == 2:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    return float(roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"))
