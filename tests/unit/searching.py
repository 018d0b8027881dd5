"""Run any kind of search on a score, and what brute force says of the same."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
from toy_models import BASES, Score, apply, drive, target

from genosiege.sequence import attacks
from genosiege.sequence.attacks import Found
from genosiege.sequence.constraints import Constraints


def run(
    entry: Mapping[str, Any],
    sequence: str,
    score: Score,
    rules: Constraints | None = None,
    seed: int = 0,
    asked: list[list[str]] | None = None,
) -> Found:
    """Search as an entry of the catalogue says."""
    attack = attacks.load(entry)
    steps = attack.start(target(sequence, score, rules), np.random.default_rng(seed))
    return drive(steps, score, attack.options.query_budget, asked)


def flat(asked: list[list[str]]) -> list[str]:
    """All candidates that were proposed, in order."""
    return [candidate for proposal in asked for candidate in proposal]


def edit_sets(sequence: str, size: int) -> Iterator[dict[int, str]]:
    """All sets of exactly `size` substitutions."""
    for positions in combinations(range(len(sequence)), size):
        choices = [BASES.replace(sequence[p], "") for p in positions]
        for bases in product(*choices):
            yield dict(zip(positions, bases, strict=True))


def mutants(sequence: str, size: int) -> list[str]:
    """All sequences at exactly this Hamming distance."""
    return [apply(sequence, edits) for edits in edit_sets(sequence, size)]


def rugged(seed: int, mean: float = 1.0) -> Score:
    """Margins without any structure but their seed's."""

    def one(candidate: str) -> float:
        return mean + np.random.default_rng([seed, *candidate.encode()]).normal()

    return lambda candidates: np.array([one(candidate) for candidate in candidates])


def pairwise(seed: int, length: int, start: float, sequence: str) -> Score:
    """Margins that are sums over all pairs of bases; `start` for `sequence`."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(length, 1)
    weights = rng.normal(size=(len(first), 4, 4))

    def raw(candidates: Sequence[str]) -> np.ndarray:
        ids = np.array([[BASES.index(base) for base in candidate] for candidate in candidates])
        pairs = np.arange(len(first))
        return np.asarray(weights[pairs, ids[:, first], ids[:, second]].sum(axis=1))

    offset = start - raw([sequence])[0]
    return lambda candidates: raw(candidates) + offset
