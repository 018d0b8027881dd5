"""The published genetic search in its plain form: the rival that the genetic attack is timed with.

As its program does: DEAP's own operators on individuals that are lists of characters, copied
deeply; each candidate is written out, tokenized and scored in a forward of its own, in fp32;
the larger softmax output is what falls. Only `random` is seeded, which the program leaves out.
"""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from deap import base, creator, tools

BASES = "ACGT"
MOTIFS = ("TATA", "CAAT", "GC", "AT", "TTTT", "AAAA")
TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}

Score = Callable[[str], np.ndarray]
"""From one sequence to the probabilities of all classes."""


class Options(NamedTuple):
    """Settings, those of the published program."""

    population: int = 100
    generations: int = 200
    patience: int = 20
    tournament: int = 3
    crossover: float = 0.9
    mutation: float = 0.3


class Outcome(NamedTuple):
    """The fittest individual of the last generation, and how many forwards were made."""

    sequence: str
    flips: bool
    n_forwards: int


def plausibility(original: str, mutant: str) -> float:
    """Mean of GC content, kept motif counts, and kinds of substitutions."""
    gc = [sum(text.count(base) for base in "GC") / len(text) for text in (original, mutant)]
    counts = {motif: original.count(motif) for motif in MOTIFS if motif in original}
    kept = sum(min(n, mutant.count(motif)) for motif, n in counts.items())
    motifs = kept / sum(counts.values()) if counts else 1.0
    changed = [(a, b) for a, b in zip(original, mutant, strict=True) if a != b]
    kinds = [1.0 if TRANSITION.get(a) == b else 0.3 for a, b in changed]
    kind = sum(kinds) / len(kinds) if kinds else 1.0
    return (float(abs(gc[0] - gc[1]) <= 0.05) + motifs + kind) / 3


class PublishedSearch:
    """The search for one sequence after another.

    Parameters
    ----------
    score : callable
        Tokenizes and scores one sequence.
    options : Options
        Settings.
    """

    def __init__(self, score: Score, options: Options | None = None) -> None:
        self._score = score
        self._options = options or Options()
        if not hasattr(creator, "BenchFitness"):
            creator.create("BenchFitness", base.Fitness, weights=(1.0,))
            creator.create("BenchIndividual", list, fitness=creator.BenchFitness)

    def attack(self, sequence: str, label: int) -> Outcome:
        """Search until patience or generations end it."""
        self._sequence, self._n_forwards = sequence, 1
        self._confidence = float(self._score(sequence).max())
        options, toolbox = self._options, self._toolbox()
        population = toolbox.population(n=options.population)
        self._evaluate(population, toolbox)
        highest, idle = -np.inf, 0
        for _ in range(options.generations):
            population = self._bred(population, toolbox)
            best = tools.selBest(population, 1)[0].fitness.values[0]
            idle = 0 if best > highest else idle + 1
            highest = max(highest, best)
            if idle >= options.patience:
                break
        winner = "".join(tools.selBest(population, 1)[0])
        flips = winner != sequence and int(self._score(winner).argmax()) != label
        return Outcome(winner, flips, self._n_forwards + 1)

    def _toolbox(self) -> base.Toolbox:
        toolbox = base.Toolbox()
        toolbox.register("individual", self._individual)
        toolbox.register("population", tools.initRepeat, list, toolbox.individual)
        toolbox.register("evaluate", self._fitness)
        toolbox.register("mate", tools.cxOnePoint)
        toolbox.register("mutate", self._mutate)
        toolbox.register("select", tools.selTournament, tournsize=self._options.tournament)
        return toolbox

    def _bred(self, population: list[Any], toolbox: base.Toolbox) -> list[Any]:
        offspring = list(map(toolbox.clone, toolbox.select(population, len(population))))
        for one, other in zip(offspring[::2], offspring[1::2], strict=False):
            if random.random() < self._options.crossover:
                toolbox.mate(one, other)
                del one.fitness.values, other.fitness.values
        for individual in offspring:
            if random.random() < self._options.mutation:
                toolbox.mutate(individual)
                del individual.fitness.values
        self._evaluate([one for one in offspring if not one.fitness.valid], toolbox)
        return offspring

    def _evaluate(self, individuals: list[Any], toolbox: base.Toolbox) -> None:
        for individual in individuals:
            individual.fitness.values = toolbox.evaluate(individual)

    def _fitness(self, individual: list[str]) -> tuple[float]:
        mutant = "".join(individual)
        n_edits = sum(a != b for a, b in zip(self._sequence, mutant, strict=True))
        self._n_forwards += 1
        drop = self._confidence - float(self._score(mutant).max())
        if n_edits == 0:
            return (-1.0,)
        implausible = 1 - plausibility(self._sequence, mutant)
        return (2.0 * drop - 0.05 * n_edits - 0.1 * implausible,)

    def _individual(self) -> Any:
        """Draw an individual of light, medium or heavy edits, seven of ten transitions."""
        letters = list(self._sequence)
        low, high = random.choice([(1, 3), (2, 5), (4, 8)])
        for place in self._places(random.randint(low, high)):
            transition = random.random() < 0.7
            letters[place] = TRANSITION[letters[place]] if transition else random.choice(BASES)
        return creator.BenchIndividual(letters)

    def _mutate(self, individual: Any) -> tuple[Any]:
        """Redraw scattered, neighbouring or twice as many scattered sites."""
        size, kind = random.randint(1, 8), random.choice(["random", "contiguous", "double"])
        if kind == "contiguous":
            start = random.randint(0, max(0, len(individual) - size))
            places = [place for place in range(start, start + size) if self._editable(place)]
        else:
            places = self._places(2 * size if kind == "double" else size)
        for place in places:
            individual[place] = random.choice(BASES)
        return (individual,)

    def _editable(self, place: int) -> bool:
        return place < len(self._sequence) and self._sequence[place] in BASES

    def _places(self, size: int) -> list[int]:
        allowed = [place for place in range(len(self._sequence)) if self._editable(place)]
        return random.sample(allowed, min(size, len(allowed)))
