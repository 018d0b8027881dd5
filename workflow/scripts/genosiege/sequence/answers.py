"""What a model says of candidates, seen from the true class."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from genosiege.errors import InputError


def check_finite(found: NDArray[np.floating], file: str, identity: Callable[[int], str]) -> None:
    """Refuse answers of which no margin can be taken: not a number, or infinite.

    Such a margin is neither above nor below 0, so it would count as withstood or as wrong.

    Parameters
    ----------
    found : ndarray, shape (n, m)
        Logits or features.
    file : str
        What the model was read from.
    identity : callable
        Gives the id of the sequence that a row is about.

    Raises
    ------
    InputError
        If a value is not finite: the first such row is named.
    """
    finite = np.isfinite(found).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{file or 'the model'}: its answer to sequence {identity(int(finite.argmin()))} is "
            "not finite: the file is damaged, or its training diverged; train or fetch it again."
        )


def quoted(sequence: str, width: int = 20) -> str:
    """Name a sequence without an id by its first bases."""
    return f'"{sequence}"' if len(sequence) <= width else f'"{sequence[:width]}…"'


def margins(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Logit of the true class minus the largest other logit.

    Parameters
    ----------
    logits : ndarray, shape (n, C)
    labels : ndarray of int, shape (n,)
        True classes, 0 ≤ label < C.

    Returns
    -------
    ndarray of float64, shape (n,)
        Negative where the prediction is wrong.
    """
    rows = np.arange(len(logits))
    others = logits.astype(np.float64)
    true = others[rows, labels].copy()
    others[rows, labels] = -np.inf
    return np.asarray(true - others.max(axis=1))


def true_class_probabilities(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Softmax probability of the true class, shape (n,)."""
    probabilities = softmax(logits.astype(np.float64), axis=1)
    return np.asarray(probabilities[np.arange(len(logits)), labels])


class WithSlopes(tuple[str, ...]):
    """A proposal of candidates that asks for the slopes of the margin as well.

    The strings are charged like any others, and each gradient is counted. It is the one
    question that only a white-box attack asks.
    """

    __slots__ = ()


@dataclass(frozen=True)
class Answers:
    """Logits of the first candidates of a proposal, as many as the budget let through.

    Attributes
    ----------
    logits : ndarray of float32, shape (m, C)
        In the order of the candidates; m may be smaller than their number.
    label : int
        The true class of the sequence under attack.
    exhausted : bool
        Whether the query budget ended before the last candidate.
    slopes : tuple of ndarray, or None
        Where the proposal was `WithSlopes`: for each answered candidate an array of float64,
        shape (length, 4), with the first-order estimate of the change of its margin when a
        position becomes A, C, G, T; 0 for the base that is there, and everywhere at an N.
    """

    logits: NDArray[np.float32]
    label: int
    exhausted: bool
    slopes: tuple[NDArray[np.float64], ...] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    @cached_property
    def margins(self) -> NDArray[np.float64]:
        """Margin of each answered candidate, shape (m,)."""
        found = margins(self.logits, np.full(len(self.logits), self.label))
        # All who ask share it.
        found.flags.writeable = False
        return found

    @property
    def p_true(self) -> NDArray[np.float64]:
        """Probability of the true class of each answered candidate, shape (m,)."""
        return true_class_probabilities(self.logits, np.full(len(self.logits), self.label))

    @property
    def p_largest(self) -> NDArray[np.float64]:
        """Largest softmax output of each answered candidate, shape (m,)."""
        return np.asarray(softmax(self.logits.astype(np.float64), axis=1).max(axis=1))
