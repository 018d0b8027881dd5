"""A classifier in front of which every question of an attack is counted, clipped and judged."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.expression.judging import Predictor, Values

Gradients = Callable[[Values, NDArray[np.int64]], Values]
"""Gradient of the cross entropy towards classes (m,) with respect to rows (m, p)."""


class AttackEndedError(Exception):
    """The budget of queries is spent, or what the attack asks about is no number any more."""


class Flip(NamedTuple):
    """A changed sample that the model takes for the other class.

    Attributes
    ----------
    values : ndarray of float32, shape (p,)
        What the model was asked, in scaled units.
    l0 : int
        Features that differ from the sample's own.
    l2, linf : float
        Euclidean length and largest size of the change, in scaled units.
    """

    values: Values
    l0: int
    l2: float
    linf: float


class Counted:
    """One sample under attack, and the model as the attack may ask it.

    Parameters
    ----------
    model : Predictor
        What is attacked.
    sample : ndarray of float32, shape (p,)
        The sample as it is, within ±clip.
    label : int
        Its class, which the model finds.
    budget : int
        Rows that may be asked. Of a question that goes beyond it the first rows are still
        asked and judged; then `AttackEndedError` ends the attack.
    clip : float
        Rows are clipped to ±clip before the model sees them, so that no answer and no flip
        belongs to values that data cannot take.
    gradients : callable, optional
        How to take a gradient, of models that have one.

    Attributes
    ----------
    n_queries, n_gradients : int
        Rows asked so far, and rows of which the gradient was taken.
    """

    def __init__(
        self,
        model: Predictor,
        sample: Values,
        label: int,
        budget: int,
        clip: float,
        gradients: Gradients | None = None,
    ) -> None:
        self.sample = sample
        self.label = label
        self.budget = budget
        self.clip = clip
        self.n_queries = 0
        self.n_gradients = 0
        self._model = model
        self._gradients = gradients
        self._flips: list[Flip] = []

    def probabilities(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Ask the model; each row is one query.

        Parameters
        ----------
        values : ndarray, shape (m, p)

        Returns
        -------
        ndarray of float64, shape (m, 2)

        Raises
        ------
        AttackEndedError
            If fewer than m queries are left (those have then been asked), or a value is not
            finite.
        """
        rows = self._valid(values)
        asked = rows[: self.budget - self.n_queries]
        answers = self._answers(asked)
        self.n_queries += len(asked)
        self._flips += [self._flip(row) for row in asked[self._wrong(answers)]]
        if len(asked) < len(rows):
            raise AttackEndedError
        return answers

    def first_flip(self, values: NDArray[np.floating]) -> int | None:
        """Ask row by row and stop at the first that flips; give its number, None if none does.

        The rows go to the model together, but those behind the first flip are not charged:
        who asks one by one and stops would not have asked them.

        Raises
        ------
        AttackEndedError
            As in `probabilities`, unless a row flips before.
        """
        rows = self._valid(values)
        asked = rows[: self.budget - self.n_queries]
        wrong = np.flatnonzero(self._wrong(self._answers(asked)))
        if len(wrong):
            self.n_queries += int(wrong[0]) + 1
            self._flips.append(self._flip(asked[wrong[0]]))
            return int(wrong[0])
        self.n_queries += len(asked)
        if len(asked) < len(rows):
            raise AttackEndedError
        return None

    def loss_gradients(self, values: NDArray[np.floating], classes: NDArray[np.int64]) -> Values:
        """Take the gradient of each row's cross entropy towards a class; see `Gradients`."""
        if self._gradients is None:
            raise AttackEndedError
        rows = self._valid(values)
        self.n_gradients += len(rows)
        return self._gradients(rows, classes)

    def smallest_flip(self) -> Flip | None:
        """Give the flip of smallest L2 that is still one when the model is asked it alone.

        The last digits of a network's answer can depend on what shares the batch, and attacks
        search right at the boundary. This is the judge's question: it is not charged.
        """
        for flip in sorted(self._flips, key=lambda flip: flip.l2):
            if self._wrong(self._answers(flip.values[None]))[0]:
                return flip
        return None

    def _valid(self, values: NDArray[np.floating]) -> Values:
        if not np.isfinite(values).all():
            raise AttackEndedError
        rows: Values = np.clip(values, -self.clip, self.clip).astype(np.float32)
        return rows

    def _answers(self, rows: Values) -> NDArray[np.float64]:
        return self._model.predict_proba(rows) if len(rows) else np.empty((0, 2))

    def _wrong(self, answers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which rows are taken for another class; a tie is class 0."""
        return np.asarray(answers.argmax(axis=1) != self.label)

    def _flip(self, row: Values) -> Flip:
        change = np.abs(row.astype(np.float64) - self.sample)
        return Flip(
            row, int(np.count_nonzero(change)), float(np.linalg.norm(change)), float(change.max())
        )
