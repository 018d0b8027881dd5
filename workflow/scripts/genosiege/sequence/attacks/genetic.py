"""The genetic attack: sparse edit sets, evolved on DEAP's frame.

DEAP gives toolbox, fitness, hall of fame and statistics. Its random operators draw from
Python's global generator, so selection, crossover and mutation are ours and take one.
No candidate is proposed twice: a child that was scored before is mutated until it is new.
"""

import logging
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
from deap import base, tools
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Edits, Steps, Target, check_sizes, pareto
from genosiege.sequence.attacks.pruning import conclude, flipped
from genosiege.sequence.attacks.sparse import Operators, Proposed
from genosiege.sequence.draws import Draws

log = logging.getLogger(__name__)

# The values that DEAP's fitness compares: as bare tuples they are compared faster.
_BY_FITNESS = "fitness.wvalues"


@dataclass(frozen=True)
class Options:
    """Settings of the genetic attack.

    Attributes
    ----------
    objective : str
        `margin`: the fall of the margin, which does not saturate; `weighted`: `weights.drop`
        times the fall of the confidence. Both less `weights.edit` for each edit and
        `weights.bio` times what is missing to full plausibility. `pareto`: margin, edits and
        what is missing to full plausibility, none weighed by another (see `pareto.search`).
    confidence : str
        What `weighted` lowers: the probability of the `true_class`, or `max_softmax`.
    weights : mapping
        `drop`, `edit`, `bio`.
    population : int
        Candidates per generation.
    generations : int
        Most generations.
    patience : int
        Generations without a better candidate after which the search ends.
    tournament : int
        Candidates that compete for being a parent.
    crossover, mutation : float
        Probability that a child mixes two parents; that it is mutated.
    max_edits : int
        Most substitutions.
    query_budget : int
        Most different sequences that the model is asked about.
    stop_at_success : bool
        End with the first flip; `pareto` goes on to find one of fewer edits.
    """

    objective: str = "margin"
    confidence: str = "true_class"
    weights: dict[str, float] = field(default_factory=dict)
    population: int = 50
    generations: int = 200
    patience: int = 20
    tournament: int = 3
    crossover: float = 0.9
    mutation: float = 0.3
    max_edits: int = 10
    query_budget: int = 10_000
    stop_at_success: bool = True

    def __post_init__(self) -> None:
        check_sizes("genetic", self)
        for name, choices in (
            ("objective", ("margin", "weighted", "pareto")),
            ("confidence", ("true_class", "max_softmax")),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f'attack genetic, {name} "{value}": choose {", ".join(choices)}.')
        weights = {"drop": 2.0, "edit": 0.05, "bio": 0.1}
        unknown = set(self.weights) - set(weights)
        if unknown:
            raise InputError(f"attack genetic, weights/{min(unknown)}: choose drop, edit or bio.")
        object.__setattr__(self, "weights", weights | dict(self.weights))


class Fitness(base.Fitness):  # type: ignore[misc]
    """Whether the candidate flips, then its value: compared in this order, larger is better."""

    weights = (1.0, 1.0)


class Individual(dict[int, str]):
    """A sparse edit set (position → new base) with its fitness."""

    def __init__(self, edits: Any = ()) -> None:
        super().__init__(edits)
        self.fitness = Fitness()

    @property
    def flips(self) -> bool:
        """Whether the model puts it into another class."""
        return bool(self.fitness.values[0])

    @property
    def key(self) -> frozenset[tuple[int, str]]:
        """What makes two edit sets the same."""
        return frozenset(self.items())


def search(target: Target, options: Options, rng: np.random.Generator) -> Steps:
    """Evolve edit sets until one flips the prediction.

    Parameters
    ----------
    target : Target
        What is attacked.
    options : Options
        Settings.
    rng : numpy.random.Generator
        The stream of this sequence and attack seed.

    Yields
    ------
    list of str
        The candidates of a generation, each new.

    Returns
    -------
    Found
        The best candidate ever seen; a flip is better than none, then fitness counts. A
        flip is pruned. With the objective `pareto` see `pareto.search`.
    """
    if options.objective == "pareto":
        return (yield from pareto.search(target, options, rng))
    toolbox = make_toolbox(target, options, rng)
    best = tools.HallOfFame(1, similar=lambda a, b: a.key == b.key)
    statistics = tools.Statistics(lambda individual: individual.fitness.values[1])
    statistics.register("mean", np.mean)
    statistics.register("max", np.max)
    population = toolbox.fresh(options.population)
    reason, last_gain = "generations", 0
    for generation in range(options.generations):
        if not population:
            reason = "exhausted"
            break
        answers = yield [target.render(individual) for individual in population]
        population = population[: len(answers)]
        toolbox.score(population, answers)
        before = best[0].fitness if best else None
        best.update(population)
        if before is None or best[0].fitness > before:
            last_gain = generation
        if log.isEnabledFor(logging.DEBUG) and population:
            log.debug("generation %d: %s", generation, statistics.compile(population))
        if options.stop_at_success and best and best[0].flips:
            reason = "success"
        elif answers.exhausted:
            reason = "query_budget"
        elif generation - last_gain >= options.patience:
            reason = "patience"
        else:
            population = toolbox.breed(population)
            continue
        break
    winner = dict(best[0]) if best else {}
    return (yield from conclude(target, winner, reason, bool(best) and best[0].flips))


