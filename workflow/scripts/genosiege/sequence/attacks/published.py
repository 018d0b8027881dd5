"""The published genetic search for adversarial promoters, replayed as it was described.

`variant: code` follows the published program, `variant: text` the paper where the two
differ. Individuals are whole sequences, nothing caps the number of edits, the confidence is
the larger softmax output, and plausibility is the method's own. Ours are the random
generator, the oracle's accounting (a generation is one set of candidates; repeated ones
count as queries but cost nothing), and the pruning of a flip at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from deap import base
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Edits, Found, Steps, Target, check_sizes
from genosiege.sequence.attacks.pruning import conclude, flipped
from genosiege.sequence.constraints import (
    BASES,
    PLAUSIBLE,
    TRANSVERSION_SCORE,
    is_transition,
    transition,
)

_COUNTED = ("TATA", "CAAT", "GC", "AT", "TTTT", "AAAA")
_TRANSITION_WEIGHT = 0.7
_GC_LIMIT = 0.05
_MOST_SITES = 8
_INTENSITIES = ((1, 3), (2, 5), (4, _MOST_SITES))
_WEIGHT_DROP, _WEIGHT_EDIT, _WEIGHT_BIO = 2.0, 0.05, 0.1
_UNEDITED = -1.0

Genome = NDArray[np.uint8]


@dataclass(frozen=True)
class Options:
    """Settings of the published search.

    Attributes
    ----------
    variant : str
        `code`: runs until patience or generations end it. `text`: also ends with the
        paper's success (confidence drop ≥ .20 with at most 5 edits, plausible).
    population, generations, patience, tournament : int
        As in the genetic attack.
    crossover, mutation : float
        Probability that a pair is crossed at one point; that a child is mutated.
    max_edits : int
        Does not bind the search; says up to which number of edits a flip is a success.
    query_budget : int
        Most different sequences that the model is asked about.
    """

    variant: str = "code"
    population: int = 100
    generations: int = 200
    patience: int = 20
    tournament: int = 3
    crossover: float = 0.9
    mutation: float = 0.3
    max_edits: int = 10
    query_budget: int = 10_000

    def __post_init__(self) -> None:
        if self.variant not in ("code", "text"):
            raise InputError(f'attack published, variant "{self.variant}": choose code or text.')
        check_sizes("published", self)


class Fitness(base.Fitness):  # type: ignore[misc]
    """One value, the larger the better."""

    weights = (1.0,)


class Individual:
    """A whole sequence as bytes, and what the model's answer made of it.

    Parameters
    ----------
    genome : ndarray of uint8, shape (L,)

    Attributes
    ----------
    drop : float
        Fall of the confidence.
    flips : bool
        Whether the model puts it into another class.
    """

    def __init__(self, genome: Genome) -> None:
        self.genome = genome
        self.fitness = Fitness()
        self.drop = 0.0
        self.flips = False

    @property
    def sequence(self) -> str:
        """The sequence as a string."""
        return self.genome.tobytes().decode()


def search(target: Target, options: Options, rng: np.random.Generator) -> Steps:
    """Run the published search; parameters as in `genetic.search`.

    Yields
    ------
    list of str
        The individuals of a generation that crossover or mutation touched, changed or not.

    Returns
    -------
    Found
        The best individual of the last generation: nothing carries the best one ever seen
        over to it. A flip is pruned.
    """
    if not len(target.rules.positions):
        return Found({}, 0, "exhausted", False)
    method = _Method(target, options, rng)
    toolbox = method.toolbox()
    population = [toolbox.individual() for _ in range(options.population)]
    answers = yield [individual.sequence for individual in population]
    toolbox.score(population[: len(answers)], answers)
    reason, highest, n_idle = "generations", -np.inf, 0
    for _ in range(options.generations):
        if answers.exhausted:
            reason = "query_budget"
            break
        population = method.breed(population, toolbox)
        changed = [individual for individual in population if not individual.fitness.valid]
        if changed:
            answers = yield [individual.sequence for individual in changed]
            toolbox.score(changed[: len(answers)], answers)
        best = _best(population)
        if best is None:
            continue
        # The first generation is not looked at, as in the published program.
        n_idle = 0 if best.fitness.values[0] > highest else n_idle + 1
        highest = max(highest, best.fitness.values[0])
        if options.variant == "text" and method.text_success(best):
            reason = "success"
            break
        if n_idle >= options.patience:
            reason = "patience"
            break
    winner = _best(population)
    edits = method.edits(winner) if winner else {}
    succeeded = winner is not None and winner.flips and bool(edits)
    return (yield from conclude(target, edits, reason, succeeded))


def _best(population: Sequence[Individual]) -> Individual | None:
    """Find the fittest of those that were scored before the budget ended."""
    scored = [individual for individual in population if individual.fitness.valid]
    return max(scored, key=attrgetter("fitness"), default=None)


class _Method:
    """Operators and fitness of the published method on one target."""

    def __init__(self, target: Target, options: Options, rng: np.random.Generator) -> None:
        self._target = target
        self._options = options
        self._rng = rng
        self._original: Genome = np.frombuffer(target.sequence.encode(), dtype=np.uint8)
        self._positions = target.rules.positions
        self._counts = {m: target.sequence.count(m) for m in _COUNTED if m in target.sequence}

    def toolbox(self) -> base.Toolbox:
        """Register the method's operators."""
        toolbox = base.Toolbox()
        toolbox.register("individual", self._individual)
        toolbox.register("mate", self._mate)
        toolbox.register("mutate", self._mutate)
        toolbox.register("select", self._select)
        toolbox.register("score", self._score)
        return toolbox

    def breed(self, population: Sequence[Individual], toolbox: base.Toolbox) -> list[Individual]:
        """Make the next generation: selection, one-point crossover in pairs, mutation.

        An individual that neither touches keeps its fitness and is not asked about again.
        """
        offspring = [toolbox.select(population) for _ in range(self._options.population)]
        for i in range(0, len(offspring) - 1, 2):
            if self._rng.random() < self._options.crossover:
                genomes = toolbox.mate(offspring[i].genome, offspring[i + 1].genome)
                offspring[i], offspring[i + 1] = map(Individual, genomes)
        mutated = self._rng.random(len(offspring)) < self._options.mutation
        return [
            Individual(toolbox.mutate(individual.genome)) if changes else individual
            for individual, changes in zip(offspring, mutated, strict=True)
        ]

    def edits(self, individual: Individual) -> Edits:
        """Positions where an individual differs from the original, with its bases."""
        changed = np.flatnonzero(individual.genome != self._original)
        return {int(p): chr(individual.genome[p]) for p in changed}

    def text_success(self, individual: Individual) -> bool:
        """Whether the paper calls it a success: drop ≥ .20, at most 5 edits, plausible."""
        edits = self.edits(individual)
        plausible = self._plausibility(individual) >= PLAUSIBLE
        return individual.drop >= 0.20 and 0 < len(edits) <= 5 and plausible

    def _individual(self) -> Individual:
        """Draw an individual of the first generation: light, medium or heavy edits."""
        low, high = _INTENSITIES[self._rng.integers(len(_INTENSITIES))]
        genome = self._original.copy()
        for position in self._scattered(int(self._rng.integers(low, high + 1))):
            if self._rng.random() < _TRANSITION_WEIGHT:
                genome[position] = ord(transition(chr(genome[position])))
            else:
                genome[position] = self._any_base()
        return Individual(genome)

    def _mate(self, one: Genome, other: Genome) -> tuple[Genome, Genome]:
        point = int(self._rng.integers(1, max(2, len(one))))
        return (
            np.concatenate([one[:point], other[point:]]),
            np.concatenate([other[:point], one[point:]]),
        )

    def _mutate(self, genome: Genome) -> Genome:
        """Redraw the bases of scattered, neighbouring or twice as many scattered sites.

        All four bases are equally likely: transitions are preferred at the start only.
        """
        size = int(self._rng.integers(1, _MOST_SITES + 1))
        kind = ("random", "contiguous", "double")[self._rng.integers(3)]
        if kind == "contiguous":
            size = min(size, len(self._positions))
            first = int(self._rng.integers(len(self._positions) - size + 1))
            sites = self._positions[first : first + size]
        else:
            sites = self._scattered(2 * size if kind == "double" else size)
        changed = genome.copy()
        for position in sites:
            changed[position] = self._any_base()
        return changed

    def _any_base(self) -> int:
        return ord(BASES[self._rng.integers(len(BASES))])

    def _scattered(self, size: int) -> NDArray[np.int64]:
        size = min(size, len(self._positions))
        return self._rng.choice(self._positions, size=size, replace=False)

    def _select(self, population: Sequence[Individual]) -> Individual:
        drawn = self._rng.integers(len(population), size=self._options.tournament)
        fittest: Individual = max([population[i] for i in drawn], key=attrgetter("fitness"))
        return fittest

    def _score(self, population: Sequence[Individual], answers: Answers) -> None:
        drops = self._target.start.p_largest[0] - answers.p_largest
        for individual, drop, flips in zip(population, drops, flipped(answers), strict=True):
            individual.drop, individual.flips = float(drop), bool(flips)
            n_edits = int((individual.genome != self._original).sum())
            value = (
                _WEIGHT_DROP * float(drop)
                - _WEIGHT_EDIT * n_edits
                - _WEIGHT_BIO * (1 - self._plausibility(individual))
            )
            individual.fitness.values = (value if n_edits else _UNEDITED,)

    def _plausibility(self, individual: Individual) -> float:
        """Mean of the method's three scores: GC content, motif counts, kind of edits."""
        old, new = self._target.sequence, individual.sequence
        gc = abs(sum(map(new.count, "GC")) - sum(map(old.count, "GC"))) / len(old) <= _GC_LIMIT
        n_kept = sum(min(n, new.count(motif)) for motif, n in self._counts.items())
        motifs = n_kept / sum(self._counts.values()) if self._counts else 1.0
        edits = self.edits(individual)
        kinds = [1.0 if is_transition(old[p], b) else TRANSVERSION_SCORE for p, b in edits.items()]
        scores = (float(gc), motifs, _mean(kinds))
        return sum(scores) / len(scores)


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores) if scores else 1.0
