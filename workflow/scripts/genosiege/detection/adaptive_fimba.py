"""FIMBA by an attacker who knows the detector and keeps the flip that it suspects least."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.detection import detectors as scoring
from genosiege.detection.detectors import Detector
from genosiege.detection.feature_pruning import prune
from genosiege.detection.fimba_family import (
    Family,
    Flags,
    Rows,
    Way,
    candidates,
    chosen_samples,
    sound,
)
from genosiege.detection.operating_points import Suspicion, cost
from genosiege.detection.options import BOTH, Adaptive
from genosiege.errors import InputError
from genosiege.expression import judging
from genosiege.expression.fimba import Rankings
from genosiege.expression.fimba_options import Fimba
from genosiege.expression.judging import Neighbours, Predictor, Values
from genosiege.expression.samples import Samples
from genosiege.expression.targets import Targets

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

Numbers = NDArray[np.float64]

CELLS = 20_000_000
"""Values of candidates that are held at once (80 MB)."""


class Seen(NamedTuple):
    """What is known of candidates or samples, each of one shape.

    Attributes
    ----------
    p_true : ndarray of float64
        Probability of the true class.
    correct : ndarray of bool
        Whether the true class is predicted.
    own_class : ndarray of bool
        Whether the clean neighbours vote for the true class.
    scores : dict of str to ndarray of float64
        By column, `score_` and the name of the detector.
    """

    p_true: Numbers
    correct: Flags
    own_class: Flags
    scores: dict[str, Numbers]

    def arrays(self) -> list[NDArray[Any]]:
        """List all of them."""
        return [self.p_true, self.correct, self.own_class, *self.scores.values()]

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "Seen":
        """Change all of them in the same way."""
        scores = {name: change(values) for name, values in self.scores.items()}
        return Seen(change(self.p_true), change(self.correct), change(self.own_class), scores)

    def at(self, index: Any) -> "Seen":
        """Index all of them."""
        return self.each(lambda values: values[index])


@dataclass(frozen=True, eq=False)
class _Judges:
    """Who is asked about each row."""

    model: Predictor
    detectors: Mapping[str, Detector]
    neighbours: Neighbours

    def ask(self, values: Values, labels: NDArray[np.int64]) -> Seen:
        before = judging.answers(self.model, values, labels)
        own = self.neighbours.of_true_class(values, labels)
        if not len(values):
            empty = {f"score_{name}": np.empty(0) for name in self.detectors}
            return Seen(before.p_true, before.correct, own, empty)
        return Seen(before.p_true, before.correct, own, scoring.scores(self.detectors, values))


def attack(
    model: Predictor,
    detectors: Mapping[str, Detector],
    train: Samples,
    dev: Samples,
    test: Samples,
    targets: Mapping[str, Targets],
    rankings: Rankings,
    fimba_options: Fimba,
    options: Adaptive,
    seed: int,
    *,
    tails: str = BOTH,
) -> "pd.DataFrame":
    """Attack test samples once for each detector and each weight of its suspicion.

    A sample's candidates are the sample as it is and what FIMBA makes of it with any of its
    nearest targets of each kind, k and t. The attacker keeps the candidate of smallest
    [not flipped] + penalty · max(suspicion, 0); of equal ones that of lowest probability of the
    true class, then the first. With a penalty the least suspicious flip is also pruned:
    features are put back while it stays one and the suspicion falls.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    detectors : mapping of str to Detector
        Fitted; all score every row, those of the options are evaded.
    train : Samples
        The training split: clean neighbours are looked up in it.
    dev : Samples
        Natural validation data: the scale of suspicion.
    test : Samples
        The test split; `chosen_samples` says which are attacked.
    targets : mapping of str to Targets
        By kind; those that know the test split are not used, but `opposite` where the options
        have no others.
    rankings, fimba_options
        As in `fimba.attack`.
    options : Adaptive
        The settings. Without `own_class` the attacker may put a training sample of the other
        class in a sample's place, which is natural data that no detector of attacks can tell.
    seed : int
        Seed of the run.
    tails : str
        Which scores are suspicious; see `Suspicion.from_validation`.

    Returns
    -------
    DataFrame
        part (validation: all of `dev`; natural: all of `test`; attacked: a row for each
        detector, penalty and attacked sample), detector, penalty, id, label, correct_before,
        flipped, p_true_before, p_true_after, k, t (of the way; 0 for the sample as it is), l0,
        l2 (after pruning), neighbours_true, suspicion (by the evaded detector), score_*.

    Raises
    ------
    InputError
        If genes differ, or there are no targets or rankings that may be used.

    Notes
    -----
    A flip is kept under a penalty λ only if its suspicion is at most 1 / λ + max(suspicion of
    the sample as it is, 0).
    """
    import pandas as pd

    if not train.genes == dev.genes == test.genes:
        raise InputError("the splits have different genes; prepare them together.")
    judges = _Judges(model, detectors, Neighbours(train, fimba_options.neighbours))
    validation, natural = (judges.ask(split.values, split.labels) for split in (dev, test))
    rows = chosen_samples(test.labels, natural.correct, options.samples, seed)
    known = sound(targets, fimba_options, train)
    family = candidates(test.take(rows), known, rankings, fimba_options, options, seed)
    seen = _seen(family, judges, natural.at(rows))
    possible = family.possible()
    if options.own_class:
        possible[:, 1:] &= seen.own_class[:, 1:]
    tables = [_table("validation", dev, validation), _table("natural", test, natural)]
    for name in options.chosen(list(detectors)):
        scale = Suspicion.from_validation(validation.scores[f"score_{name}"], tails)
        evaded = _Evaded(name, scale, judges, family, seen, possible, options.own_class)
        tables += evaded.tables(options.penalties)
        log.info("detector %s: attacked with %d samples", name, len(rows))
    return pd.concat(tables, ignore_index=True)


def choose(
    flips: Flags, suspicion: Numbers, p_true: Numbers, possible: Flags, penalty: float
) -> Rows:
    """Choose a candidate for each sample.

    Parameters
    ----------
    flips, suspicion, p_true, possible : ndarray, shape (n, c)
        Whether the candidate counts as a flip, how suspicious it is, the probability of the
        true class, and whether there is this candidate; of each sample there is one at least.
    penalty : float
        λ ≥ 0.

    Returns
    -------
    ndarray of int, shape (n,)
        The smallest [not flipped] + λ · max(suspicion, 0); of equal ones that of lowest
        probability, then the first.
    """
    costs = cost(flips, suspicion, penalty)
    return _smallest(np.where(possible, costs, np.inf), p_true)


def _smallest(objective: Numbers, p_true: Numbers) -> Rows:
    tied = objective == objective.min(axis=1, keepdims=True)
    chosen: Rows = np.where(tied, p_true, np.inf).argmin(axis=1)
    return chosen


def _seen(family: Family, judges: _Judges, natural: Seen) -> Seen:
    """Ask about all candidates, (n, c); what there is not counts as the sample as it is."""
    possible = family.possible()
    found = natural.each(lambda values: np.repeat(values[:, None], possible.shape[1], axis=1))
    # By way, so that a block has few of them.
    numbers, rows = np.nonzero(possible.T)
    numbers, rows = numbers[numbers > 0], rows[numbers > 0]
    step = max(1, CELLS // len(family.samples.genes))
    for start in range(0, len(rows), step):
        at = (rows[start : start + step], numbers[start : start + step])
        answers = judges.ask(family.values(*at), family.samples.labels[at[0]])
        for known, new in zip(found.arrays(), answers.arrays(), strict=True):
            known[at] = new
        log.info("candidates: %d of %d", min(start + step, len(rows)), len(rows))
    return found


@dataclass(frozen=True, eq=False)
class _Evaded:
    """One detector, and what its attacker knows; all arrays are (n, c)."""

    name: str
    scale: Suspicion
    judges: _Judges
    family: Family
    seen: Seen
    possible: Flags
    own_class: bool

    def tables(self, penalties: Sequence[float]) -> "list[pd.DataFrame]":
        """Choose for each penalty."""
        samples, ways = self.family.samples, (Way(0, 0, 0.0), *self.family.ways)
        everyone = np.arange(len(samples))
        rows, origin, values = self._pruned()
        # What was pruned is a last candidate, of some of the samples.
        last = len(ways)
        seen = self._with(rows, self.judges.ask(values, samples.labels[rows]))
        possible = np.pad(self.possible, ((0, 0), (0, 1)))
        suspicion = self._suspicion(seen)
        before = self.seen.at((everyone, 0))
        tables = []
        for penalty in penalties:
            possible[rows, last] = penalty > 0
            number = choose(~seen.correct, suspicion, seen.p_true, possible, penalty)
            after = seen.at((everyone, number))
            pruned = number[rows] == last
            number[rows[pruned]] = origin[pruned]
            moved = self.family.values(everyone, number)
            moved[rows[pruned]] = values[pruned]
            columns = {
                "detector": self.name,
                "penalty": float(penalty),
                "k": np.array([way.k for way in ways])[number],
                "t": np.array([way.t for way in ways])[number],
                "suspicion": self._suspicion(after),
            }
            tables.append(_table("attacked", samples, before, after, moved, columns))
        return tables

    def _suspicion(self, seen: Seen) -> Numbers:
        return self.scale.of(seen.scores[f"score_{self.name}"])

    def _with(self, rows: Rows, answers: Seen) -> Seen:
        """Append a candidate of these samples."""
        seen = self.seen.each(lambda known: np.concatenate([known, known[:, :1]], axis=1))
        for known, new in zip(seen.arrays(), answers.arrays(), strict=True):
            known[rows, -1] = new
        return seen

    def _pruned(self) -> tuple[Rows, Rows, Values]:
        """Prune each sample's least suspicious flip: sample, candidate it was, values."""
        samples, suspicion = self.family.samples, self._suspicion(self.seen)
        flips = self.possible & ~self.seen.correct
        objective = np.where(flips, np.maximum(suspicion, 0), np.inf)
        best = _smallest(objective, self.seen.p_true)
        least = np.take_along_axis(objective, best[:, None], axis=1)[:, 0]
        rows = np.flatnonzero(np.isfinite(least) & (least > 0))
        values = self.family.values(rows, best[rows])
        step = max(1, CELLS // (4 * len(samples.genes)))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            given = (values[part], least[rows[part]], samples.take(rows[part]))
            values[part] = prune(*given, self.family.order, self._ask).values
        return rows, best[rows], values

    def _ask(self, values: Values, labels: NDArray[np.int64]) -> tuple[Flags, Numbers]:
        flips = ~judging.answers(self.judges.model, values, labels).correct
        if self.own_class:
            flips &= self.judges.neighbours.of_true_class(values, labels)
        return flips, self.scale.of(self.judges.detectors[self.name].score(values))


def _table(
    part: str,
    samples: Samples,
    before: Seen,
    after: Seen | None = None,
    moved: Values | None = None,
    columns: Mapping[str, Any] | None = None,
) -> "pd.DataFrame":
    """Write rows of one part; without anything after, of samples as they are."""
    import pandas as pd

    given = {"detector": "", "penalty": np.nan, "k": 0, "t": 0.0, "suspicion": np.nan}
    given |= columns or {}
    after = after or before
    l0, l2 = judging.distances(samples.values, samples.values if moved is None else moved)
    return pd.DataFrame(
        {
            "part": part,
            "detector": given["detector"],
            "penalty": given["penalty"],
            "id": samples.ids.astype(object),
            "label": samples.labels,
            "correct_before": before.correct,
            "flipped": before.correct & ~after.correct,
            "p_true_before": before.p_true,
            "p_true_after": after.p_true,
            "k": given["k"],
            "t": given["t"],
            "l0": l0,
            "l2": l2,
            "neighbours_true": after.own_class,
            "suspicion": given["suspicion"],
            **after.scores,
        }
    )