def make_toolbox(target: Target, options: Options, rng: np.random.Generator) -> base.Toolbox:
    """Register the operators of one search, each bound to its generator."""
    draws = Draws(rng)
    operators = Operators(target.rules, options.max_edits, draws)
    toolbox = base.Toolbox()
    toolbox.register("draw", operators.draw)
    toolbox.register("mate", operators.mate)
    toolbox.register("mutate", operators.mutate)
    toolbox.register("select", _select, size=options.tournament, draws=draws)
    toolbox.register("score", _score, target, options)
    breeder = _Breeder(toolbox, options, operators.max_edits, draws)
    toolbox.register("fresh", breeder.fresh)
    toolbox.register("breed", breeder.breed)
    return toolbox


class _Breeder:
    """Makes generations out of new candidates only."""

    def __init__(
        self, toolbox: base.Toolbox, options: Options, max_edits: int, draws: Draws
    ) -> None:
        self._toolbox = toolbox
        self._options = options
        self._max_edits = max_edits
        self._draws = draws
        self._proposed = Proposed(toolbox.mutate)
        self._parents: list[Individual] = []

    def fresh(self, size: int) -> list[Individual]:
        """Draw a first generation, each candidate with as many edits as are allowed.

        Large edit sets flip sooner than small ones, and pruning makes them small again.
        """
        if self._max_edits == 0:
            return []
        drawn = (self._novel(self._toolbox.draw(self._max_edits)) for _ in range(size))
        return [individual for individual in drawn if individual is not None]

    def breed(self, scored: list[Individual]) -> list[Individual]:
        """Make the next generation out of the fittest candidates of all generations."""
        known = self._parents + scored
        self._parents = tools.selBest(known, self._options.population, _BY_FITNESS)
        children = []
        for _ in range(self._options.population):
            one, other = self._toolbox.select(self._parents), self._toolbox.select(self._parents)
            mixes = self._draws.random() < self._options.crossover
            child = self._toolbox.mate(one, other) if mixes else dict(one)
            if self._draws.random() < self._options.mutation:
                child = self._toolbox.mutate(child)
            individual = self._novel(child)
            if individual is not None:
                children.append(individual)
        return children

    def _novel(self, edits: Edits) -> Individual | None:
        """Mutate an edit set until it was never proposed; None where that does not end."""
        new = self._proposed.renew(edits)
        return None if new is None else Individual(new)


def _select(parents: list[Individual], size: int, draws: Draws) -> Individual:
    """Take the fittest of `size` parents drawn with replacement."""
    n = len(parents)
    drawn = [parents[draws.integers(n)] for _ in range(size)]
    fittest: Individual = max(drawn, key=attrgetter(_BY_FITNESS))
    return fittest


def _score(
    target: Target, options: Options, individuals: list[Individual], answers: Answers
) -> None:
    """Give answered candidates their fitness."""
    flips = flipped(answers)
    gains = _gains(target.start, answers, options)
    weights = options.weights
    for individual, gain, flips_now in zip(individuals, gains, flips, strict=True):
        implausible = 1 - target.rules.plausibility(individual)
        value = gain - weights["edit"] * len(individual) - weights["bio"] * implausible
        individual.fitness.values = (float(flips_now), float(value))


def _gains(start: Answers, answers: Answers, options: Options) -> NDArray[np.float64]:
    if options.objective == "margin":
        return np.asarray(start.margins[0] - answers.margins)
    if options.confidence == "true_class":
        return np.asarray(options.weights["drop"] * (start.p_true[0] - answers.p_true))
    return np.asarray(options.weights["drop"] * (start.p_largest[0] - answers.p_largest))
