"""How good a classifier is on clean sequences, from its logits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from genosiege import runtime
from genosiege.calibration import expected_calibration_error
from genosiege.errors import InputError
from genosiege.input_checks import PASSED
from genosiege.sequence.answers import margins
from genosiege.statistics import Interval

SATURATED = 0.99
"""Largest probability above which a prediction is near its ceiling."""
N_RESAMPLES = 2000
"""Resamples behind the interval of MCC."""


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
    mcc_interval : dict of str to float
        `low` and `high`, the ends of MCC's 95 % interval; see `mcc_interval`.
    n_predicted_classes : int
        How many different predictions there are.
    majority_share : float
        Share of the most frequent true class: the accuracy of who always names it.
    better_than_chance : bool
        Whether the interval of MCC is above 0.
    input_check : str
        `passed`, or which of `input_checks.PHRASES` is true of the answers.
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
    mcc_interval: dict[str, float]
    n_predicted_classes: int
    majority_share: float
    better_than_chance: bool
    input_check: str


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
    confusion = confusion_matrix(labels, predicted, labels=np.arange(n_classes))
    interval = mcc_interval(confusion)
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
        confusion_matrix=confusion.tolist(),
        mcc_interval=interval._asdict(),
        n_predicted_classes=len(np.unique(predicted)),
        majority_share=float(confusion.sum(axis=1).max() / n),
        better_than_chance=interval.low > 0,
        input_check=_input_check(confusion, interval),
    )


def mcc_interval(confusion: NDArray[np.integer]) -> Interval:
    """Percentile bootstrap 95 % interval of MCC, sequences resampled.

    Parameters
    ----------
    confusion : ndarray of int, shape (C, C)
        Rows are true classes, columns predicted ones.

    Returns
    -------
    Interval
        Equal matrices have equal intervals: all draw from one stream. Of a constant
        prediction both ends are 0, as MCC is where it is not defined.

    Notes
    -----
    All that MCC knows of n sequences is which cell each is in, so drawing the n cells from
    the multinomial distribution of the matrix is drawing n sequences with replacement.
    """
    n, flat = int(confusion.sum()), confusion.ravel()
    drawn = runtime.stream(0, "mcc").multinomial(n, flat / n, size=N_RESAMPLES)
    values = correlation(drawn.reshape(-1, *confusion.shape))
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))


def correlation(confusion: NDArray[np.integer]) -> NDArray[np.float64]:
    """Matthews correlation coefficient of each confusion matrix (r, C, C), shape (r,).

    Notes
    -----
    For more than two classes Gorodkin's R_K (2004, Comput. Biol. Chem. 28, 367–374):
    (n · right − t · p) / √((n² − t · t)(n² − p · p)) with the counts t and p of the true and
    the predicted classes; 0 where one of them is constant.
    """
    tables = confusion.astype(np.float64)
    true, predicted = tables.sum(axis=2), tables.sum(axis=1)
    n, right = true.sum(axis=1), np.trace(tables, axis1=1, axis2=2)
    together = n * right - (true * predicted).sum(axis=1)
    spread = (n**2 - (true**2).sum(axis=1)) * (n**2 - (predicted**2).sum(axis=1))
    return np.asarray(np.where(spread > 0, together / np.sqrt(np.where(spread > 0, spread, 1)), 0))


def _input_check(confusion: NDArray[np.integer], interval: Interval) -> str:
    """Name the first of `input_checks.PHRASES` that is true of the answers."""
    if np.count_nonzero(confusion.sum(axis=0)) == 1:
        return "constant_model"
    if interval.high < 0:
        return "labels_swapped"
    return PASSED if interval.low > 0 else "no_better_than_majority"


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
