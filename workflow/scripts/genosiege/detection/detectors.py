"""Detectors of attacked vectors: fitted on natural training rows, scores rise with distance.

Each is fitted by `fit` and gives a number per row by `score`; none ever sees an attacked row
before it scores one. They take expression and cached features alike. A module of a detector has
a function `make(name, given)`; it is imported by name.
"""

import importlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.detection.covariance import shrunk
from genosiege.detection.rows import Labels, Values, check_rows, check_training
from genosiege.errors import InputError
from genosiege.expression import fimba
from genosiege.expression.judging import MEMORY_CELLS, Predictor
from genosiege.expression.samples import Samples
from genosiege.kinds.detectors import EXPRESSION

if TYPE_CHECKING:
    from genosiege.detection.options import Detection

log = logging.getLogger(__name__)

Scores = NDArray[np.float64]


class Detector(Protocol):
    """What tells attacked rows from natural ones."""

    def fit(self, values: Values, labels: Labels, /) -> Self:
        """Learn natural training rows, (n, p), of these classes, (n,)."""
        ...

    def score(self, values: Values, /) -> Scores:
        """Give how suspicious each of the rows (m, p) is, (m,); finite, higher is more so."""
        ...


class Autoencoder(Protocol):
    """What is asked of a VAE here."""

    def reconstruct(self, values: Values, /) -> Values:
        """Give what the posterior means of samples (n, p) decode to, (n, p)."""
        ...


class Given(NamedTuple):
    """What a detector of expression may be made of.

    Attributes
    ----------
    model : Predictor
        The model under attack.
    vae : Autoencoder or None
        Of the same genes, trained already.
    options : Detection
        Numbers of neighbours and trees.
    seed : int
        Seed of the run.
    threads : int
        Most threads to use; no score depends on it.
    """

    model: Predictor
    vae: Autoencoder | None
    options: "Detection"
    seed: int
    threads: int


