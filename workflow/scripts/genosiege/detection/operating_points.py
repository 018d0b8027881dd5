"""Where a detector's alarm is set from natural data alone, and how often it then rings."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FPRS = (0.01, 0.05)
"""False-positive rates that thresholds are set for."""

SUSPICION_FPR = 0.05
"""The false-positive rate at whose threshold the suspicion is 1."""


def threshold(validation: ArrayLike, fpr: float) -> float:
    """Set the alarm so that natural data raise it at most so often.

    Parameters
    ----------
    validation : array-like, shape (v,)
        Scores of natural validation data.
    fpr : float
        Share of natural data that may be called attacked.

    Returns
    -------
    float
        The j-th largest score, j = floor(fpr · (v + 1)); what scores strictly above it is called
        attacked. nan where j = 0: so few natural data attain no such rate, and no threshold that
        calls anything attacked is known to keep it.

    Notes
    -----
    Split conformal prediction (Vovk, Gammerman and Shafer 2005; Bates et al. 2023, Ann. Stat.
    51, 149–178): a natural score exchangeable with the v others is among the j largest of all
    v + 1 with a probability of at most j / (v + 1) ≤ fpr, ties or not.
    """
    scores = np.asarray(validation, dtype=float)
    # Rounded, as 0.07 · 100 is a little more than 7 and 0.29 · 100 a little less than 29.
    rank = int(np.floor(round(fpr * (len(scores) + 1), 9)))
    return float(np.sort(scores)[-rank]) if rank else float("nan")


class Suspicion(NamedTuple):
    """Makes scores comparable between detectors: 0 is natural, 1 is at the 5 % threshold."""

    median: float
    at_5_percent: float

    @classmethod
    def from_validation(cls, scores: ArrayLike) -> "Suspicion":
        """Take median and 5 % threshold of the scores of natural validation data, (v,).

        With fewer than 19 scores no threshold attains 5 %; the largest then takes its place.
        """
        natural = np.asarray(scores, dtype=float)
        at = threshold(natural, SUSPICION_FPR)
        return cls(float(np.median(natural)), float(natural.max()) if np.isnan(at) else at)

    def of(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Give (score − median) / (5 % threshold − median), of the shape of `scores`.

        Where threshold and median are one value, as with a constant score, nothing gives a scale
        and the differences are kept as they are.
        """
        scale = self.at_5_percent - self.median
        return (np.asarray(scores, dtype=np.float64) - self.median) / (scale if scale > 0 else 1.0)
