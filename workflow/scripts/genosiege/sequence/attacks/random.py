"""The random attack: uniformly random edit sets, all of the largest allowed size.

The floor of the suite: what a search finds without looking at the model's answers. Every
allowed set of `max_edits` substitutions is equally likely, and none is asked about twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

import numpy as np

from genosiege.sequence.attacks import Edits, Steps, Target, check_sizes
from genosiege.sequence.attacks.blind import best_of
from genosiege.sequence.attacks.sparse import OTHER_BASES, Operators, sets_of_size, written
from genosiege.sequence.constraints import BASES, transition
from genosiege.sequence.draws import Draws

# Up to this many edit sets are listed and shuffled instead of drawn.
_MOST_LISTED = 5_000
# Draws that hard rules may refuse before the last one is reduced to what they allow.
_MOST_REFUSED = 100
# Draws in a row that were seen before until the space counts as searched through.
_MOST_REPEATED = 100


@dataclass(frozen=True)
class Options:
    """Settings of the random attack.

    Attributes
    ----------
    max_edits : int
        Substitutions in every candidate; fewer where fewer positions may be edited.
    query_budget : int
        Most different sequences that the model is asked about.
    """

    max_edits: int = 10
    query_budget: int = 10_000

    def __post_init__(self) -> None:
        check_sizes("random", self)


def search(target: Target, options: Options, rng: np.random.Generator) -> Steps:
    """Ask about random edit sets until one flips the prediction or the budget is spent.

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
        Up to 50 candidates, each new.

    Returns
    -------
    Found
        The candidate with the lowest margin; a flip is pruned. `exhausted` where no new
        candidate is left.

    Notes
    -----
    Positions are uniform without replacement, and a new base is uniform over the three
    others (where transitions are a hard rule it is the transition), whatever soft rules
    prefer. Sets that break a hard rule are drawn again, so that those which keep them stay
    equally likely. Where the rules refuse 100 draws in a row, random edits of the last one
    are dropped until they allow it.
    """
    sets = _EditSets(target, options.max_edits, rng)
    found = yield from best_of(target, sets.listed() if sets.are_few else sets.drawn())
    return found


class _EditSets:
    """The candidates for one target, each given once."""

    def __init__(self, target: Target, max_edits: int, rng: np.random.Generator) -> None:
        self._rules = target.rules
        self._positions: list[int] = target.rules.positions.tolist()
        self._draws = Draws(rng)
        self._operators = Operators(target.rules, max_edits, self._draws)
        self._size = self._operators.max_edits
        self._others = OTHER_BASES
        if target.rules.rules.transitions == "hard":
            self._others = {base: transition(base) for base in BASES}

    @property
    def are_few(self) -> bool:
        """Whether they can be listed."""
        n_bases = len(self._others["A"])
        n_sets: int = comb(len(self._rules.positions), self._size) * n_bases**self._size
        return n_sets <= _MOST_LISTED

    def listed(self) -> Iterator[Edits]:
        """Give all allowed sets in random order; where there are none, those one edit smaller."""
        for size in range(self._size, 0, -1):
            sets = sets_of_size(self._rules, size, self._others)
            allowed = [edits for edits in sets if self._rules.allows(edits)]
            if allowed:
                for index in self._draws.permutation(len(allowed)):
                    yield allowed[index]
                return

    def drawn(self) -> Iterator[Edits]:
        """Draw new sets as long as there are any."""
        seen = {written({})}
        n_repeated = 0
        while n_repeated < _MOST_REPEATED:
            edits = self._allowed()
            key = written(edits)
            n_repeated = n_repeated + 1 if key in seen else 0
            if not n_repeated:
                seen.add(key)
                yield edits

    def _allowed(self) -> Edits:
        for _ in range(_MOST_REFUSED):
            edits = self._draw()
            if self._rules.allows(edits):
                break
        return self._operators.repair(edits)

    def _draw(self) -> Edits:
        chosen = self._draws.sample(self._positions, self._size)
        others = [self._others[self._rules.original[p]] for p in chosen]
        return {
            p: bases[self._draws.integers(len(bases))]
            for p, bases in zip(chosen, others, strict=True)
        }
