"""The covariance of rows, shrunk so that it has an inverse."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

# Least share of the mean variance: rounding cannot make the covariance singular.
_LEAST_SHRINKAGE = 1e-6


def shrunk(centred: Matrix, least_variance: float = 0.0) -> Matrix:
    """Estimate a covariance, shrunk towards its mean variance on the diagonal.

    Parameters
    ----------
    centred : ndarray of float64, shape (n, p)
        Rows less their means (each less that of its class, say), n and p at least 1.
    least_variance : float
        A mean variance that is not above this is rounding, and the result the identity.

    Returns
    -------
    ndarray of float64, shape (p, p)
        (1 − s) · S + s · trace(S) / p · I, where S is the mean of the rows' outer products and s
        their `shrinkage`, at least 1e-6. Positive definite, with fewer rows than columns or
        constant columns too.
    """
    covariance: Matrix = centred.T @ centred / len(centred)
    share = max(shrinkage(centred, covariance), _LEAST_SHRINKAGE)
    variance = float(np.trace(covariance)) / len(covariance)
    if variance <= least_variance:
        return np.eye(len(covariance))
    covariance *= 1 - share
    covariance[np.diag_indices_from(covariance)] += share * variance
    return covariance


def shrinkage(centred: Matrix, covariance: Matrix) -> float:
    """Give how far a covariance is shrunk towards its mean variance on the diagonal.

    Parameters
    ----------
    centred : ndarray of float64, shape (n, p)
        Rows less their means.
    covariance : ndarray of float64, shape (p, p)
        Mean of their outer products.

    Returns
    -------
    float
        In [0, 1]; 0 where p is 1.

    Notes
    -----
    Ledoit & Wolf (2004), J. Multivar. Anal. 88, 365–411, as `sklearn.covariance.ledoit_wolf`
    has it, with the sum over all pairs of columns written as a sum over rows: a third of the
    time.
    """
    n, p = centred.shape
    lengths = np.einsum("ij,ij->i", centred, centred)
    frobenius = float(np.einsum("ij,ij->", covariance, covariance))
    spread = frobenius - float(np.trace(covariance)) ** 2 / p
    error = (float(np.square(lengths).mean()) - frobenius) / n
    if p == 1 or error <= 0 or spread <= 0:
        return 0.0
    return float(min(error / spread, 1.0))
