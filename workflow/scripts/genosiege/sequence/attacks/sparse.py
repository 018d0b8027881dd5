"""Operators on sparse edit sets: draw, mutate, mate, and keep to the hard rules."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import combinations, product

from genosiege.sequence.attacks import Edits
from genosiege.sequence.constraints import BASES, Bound
from genosiege.sequence.draws import Draws

OTHER_BASES = {base: BASES.replace(base, "") for base in BASES}
"""What each base may become, the three others."""

# Mutations of a candidate after which the space counts as searched through.
_MOST_TRIES = 30


def sets_of_size(
    rules: Bound, size: int, others: Mapping[str, str] = OTHER_BASES
) -> Iterator[Edits]:
    """List all edit sets of a size, whether or not a hard rule allows them.

    Parameters
    ----------
    rules : Bound
        Say which positions may be edited.
    size : int
        Edits in each set.
    others : mapping of str to str
        For each base what it may become.
    """
    for chosen in combinations([int(p) for p in rules.positions], size):
        for bases in product(*(others[rules.original[p]] for p in chosen)):
            yield dict(zip(chosen, bases, strict=True))


class Operators:
    """Random changes of edit sets that never break a hard rule.

    Parameters
    ----------
    rules : Bound
        The constraints, applied to the sequence under attack.
    max_edits : int
        Largest edit set.
    draws : Draws
        Where all draws come from.
    """

    def __init__(self, rules: Bound, max_edits: int, draws: Draws) -> None:
        self._rules = rules
        self._draws = draws
        self._positions: list[int] = rules.positions.tolist()
        self.max_edits = min(max_edits, len(self._positions))

    def draw(self, size: int) -> Edits:
        """Draw `size` edits at different positions; fewer where a hard rule forbids more."""
        chosen = self._draws.sample(self._positions, size)
        return self.repair({p: self._rules.propose_base(p, self._draws) for p in chosen})

    def mutate(self, edits: Edits) -> Edits:
        """Add an edit, drop one, change a base, or move an edit elsewhere."""
        changed = dict(edits)
        kinds = ["change", "move", "move"]
        if len(changed) < self.max_edits:
            kinds += ["add", "add"]
        if len(changed) > 1:
            kinds.append("drop")
        kind = kinds[self._draws.integers(len(kinds))] if changed else "add"
        if kind != "add":
            position = list(changed)[self._draws.integers(len(changed))]
            old = changed.pop(position)
            if kind == "change":
                new = self._rules.propose_base(position, self._draws)
                # The same base again would change nothing: then the edit moves instead.
                if new != old:
                    changed[position] = new
                else:
                    kind = "move"
        if kind in ("add", "move"):
            position = self._free_position(changed)
            changed[position] = self._rules.propose_base(position, self._draws)
        return self.repair(changed)

    def mate(self, one: Edits, other: Edits) -> Edits:
        """Mix two edit sets: what both have stays, of the rest each edit with even chance."""
        child = {p: b for p, b in one.items() if other.get(p) == b}
        rest = [edit for edit in (*one.items(), *other.items()) if edit[0] not in child]
        keep = self._draws.coins(len(rest))
        for index in self._draws.permutation(len(rest)):
            if keep[index]:
                position, base = rest[index]
                if len(child) >= self.max_edits:
                    break
                child.setdefault(position, base)
        return self.repair(child)

    def repair(self, edits: Edits) -> Edits:
        """Drop random edits until no hard rule is broken."""
        while edits and not self._rules.allows(edits):
            dropped = list(edits)[self._draws.integers(len(edits))]
            edits = {p: b for p, b in edits.items() if p != dropped}
        return edits

    def _free_position(self, taken: Edits) -> int:
        while True:
            position = self._positions[self._draws.integers(len(self._positions))]
            if position not in taken:
                return position


class Proposed:
    """All edit sets that a search has proposed, so that it proposes none of them twice.

    Parameters
    ----------
    mutate : callable
        Makes another edit set of one that was proposed before.
    """

    def __init__(self, mutate: Callable[[Edits], Edits]) -> None:
        self._mutate = mutate
        # The original needs no asking.
        self._seen = {written({})}

    def __contains__(self, edits: Edits) -> bool:
        return written(edits) in self._seen

    def renew(self, edits: Edits) -> Edits | None:
        """Mutate an edit set until it is new, and note it; None where that does not end."""
        for _ in range(_MOST_TRIES):
            key = written(edits)
            if key not in self._seen:
                self._seen.add(key)
                return edits
            edits = self._mutate(edits)
        return None


def written(edits: Edits) -> str:
    """Write an edit set as a word, which takes a tenth of the memory of a set of tuples."""
    return "".join(sorted(map(_two_characters, edits.items())))


@cache
def _two_characters(edit: tuple[int, str]) -> str:
    position, base = edit
    return chr(position) + base
