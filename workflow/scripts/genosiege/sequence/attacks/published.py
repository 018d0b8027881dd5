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
from deap import base, tools
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Edits, Found, Steps, Target, check_sizes
from genosiege.sequence.attacks.pruning import flipped, prune
from genosiege.sequence.constraints import BASES, PLAUSIBLE, TRANSVERSION_SCORE, is_transition

_COUNTED = ("TATA", "CAAT", "GC", "AT", "TTTT", "AAAA")
_TRANSITION_WEIGHT = 0.7
_GC_LIMIT = 0.05
_MOST_SITES = 8
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
    """Run the published search; parameters and result as in `genetic.search`."""
    if not len(target.rules.positions):
        return Found({}, 0, "exhausted", False)
    method = _Method(target, options, rng)
    toolbox = method.toolbox()
    population = [toolbox.individual() for _ in range(options.population)]
    best = tools.HallOfFame(1, similar=lambda a, b: a.sequence == b.sequence)
    reason, last_gain = "generations", 0
    for generation in range(options.generations):
        answers = yield [individual.sequence for individual in population]
        population = population[: len(answers)]
        toolbox.score(population, answers)
        before = best[0].fitness.values[0] if best else -np.inf
        best.update(population)
        if best and best[0].fitness.values[0] > before:
            last_gain = generation
        if best and options.variant == "text" and method.text_success(best[0]):
            reason = "success"
        elif answers.exhausted:
            reason = "query_budget"
        elif generation - last_gain >= options.patience:
            reason = "patience"
        else:
            population = method.breed(population, toolbox)
            continue
        break
    winner = method.edits(best[0]) if best else {}
    succeeded = bool(best) and best[0].flips
    kept = (yield from prune(target, winner)) if succeeded else winner
    return Found(kept, len(winner), reason, succeeded)


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
        """Make the next generation: selection, one-point crossover in pairs, mutation."""
        genomes = [toolbox.select(population).genome for _ in range(self._options.population)]
        for i in range(0, len(genomes) - 1, 2):
            if self._rng.random() < self._options.crossover:
                genomes[i], genomes[i + 1] = toolbox.mate(genomes[i], genomes[i + 1])
        mutated = self._rng.random(len(genomes)) < self._options.mutation
        return [
            Individual(toolbox.mutate(genome) if changes else genome)
            for genome, changes in zip(genomes, mutated, strict=True)
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
        size = int(self._rng.integers(1, _MOST_SITES + 1))
        return Individual(self._substitute(self._original, self._scattered(size)))

    def _mate(self, one: Genome, other: Genome) -> tuple[Genome, Genome]:
        point = int(self._rng.integers(1, max(2, len(one))))
        return (
            np.concatenate([one[:point], other[point:]]),
            np.concatenate([other[:point], one[point:]]),
        )

    def _mutate(self, genome: Genome) -> Genome:
        size = int(self._rng.integers(1, _MOST_SITES + 1))
        kind = ("random", "contiguous", "double")[self._rng.integers(3)]
        if kind == "contiguous":
            size = min(size, len(self._positions))
            first = int(self._rng.integers(len(self._positions) - size + 1))
            return self._substitute(genome, self._positions[first : first + size])
        return self._substitute(genome, self._scattered(2 * size if kind == "double" else size))

    def _scattered(self, size: int) -> NDArray[np.int64]:
        size = min(size, len(self._positions))
        return self._rng.choice(self._positions, size=size, replace=False)

    def _substitute(self, genome: Genome, positions: NDArray[np.int64]) -> Genome:
        changed = genome.copy()
        for position in positions:
            old = chr(genome[position])
            transition, *transversions = sorted(
                BASES.replace(old, ""), key=lambda new: not is_transition(old, new)
            )
            new = transition
            if self._rng.random() >= _TRANSITION_WEIGHT:
                new = transversions[self._rng.integers(2)]
            changed[position] = ord(new)
        return changed

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
        kept = [min(1.0, new.count(motif) / n) for motif, n in self._counts.items()]
        edits = self.edits(individual)
        kinds = [1.0 if is_transition(old[p], b) else TRANSVERSION_SCORE for p, b in edits.items()]
        scores = (float(gc), _mean(kept), _mean(kinds))
        return sum(scores) / len(scores)


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores) if scores else 1.0
