"""The genetic attack's objective `pareto`: margin, edits and violations, none weighed by another.

NSGA-II keeps the best compromises of all three, so that one run tells how the margin falls
with the number of edits, and looks for the flip of fewest. DEAP's selection and front draw
nothing at random; its crowded tournament does, so that one is ours and takes a generator.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from deap import base, tools

from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Edits, Found, Steps, Target
from genosiege.sequence.attacks.pruning import conclude
from genosiege.sequence.attacks.sparse import Operators, Proposed, written
from genosiege.sequence.draws import Draws

if TYPE_CHECKING:
    from genosiege.sequence.attacks.genetic import Options


class Objectives(NamedTuple):
    """What is minimised.

    Attributes
    ----------
    margin : float
        Margin of the candidate; below 0 it flips.
    n_edits : float
        Size of its edit set.
    violations : float
        What it lacks to full plausibility, 1 − plausibility.
    """

    margin: float
    n_edits: float
    violations: float


class Fitness(base.Fitness):  # type: ignore[misc]
    """Objectives, of which one dominates another if it is nowhere worse and somewhere better."""

    weights = (-1.0, -1.0, -1.0)


class Individual(dict[int, str]):
    """A sparse edit set (position → new base) with its fitness."""

    def __init__(self, edits: Any = ()) -> None:
        super().__init__(edits)
        self.fitness = Fitness()

    @property
    def objectives(self) -> Objectives:
        """The values of its fitness, by name."""
        return Objectives(*self.fitness.values)


def search(target: Target, options: "Options", rng: np.random.Generator) -> Steps:
    """Evolve a front of edit sets, and go on after the first flip to find one of fewer edits.

    Parameters
    ----------
    target : Target
        What is attacked.
    options : Options
        Settings of the genetic attack. Those of its other objectives (`confidence`,
        `weights`, `stop_at_success`) have no meaning here.
    rng : numpy.random.Generator
        The stream of this sequence and attack seed.

    Yields
    ------
    list of str
        The candidates of a generation, each new.

    Returns
    -------
    Found
        Of all flips seen the one of fewest edits, then of highest plausibility, then of
        lowest margin, pruned; without any, the candidate of lowest margin. `stop_reason` is
        `success` only where a single edit flips at full plausibility, which nothing can
        better. Else it says what ended the search: `exhausted`, no new candidate was found
        that could be better; `patience`, for so many generations neither the best flip nor
        the front of what has fewer edits changed; `generations`; `query_budget`.

    Notes
    -----
    NSGA-II: Deb et al. (2002), IEEE Trans. Evol. Comput. 6, 182–197. A flip narrows the
    search: what has more edits cannot better it, nor, where it is fully plausible, what has
    as many. What enters the front is also tried with each of its edits left out.
    """
    breeder = _Breeder(target, options, rng)
    front = tools.ParetoFront(similar=_any_two)
    reached: list[tuple[float, ...]] = []
    reason, last_gain = "generations", 0
    population = breeder.fresh()
    for generation in range(options.generations):
        if not population:
            reason = "exhausted"
            break
        answers = yield [target.render(individual) for individual in population]
        population = population[: len(answers)]
        _score(target, population, answers)
        front.update(population)
        before, reached = reached, _reached(front)
        if reached != before:
            last_gain = generation
        if _most_edits(front, options.max_edits) == 0:
            reason = "success"
        elif answers.exhausted:
            reason = "query_budget"
        elif generation - last_gain >= options.patience:
            reason = "patience"
        else:
            population = breeder.breed(population, front)
            continue
        break
    winner = _best(front)
    if winner is None:
        return Found({}, 0, reason, False)
    return (yield from conclude(target, dict(winner), reason, winner.objectives.margin < 0))


class _Breeder:
    """Makes generations out of new candidates only."""

    def __init__(self, target: Target, options: "Options", rng: np.random.Generator) -> None:
        self._options = options
        self._draws = Draws(rng)
        self._rules = target.rules
        self._operators = Operators(target.rules, options.max_edits, self._draws)
        self._proposed = Proposed(self._operators.mutate)
        self._parents: list[Individual] = []
        self._shortened: set[str] = set()

    def fresh(self) -> list[Individual]:
        """Draw a first generation, as many candidates of each number of edits."""
        if self._operators.max_edits == 0:
            return []
        sizes = (1 + i % self._operators.max_edits for i in range(self._options.population))
        return list(self._new(self._operators.draw(size) for size in sizes))

    def breed(self, scored: list[Individual], front: Iterable[Individual]) -> list[Individual]:
        """Make the next generation out of the best compromises of all generations."""
        most = _most_edits(front, self._operators.max_edits)
        self._operators.max_edits = most
        pool = [individual for individual in self._parents + scored if len(individual) <= most]
        self._parents = tools.selNSGA2(pool, self._options.population)
        if not self._parents:
            return self.fresh()
        shorter = list(self._new(self._shorter(front)))
        n_left = max(0, self._options.population - len(shorter))
        return shorter + list(self._new(self._child() for _ in range(n_left)))

    def _new(self, candidates: Iterable[Edits]) -> Iterator[Individual]:
        for edits in candidates:
            new = self._proposed.renew(edits)
            if new is not None:
                yield Individual(new)

    def _shorter(self, front: Iterable[Individual]) -> Iterator[Edits]:
        """Leave out each edit of what is new on the front; a flip may not need it."""
        for individual in front:
            key = written(individual)
            if key in self._shortened or not 1 < len(individual) <= self._operators.max_edits + 1:
                continue
            self._shortened.add(key)
            for dropped in individual:
                edits = {p: base for p, base in individual.items() if p != dropped}
                if edits not in self._proposed and self._rules.allows(edits):
                    yield edits

    def _child(self) -> Edits:
        one, other = self._select(), self._select()
        mixes = self._draws.random() < self._options.crossover
        child = self._operators.mate(one, other) if mixes else dict(one)
        if self._draws.random() < self._options.mutation:
            child = self._operators.mutate(child)
        return child

    def _select(self) -> Individual:
        """Take the best of some parents drawn with replacement, by crowded comparison."""
        drawn = [
            self._parents[self._draws.integers(len(self._parents))]
            for _ in range(self._options.tournament)
        ]
        chosen = drawn[0]
        for parent in drawn[1:]:
            if _is_better(parent, chosen):
                chosen = parent
        return chosen


def _is_better(one: Individual, other: Individual) -> bool:
    """Whether it dominates the other or, where neither does, stands in a less crowded place."""
    if one.fitness.dominates(other.fitness):
        return True
    if other.fitness.dominates(one.fitness):
        return False
    return bool(one.fitness.crowding_dist > other.fitness.crowding_dist)


def _score(target: Target, individuals: list[Individual], answers: Answers) -> None:
    """Give answered candidates their fitness."""
    for individual, margin in zip(individuals, answers.margins, strict=True):
        violations = 1 - target.rules.plausibility(individual)
        individual.fitness.values = Objectives(float(margin), len(individual), violations)


def _best(front: Iterable[Individual]) -> Individual | None:
    """Take the flip of fewest edits, or what is nearest to one; None from an empty front."""
    members = list(front)
    flips = [individual for individual in members if individual.objectives.margin < 0]
    if flips:
        return min(flips, key=_in_order)
    return min(members, key=lambda individual: individual.objectives, default=None)


def _in_order(flip: Individual) -> tuple[float, float, float]:
    margin, n_edits, violations = flip.objectives
    return n_edits, violations, margin


def _most_edits(front: Iterable[Individual], max_edits: int) -> int:
    """Count the edits with which a candidate could still better the best flip."""
    best = _best(front)
    if best is None or best.objectives.margin >= 0:
        return max_edits
    return min(max_edits, len(best) - (best.objectives.violations == 0))


def _reached(front: Iterable[Individual]) -> list[tuple[float, ...]]:
    """Sum up what counts as gain: the best flip, and the front of what has fewer edits."""
    members = list(front)
    best = _best(members)
    if best is None:
        return []
    fewer = [m.objectives for m in members if len(m) < len(best) or best.objectives.margin >= 0]
    return [_in_order(best)[:2], *sorted((o.n_edits, o.margin, o.violations) for o in fewer)]


def _any_two(one: Individual, other: Individual) -> bool:
    """Call all candidates of equal fitness the same: the front holds one of them."""
    return True
