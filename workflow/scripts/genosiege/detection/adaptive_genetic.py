"""The genetic attack of someone who knows the detector: a flip that raises no alarm.

Candidates are bred as the genetic attack breeds them, towards a low margin and a low suspicion
at once. The attacker owns a copy of the detector: to ask it costs no query.
"""

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.detection.operating_points import cost
from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Edits, Found, Steps, Target
from genosiege.sequence.attacks.genetic import Individual, Options, make_toolbox
from genosiege.sequence.attacks.pruning import flipped

Suspect = Callable[[Sequence[str]], NDArray[np.float64]]
"""Gives the suspicion of sequences, (n,): 0 at the natural median, 1 at the 5 % threshold."""

ENOUGH = 0.01
"""Margin behind the border from which on a lower one is worth nothing."""
GUIDE = 0.25
"""Share of the margin that the suspicion at the 5 % threshold costs a parent.

Less than it may: suspicion can rise on the way to a flip and fall behind it, as that of a small
margin does, and too high a cost keeps the search before the border.
"""


def search(
    target: Target,
    options: Options,
    rng: np.random.Generator,
    suspicion: Suspect,
    penalty: float,
) -> Steps:
    """Evolve edit sets until one flips the prediction and is not suspicious.

    Parameters
    ----------
    target : Target
        What is attacked.
    options : genetic.Options
        Settings of the genetic attack; its `objective`, `confidence` and `stop_at_success` have
        no meaning here.
    rng : numpy.random.Generator
        The stream of this sequence and attack seed.
    suspicion : callable
        The detector that is evaded.
    penalty : float
        Weight λ ≥ 0 of the suspicion. With 0 the detector is not asked, and the candidates are
        those of the genetic attack with the objective `margin`.

    Yields
    ------
    list of str
        The candidates of a generation, each new, then those of the pruning.

    Returns
    -------
    Found
        Of all candidates answered, the unchanged sequence among them, the one with the lowest
        [not flipped] + λ · max(suspicion, 0), then the lowest margin, then the first. A flip is
        pruned: no single edit can be dropped without a higher objective. `stop_reason` is
        `success` at λ = 0 with the first flip, else with a flip of no suspicion (≤ 0), which
        nothing can better.

    Notes
    -----
    Parents are chosen by − max(margin, −ENOUGH) − GUIDE · m · max(suspicion, 0), less the weights
    of edits and implausibility in `options`; m is the margin of the unchanged sequence. Under any
    λ above 0 the best flip is the least suspicious one: λ decides only whether it is better than
    what does not flip. So it guides no search, and all λ above 0 propose the same candidates.
    Once there is a flip, the queries that its pruning may need are kept back from the budget.
    """
    toolbox = make_toolbox(target, options, rng)
    judge = _Judge(target, options, suspicion, penalty)
    population = toolbox.fresh(options.population)
    reason, last_gain = "generations", 0
    for generation in range(options.generations):
        if not population:
            reason = "exhausted"
            break
        population = population[: judge.affordable()]
        if not population:
            reason = "query_budget"
            break
        answers = yield [target.render(individual) for individual in population]
        population = population[: len(answers)]
        if judge.score(population, answers):
            last_gain = generation
        if judge.satisfied():
            reason = "success"
        elif answers.exhausted:
            reason = "query_budget"
        elif generation - last_gain >= options.patience:
            reason = "patience"
        else:
            population = toolbox.breed(population)
            continue
        break
    if judge.flip is None:
        return Found(judge.best.edits, len(judge.best.edits), reason, False)
    found = judge.flip
    pruned, state = yield from _prune(target, judge, found)
    # Pruning may raise the margin: that alone makes no other candidate better.
    if pruned.objective <= judge.best.objective:
        return Found(pruned.edits, len(found.edits), reason, True, state)
    return Found(judge.best.edits, len(judge.best.edits), reason, False)


class _Candidate(NamedTuple):
    """An answered edit set."""

    edits: Edits
    flips: bool
    objective: float
    margin: float
    suspicion: float

    @property
    def rank(self) -> tuple[float, float]:
        """What decides which candidate is kept; lower is better."""
        return self.objective, self.margin