class Mahalanobis:
    """Squared Mahalanobis distance to the nearest class mean.

    Notes
    -----
    Lee et al. (2018), NeurIPS 31, 7167–7177: a mean for each class, and one covariance of the
    rows less the means of their classes. The covariance is shrunk (Ledoit & Wolf), so that it has
    an inverse with fewer rows than columns too. A class without rows has no mean.
    """

    def __init__(self) -> None:
        self._width: int | None = None

    def fit(self, values: Values, labels: Labels, /) -> Self:
        """Estimate means and covariance; see the class."""
        from scipy.linalg import cholesky

        check_training("mahalanobis", values, labels)
        rows = values.astype(np.float64)
        self._centre = rows.mean(axis=0)
        present = np.unique(labels)
        means = np.stack([rows[labels == label].mean(axis=0) for label in present])
        rows -= means[np.searchsorted(present, labels)]
        # What differs by less than float32 tells apart does not differ.
        rounding = np.finfo(np.float32).eps ** 2 * np.square(values).mean(dtype=np.float64)
        covariance = shrunk(rows, float(rounding))
        self._factor = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
        self._means = self._whitened(means)
        self._width = values.shape[1]
        return self

    def score(self, values: Values, /) -> Scores:
        """Give the smallest squared distance over the classes, (m,)."""
        check_rows("mahalanobis", values, self._width)
        found = np.empty(len(values))
        for part in _blocks(len(values), values.shape[1]):
            away = self._whitened(values[part].astype(np.float64))
            squared = [np.square(away - mean).sum(axis=1) for mean in self._means]
            found[part] = np.min(squared, axis=0)
        return found

    def _whitened(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        # In these coordinates the covariance is the identity.
        from scipy.linalg import solve_triangular

        solved: NDArray[np.float64] = solve_triangular(
            self._factor, (rows - self._centre).T, lower=True, overwrite_b=True, check_finite=False
        ).T
        return solved


class NearestNeighbours:
    """Mean Euclidean distance to the nearest training rows, whatever their class.

    Parameters
    ----------
    n : int
        Neighbours; as many as there are where fewer rows were fitted.

    Raises
    ------
    InputError
        If n is not positive.
    """

    def __init__(self, n: int = 5) -> None:
        if n < 1:
            raise InputError(f"nearest_neighbours, {n} neighbours: give at least 1.")
        self._n = n
        self._width: int | None = None

    def fit(self, values: Values, labels: Labels, /) -> Self:
        """Keep the training rows."""
        check_training("nearest_neighbours", values, labels)
        # About their mean, which loses the least in the difference of squares below.
        self._centre = values.mean(axis=0, dtype=np.float64)
        self._rows = values - self._centre
        self._lengths = np.einsum("ij,ij->i", self._rows, self._rows)
        self._width = values.shape[1]
        return self

    def score(self, values: Values, /) -> Scores:
        """Give the mean distance to the nearest training rows, (m,)."""
        check_rows("nearest_neighbours", values, self._width)
        known = self._rows
        n = min(self._n, len(known))
        found = np.empty(len(values))
        for part in _blocks(len(values), max(known.shape)):
            asked = values[part] - self._centre
            # |y|² − 2xy orders the rows y by their distance from x.
            order = asked @ known.T
            order *= -2
            order += self._lengths
            nearest = np.argpartition(order, n - 1, axis=1)[:, :n]
            # Worked out anew, as the difference of large sums would never be quite zero.
            distances = [
                np.sqrt(np.square(asked - known[neighbour]).sum(axis=1)) for neighbour in nearest.T
            ]
            found[part] = np.sort(distances, axis=0).mean(axis=0)
        return found


class IsolationForest:
    """How soon random splits set a row apart.

    Parameters
    ----------
    trees : int
        Number of trees, each of 256 training rows at most.
    seed : int
        Of all draws.
    threads : int
        Most threads that grow trees; no score depends on it.

    Notes
    -----
    Liu, Ting & Zhou (2008), ICDM, 413–422: the score is 2^(−mean depth / expected depth), in
    (0, 1).
    """

    def __init__(self, trees: int = 200, seed: int = 0, threads: int = 1) -> None:
        from sklearn import ensemble

        state = int(runtime.stream(seed, "isolation forest").integers(2**31))
        self._forest = ensemble.IsolationForest(
            n_estimators=trees, random_state=state, n_jobs=threads
        )
        self._width: int | None = None

    def fit(self, values: Values, labels: Labels, /) -> Self:
        """Grow the trees."""
        check_training("isolation_forest", values, labels)
        self._forest.fit(values)
        self._width = values.shape[1]
        return self

    def score(self, values: Values, /) -> Scores:
        """Give the anomaly score of each row, (m,)."""
        check_rows("isolation_forest", values, self._width)
        if not len(values):
            return np.empty(0)
        found: Scores = -self._forest.score_samples(values)
        return found


class Reconstruction:
    """Mean squared error of the reconstruction by a VAE, which is trained already.

    Parameters
    ----------
    vae : Autoencoder
        Of the same columns.
    """

    def __init__(self, vae: Autoencoder) -> None:
        self._vae = vae

    def fit(self, values: Values, labels: Labels, /) -> Self:
        """Learn nothing."""
        return self

    def score(self, values: Values, /) -> Scores:
        """Give the mean over columns of the squared error, (m,)."""
        found = np.empty(len(values))
        for part in _blocks(len(values), values.shape[1]):
            rows = values[part].astype(np.float64)
            found[part] = np.square(self._vae.reconstruct(values[part]) - rows).mean(axis=1)
        return found


class ModelMargin:
    """How undecided the attacked model is: −|p1 − p0|.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    """

    def __init__(self, model: Predictor) -> None:
        self._model = model

    def fit(self, values: Values, labels: Labels, /) -> Self:
        """Learn nothing."""
        return self

    def score(self, values: Values, /) -> Scores:
        """Give minus the margin between the two probabilities, (m,), in [−1, 0]."""
        if not len(values):
            return np.empty(0)
        probabilities = np.asarray(self._model.predict_proba(values), dtype=np.float64)
        found: Scores = -np.abs(probabilities[:, 1] - probabilities[:, 0])
        return found


def build(
    names: Iterable[str],
    *,
    model: Predictor,
    vae: Autoencoder | None,
    options: "Detection",
    seed: int,
    threads: int = 1,
) -> dict[str, Detector]:
    """Make detectors of expression, not fitted yet.

    Parameters
    ----------
    names : iterable of str
        Of `options.EXPRESSION`.
    model, vae, options, seed, threads
        As in `Given`.

    Returns
    -------
    dict of str to Detector
        In the order asked.

    Raises
    ------
    InputError
        If there is no such detector, or `vae` is asked without one.
    """
    given = Given(model, vae, options, seed, threads)
    made = {}
    for name in names:
        if name not in EXPRESSION:
            known = ", ".join(EXPRESSION)
            raise InputError(f'detection, expression "{name}": choose among {known}.')
        module = importlib.import_module(f"genosiege.detection.{EXPRESSION[name]}")
        made[name] = module.make(name, given)
    return made


def make(name: str, given: Given) -> Detector:
    """Make one of the detectors that come with the library."""
    from genosiege.detection.spectral import SpectralDistance

    def of_vae() -> Detector:
        if given.vae is None:
            raise InputError("detection, vae: there is no VAE; train one, or leave `vae` out.")
        return Reconstruction(given.vae)

    options = given.options
    makers: dict[str, Callable[[], Detector]] = {
        "spectral": SpectralDistance,
        "mahalanobis": Mahalanobis,
        "nearest_neighbours": lambda: NearestNeighbours(options.neighbours),
        "isolation_forest": lambda: IsolationForest(options.trees, given.seed, given.threads),
        "vae": of_vae,
        "margin": lambda: ModelMargin(given.model),
    }
    return makers[name]()


def fitted(
    detectors: Mapping[str, Detector], train: Samples, fit_samples: int | None, seed: int
) -> dict[str, Detector]:
    """Fit detectors on natural training samples, all on the same ones.

    Parameters
    ----------
    detectors : mapping of str to Detector
        As `build` gives them; fitted in place.
    train : Samples
        The training split, clean.
    fit_samples : int or None
        Samples to fit on, drawn in proportion to the classes; None for all.
    seed : int
        Seed of the run.

    Returns
    -------
    dict of str to Detector
        The same ones.
    """
    rows = fimba.stratified(train.labels, fit_samples, runtime.stream(seed, "detector fit"))
    chosen = train.take(rows)
    done = {}
    for name, detector in detectors.items():
        done[name] = detector.fit(chosen.values, chosen.labels)
        log.info("detector %s: fitted on %d samples", name, len(chosen))
    return done


def scores(detectors: Mapping[str, Detector], values: Values) -> dict[str, Scores]:
    """Score rows with every detector.

    Parameters
    ----------
    detectors : mapping of str to Detector
        Fitted.
    values : ndarray of float32, shape (m, p)
        Rows, natural or attacked.

    Returns
    -------
    dict of str to ndarray of float64, shape (m,)
        By column, `score_` and the name of the detector.

    Raises
    ------
    InputError
        If a score is missing or infinite.
    """
    found = {}
    for name, detector in detectors.items():
        found[f"score_{name}"] = detector.score(values)
        if not np.isfinite(found[f"score_{name}"]).all():
            raise InputError(
                f"detector {name}: a score is missing or infinite; check what it was given."
            )
    return found


def _blocks(n: int, width: int) -> list[slice]:
    step = max(1, MEMORY_CELLS // max(width, 1))
    return [slice(start, start + step) for start in range(0, n, step)]
