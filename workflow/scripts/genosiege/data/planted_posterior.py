"""The posterior of the label of any string, under the model of `planted`: a forward algorithm.

Source: Rabiner (1989), Proc. IEEE 77, 257-286, for states with durations.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genosiege.data import planted
from genosiege.data.planted import Floats, Form, Planted
from genosiege.data.simulate import BASES

EVIDENCE = np.vstack([np.eye(len(BASES)), np.ones(len(BASES))])
"""What a letter of ACGTN says of the bases: one alone is possible, or each."""

_CODES = np.full(256, -1, dtype=np.int64)
_CODES[np.frombuffer(b"ACGTN", dtype=np.uint8)] = np.arange(len(EVIDENCE))
_BATCH = 256
_RESCALED = 32
"""Positions after which probabilities are scaled up again, before they underflow."""


class Posterior:
    """Likelihoods and posterior of the label of any string.

    Parameters
    ----------
    settings : planted.Parameters
        Where the start site is; strings may have any length.
    elements : sequence of Planted
        What is planted.
    """

    def __init__(
        self, settings: planted.Parameters, elements: Sequence[Planted] = planted.ELEMENTS
    ) -> None:
        self._tss_index, self._elements = settings.tss_index, elements
        self._chain, self._single = planted.levels()
        n = 2 ** len(elements)
        # The states of one label: which elements the sequence has by now.
        self._has = (np.arange(n)[:, None] >> np.arange(len(elements))) % 2 == 1
        self._start = np.zeros((len(self._chain), 1, 2 * n, 1))
        self._start[:, 0, [0, n], 0] = np.transpose(planted.LEVELS_GIVEN_LABEL)

    def log_odds(self, sequences: Sequence[str]) -> Floats:
        """Give log P(1 | sequence) - log P(0 | sequence), shape (n,)."""
        odds: Floats = np.diff(self.log_likelihoods(sequences))[:, 0]
        return odds

    def bayes_labels(self, sequences: Sequence[str]) -> NDArray[np.int64]:
        """Give the more probable label of each string, shape (n,)."""
        return (self.log_odds(sequences) > 0).astype(np.int64)

    def log_likelihoods(self, sequences: Sequence[str]) -> Floats:
        """Give log P(sequence | label), shape (n, 2).

        Parameters
        ----------
        sequences : sequence of str
            ACGTN, of any lengths. An N is summed over its bases.
        """
        found = np.empty((len(sequences), 2))
        kinds: dict[tuple[int, bool], list[int]] = {}  # those with an N take longer
        for row, sequence in enumerate(sequences):
            kinds.setdefault((len(sequence), "N" in sequence), []).append(row)
        for (length, _), rows in kinds.items():
            for part in (rows[at : at + _BATCH] for at in range(0, len(rows), _BATCH)):
                text = "".join(sequences[row] for row in part).encode()
                codes = _CODES[np.frombuffer(text, dtype=np.uint8)].reshape(len(part), length)
                found[part] = self.of_evidence(EVIDENCE[codes])
        return found

    def of_evidence(self, evidence: Any, constant: Callable[[Floats], Any] = np.asarray) -> Any:
        """Give log P(evidence | label), shape (n, 2).

        Works on arrays of numpy and of torch alike, whose gradients then follow.

        Parameters
        ----------
        evidence : array of float64, shape (n, length, 4)
            Rows of `EVIDENCE`; the likelihood is linear in each of them.
        constant : callable
            Makes an array of numpy one of the same library, in the same place.
        """
        n, length = evidence.shape[:2]
        if isinstance(evidence, np.ndarray) and _is_certain(evidence):
            return self._of_bases(evidence.argmax(axis=2))
        layout = planted.forms(self._elements, length, self._tss_index)
        # Before the first base, the one before it is any: the chain is stationary.
        alpha = constant(np.repeat(self._start * self._single[:, None, None], n, axis=1))
        chain = constant(self._chain)

        def follow(alpha: Any, i: int) -> Any:
            flat = alpha.reshape(alpha.shape[0], -1, alpha.shape[-1])
            return (flat @ chain).reshape(alpha.shape) * evidence[:, i, None]

        emissions = []
        for form in layout:
            ends = evidence[:, form.begins.start + form.size - 1 : form.begins.stop + form.size - 1]
            total: Any = 0.0
            for frequencies in form.strands:
                whole: Any = constant(frequencies[-1].copy()) * ends
                for offset, row in enumerate(frequencies[:-1]):
                    at = evidence[:, form.begins.start + offset : form.begins.stop + offset]
                    whole = whole * (at @ constant(row.copy()))[..., None]
                total = total + whole / len(form.strands)
            emissions.append(total)
        return self._forward(alpha, layout, length, follow, emissions, constant)

    def _of_bases(self, codes: NDArray[np.int64]) -> Floats:
        """Give what `of_evidence` gives where each base is certain, which needs no sums over it."""
        n, length = codes.shape
        layout = planted.forms(self._elements, length, self._tss_index)
        chain = self._chain[:, codes[:, :-1], codes[:, 1:]]
        factors = np.concatenate([self._single[:, codes[:, :1]], chain], axis=2)

        def follow(alpha: Floats, i: int) -> Floats:
            here: Floats = alpha * factors[:, :, i, None, None]
            return here

        emissions = []
        for form in layout:
            total = np.zeros((n, len(form.begins), 1))
            for frequencies in form.strands:
                at = np.array(form.begins)[:, None] + np.arange(form.size)
                bases = frequencies[np.arange(form.size), codes[:, at]]
                total[..., 0] += bases.prod(axis=2) / len(form.strands)
            emissions.append(total)
        alpha = np.repeat(self._start, n, axis=1)
        found: Floats = self._forward(alpha, layout, length, follow, emissions, np.asarray)
        return found

    def _forward(
        self,
        alpha: Any,
        layout: Sequence[Form],
        length: int,
        follow: Callable[[Any, int], Any],
        emissions: Sequence[Any],
        constant: Callable[[Floats], Any],
    ) -> Any:
        """Sum up all levels and sites, from the left to the right.

        Parameters
        ----------
        alpha : array, shape (levels, n, states, last bases)
            Probability of each state before the first position.
        layout : sequence of Form
            What may begin where.
        length : int
            Of the strings.
        follow : callable
            Writes one base of the chain at a position.
        emissions : sequence of array, shape (n, begins, last bases)
            Probability of what stands where a form begins, by its last base.
        constant : callable
            See `of_evidence`.
        """
        n_sets, scale = len(self._has), 0.0
        ended: dict[int, list[tuple[Any, Any]]] = {}
        for i in range(length):
            here = [at for at, form in enumerate(layout) if i in form.begins]
            if here:
                mass, stay = alpha.sum(-1), np.ones((2 * n_sets, 1))
                for at in here:
                    form = layout[at]
                    absent = np.flatnonzero(~self._has[:, form.element])
                    of = np.concatenate([absent, absent + n_sets])
                    place = form.begins.index(i)
                    rates = np.repeat(form.hazards[place], len(absent))
                    stay[of, 0] -= rates
                    part = (mass[:, :, of] * constant(rates))[..., None]
                    part = part * emissions[at][:, place, None]
                    ended.setdefault(i + form.size, []).append((of + 2**form.element, part))
                alpha = alpha * constant(stay)
            alpha = follow(alpha, i)
            for into, part in ended.pop(i + 1, ()):
                alpha[:, :, into] += part
            if i % _RESCALED == _RESCALED - 1:
                # What has not ended yet is as much too small.
                total = alpha.sum((0, 2, 3))
                scale, by = scale + _log(total), 1 / total[:, None, None]
                alpha = alpha * by
                ended = {end: [(into, p * by) for into, p in some] for end, some in ended.items()}
        by_label = alpha.reshape(alpha.shape[0], alpha.shape[1], 2, -1).sum((0, 3))
        return _log(by_label) + (scale if isinstance(scale, float) else scale[:, None])


def _is_certain(evidence: Floats) -> bool:
    """Tell whether one base alone is possible at each position."""
    return bool(((evidence == 0) | (evidence == 1)).all() and (evidence.sum(axis=2) == 1).all())


def _log(values: Any) -> Any:
    return np.log(values) if isinstance(values, np.ndarray) else values.log()