class _Judge:
    """Gives candidates their objective and their value as parents, and keeps the best."""

    def __init__(self, target: Target, options: Options, suspect: Suspect, penalty: float) -> None:
        self._target = target
        self._options = options
        self._suspect = suspect
        self._penalty = penalty
        self._n_asked = 1
        self._highest = -np.inf
        (self.best,) = self.judge([{}], target.start)
        self.flip: _Candidate | None = None

    def affordable(self) -> int:
        """Count the candidates that may be asked about so that a flip can still be pruned."""
        if self.flip is None or not self._penalty:
            return self._options.population
        n_left = self._options.query_budget - self._n_asked
        # Sets of max_edits − 1 edits, then of one less, down to single edits.
        most = self._options.max_edits
        return max(0, n_left - (most * (most + 1) // 2 - 1))

    def satisfied(self) -> bool:
        """Whether there is a flip that nothing can better."""
        return self.flip is not None and self.flip.objective <= 0

    def judge(self, candidates: Sequence[Edits], answers: Answers) -> list[_Candidate]:
        """Give answered edit sets their objectives."""
        # What is unchanged is no flip, whatever rounding says of it.
        flips = flipped(answers) & np.array([bool(edits) for edits in candidates], dtype=bool)
        suspicions = np.zeros(len(candidates))
        if self._penalty and len(candidates):
            suspicions = self._suspect([self._target.render(edits) for edits in candidates])
        found = cost(flips, suspicions, self._penalty)
        return [
            _Candidate(dict(edits), bool(flip), float(objective), float(margin), float(suspicion))
            for edits, flip, objective, margin, suspicion in zip(
                candidates, flips, found, answers.margins, suspicions, strict=True
            )
        ]

    def score(self, individuals: Sequence[Individual], answers: Answers) -> bool:
        """Give answered candidates their fitness; tell whether anything got better."""
        self._n_asked += len(individuals)
        before = self._highest, self.flip and self.flip.objective
        judged = self.judge(individuals, answers)
        for individual, candidate in zip(individuals, judged, strict=True):
            value = self._value(individual, candidate)
            individual.fitness.values = (0.0, value)
            self._highest = max(self._highest, value)
        self.keep(judged)
        return before != (self._highest, self.flip and self.flip.objective)

    def _value(self, individual: Individual, candidate: _Candidate) -> float:
        start, weights = float(self._target.start.margins[0]), self._options.weights
        implausible = 1 - self._target.rules.plausibility(individual)
        value = start - max(candidate.margin, -ENOUGH)
        value -= GUIDE * max(start, ENOUGH) * max(candidate.suspicion, 0.0)
        return value - weights["edit"] * len(individual) - weights["bio"] * implausible

    def keep(self, judged: Sequence[_Candidate]) -> None:
        """Remember the best candidate, and the best flip."""
        for one in judged:
            if one.rank < self.best.rank:
                self.best = one
            if one.flips and (self.flip is None or one.rank < self.flip.rank):
                self.flip = one


def _prune(
    target: Target, judge: _Judge, flip: _Candidate
) -> Generator[Sequence[str], Answers, tuple[_Candidate, str]]:
    """Drop edits of a flip one by one while it flips and its objective does not rise.

    Gives what is left, and `Found.pruned`.
    """
    state = "complete" if len(flip.edits) > 1 else ""
    while len(flip.edits) > 1:
        shorter = [{p: b for p, b in flip.edits.items() if p != gone} for gone in flip.edits]
        shorter = [edits for edits in shorter if target.rules.allows(edits)]
        if not shorter:
            break
        answers = yield [target.render(edits) for edits in shorter]
        judged = judge.judge(shorter[: len(answers)], answers)
        judge.keep(judged)
        holding = [one for one in judged if one.flips and one.objective <= flip.objective]
        if holding:
            flip = min(holding, key=lambda one: one.rank)
        if answers.exhausted:
            state = "cut" if len(flip.edits) > 1 else "complete"
        if not holding or answers.exhausted:
            break
    return flip, state
