"""How far a classifier's confidence is from its accuracy."""

import numpy as np
from numpy.typing import NDArray

N_BINS = 15


def expected_calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], n_bins: int = N_BINS
) -> float:
    """Weigh each bin's gap between confidence and accuracy by its share of the sequences.

    Parameters
    ----------
    probabilities : ndarray, shape (n, C)
        Rows sum to 1.
    labels : ndarray of int, shape (n,)
        True classes.
    n_bins : int
        Number of bins of equal width on [0, 1], open below and closed above.

    Notes
    -----
    Guo et al. (2017), On calibration of modern neural networks, ICML, equation 3.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    # Rounded: a forest's votes often lie on the edge of a bin.
    bins = np.clip(np.ceil(np.round(confidence * n_bins, 9)).astype(int) - 1, 0, n_bins - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(labels))
