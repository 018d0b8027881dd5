"""What an attacker who knows a detector tries: many moves of FIMBA for each sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.detection.options import Adaptive
from genosiege.errors import InputError
from genosiege.expression import fimba
from genosiege.expression.fimba import Order, Rankings
from genosiege.expression.fimba_options import Fimba, counts
from genosiege.expression.judging import Values
from genosiege.expression.samples import Samples
from genosiege.expression.targets import LEAKY, Targets, assign_several, opposite_targets

Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]


class Way(NamedTuple):
    """How candidates are made: the number of the target, features moved, share of the way."""

    target: int
    k: int
    t: float


@dataclass(frozen=True, eq=False)
class Family:
    """The candidates of n samples: number 0 is the sample as it is, the others are moved.

    Attributes
    ----------
    samples : Samples
        As they are.
    aims : tuple of (ndarray of float32, ndarray of int)
        For each number of a target a matrix, and the row of it that each sample is moved to, or
        -1 where it has none.
    order : ndarray of int, shape (p,)
        Features by falling importance.
    ways : tuple of Way
        Candidate i + 1 is moved by way i.
    """

    samples: Samples
    aims: tuple[tuple[Values, Rows], ...]
    order: Order
    ways: tuple[Way, ...]

    def possible(self) -> Flags:
        """Tell which candidates there are: those whose sample has that target, (n, c)."""
        found = np.ones((len(self.samples), 1 + len(self.ways)), dtype=bool)
        for number, way in enumerate(self.ways, start=1):
            found[:, number] = self.aims[way.target][1] >= 0
        return found

    def values(self, rows: Rows, numbers: Rows) -> Values:
        """Give candidates by sample and number, both (m,), as rows (m, p)."""
        found = self.samples.values[rows]
        for number in np.unique(numbers[numbers > 0]):
            way = self.ways[number - 1]
            here = np.flatnonzero(numbers == number)
            matrix, aim = self.aims[way.target]
            goal = matrix[aim[rows[here]]]
            found[here] = fimba.move(found[here], goal, self.order, way.k, way.t)
        return found


def chosen_samples(labels: NDArray[np.int64], correct: Flags, n: int | None, seed: int) -> Rows:
    """Draw samples that a model gets right, for all models the same as far as possible.

    Parameters
    ----------
    labels : ndarray of int64, shape (m,)
        Classes of the test split.
    correct : ndarray of bool, shape (m,)
        What the model gets right.
    n : int or None
        Samples to draw; None for all.
    seed : int
        Seed of the run.

    Returns
    -------
    ndarray of int
        Rising rows. As many of each class as a draw from the whole split has; one that the
        model gets wrong gives way to the next of its class in a fixed random order, and a class
        with fewer right ones gives all of them.
    """
    rng = runtime.stream(seed, "adaptive samples")
    first = fimba.stratified(labels, n, rng)
    order = np.concatenate([first, rng.permutation(np.setdiff1d(np.arange(len(labels)), first))])
    right = order[correct[order]]
    kept = [right[labels[right] == c][: int((labels[first] == c).sum())] for c in (0, 1)]
    return np.sort(np.concatenate(kept)).astype(np.intp)


def sound(targets: Mapping[str, Targets], options: Fimba, train: Samples) -> dict[str, Targets]:
    """Take the targets of the options that do not know the test split; `opposite` if none is."""
    kinds = [kind for kind in options.targets if kind not in LEAKY]
    absent = [kind for kind in kinds if kind not in targets]
    if absent:
        raise InputError(
            f"detection, adaptive: there are no targets of kind {absent[0]}; make them first."
        )
    return {kind: targets[kind] for kind in kinds} or {"opposite": opposite_targets(train)}


def candidates(
    samples: Samples,
    targets: Mapping[str, Targets],
    rankings: Rankings,
    fimba_options: Fimba,
    options: Adaptive,
    seed: int,
) -> Family:
    """Say what an attacker tries for each sample.

    Parameters
    ----------
    samples : Samples
        Those attacked.
    targets : mapping of str to Targets
        By kind; the nearest of each kind are tried.
    rankings : mapping of (features, importance) to ndarray of int
        Of these the first global one of the options that is no random one is taken, or the
        first random order if they ask for no other.
    fimba_options : Fimba
        Which rankings there are.
    options : Adaptive
        Numbers of targets and features, shares of the way.
    seed : int
        Seed of the run.

    Raises
    ------
    InputError
        If genes differ or the ranking is missing.
    """
    aims: list[tuple[Values, Rows]] = []
    for found in targets.values():
        rows = assign_several(found, samples, options.nearest)
        aims += [(found.samples.values, rows[:, number]) for number in range(options.nearest)]
    p = len(samples.genes)
    fitting = [k for k in counts(options.k, p) if k <= p]
    if not fitting:
        raise InputError(
            f"detection, adaptive, k {list(options.k)}: there are {p} features only; give fewer, "
            'or "all".'
        )
    ways = [
        Way(target, k, float(t)) for target in range(len(aims)) for k in fitting for t in options.t
    ]
    return Family(samples, tuple(aims), _order(rankings, fimba_options, p, seed), tuple(ways))


def _order(rankings: Rankings, options: Fimba, p: int, seed: int) -> Order:
    for features in options.features:
        if features != "random":
            order = rankings.get((features, "global"))
            if order is None or order.shape != (p,):
                raise InputError(f"detection, adaptive: no ranking by {features}; explain first.")
            return order
    return fimba.orders({}, options, (0, p), seed)[0].order
