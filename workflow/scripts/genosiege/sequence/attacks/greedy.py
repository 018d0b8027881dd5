"""The greedy attack: exact in-silico mutagenesis, step by step.

Each step scores every single substitution of the best edit sets so far. Its first step is
the truth about single edits; with a linear model all steps are.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Found, Steps, Target, check_sizes
from genosiege.sequence.attacks.pruning import conclude

EditSet = frozenset[tuple[int, str]]


@dataclass(frozen=True)
class Options:
    """Settings of the greedy attack.

    Attributes
    ----------
    beam : int
        Edit sets that are carried on from step to step.
    max_edits : int
        Most substitutions, and so most steps.
    query_budget : int
        Most different sequences that the model is asked about.
    """

    beam: int = 1
    max_edits: int = 10
    query_budget: int = 10_000

    def __post_init__(self) -> None:
        check_sizes("greedy", self)


def search(target: Target, options: Options, rng: np.random.Generator) -> Steps:
    """Add the best single edit, again and again, until the prediction flips.

    Parameters
    ----------
    target : Target
        What is attacked.
    options : Options
        Settings.
    rng : numpy.random.Generator
        Not used: nothing here is random. Of equal margins the first wins, by position, then
        by base.

    Yields
    ------
    list of str
        All new candidates of a step: in the first, three for each editable position less
        what hard rules forbid.

    Returns
    -------
    Found
        The first flip, pruned; else, with `exhausted` or `query_budget`, the candidate with
        the lowest margin.

    Notes
    -----
    An edited position is not edited again, so step k holds sets of k edits. No candidate
    is scored twice. What leads to a candidate obeys the hard rules too: a set none of whose
    subsets of one edit less is allowed is out of reach.

    A wider beam is never worse than width 1, whatever the budget: it first does what width 1
    does, pruning included. Where that finds no flip, or one that keeps more than two edits
    (fewer cannot do, as the first step is exact), the beam starts over to find one with
    fewer, out of what is already known as far as possible. Nothing of the kind holds
    between two wider beams.
    """
    ladder = _Ladder(target)
    narrow = yield from ladder.descend(1, options.max_edits)
    spent = narrow.stop_reason == "query_budget"
    if options.beam == 1 or spent or (narrow.succeeded and len(narrow.edits) <= 2):
        return narrow
    most = len(narrow.edits) - 1 if narrow.succeeded else options.max_edits
    wide = yield from ladder.descend(options.beam, most)
    if wide.succeeded:
        return wide
    if narrow.succeeded:
        return narrow
    best = min((narrow, wide), key=ladder.margin)
    return best._replace(stop_reason=wide.stop_reason)


class _Ladder:
    """Steps of one edit each, and the margins of all candidates scored on them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._margins: dict[EditSet, float] = {}
        self._single = target.rules.substitutions()

    def margin(self, found: Found) -> float:
        """Margin of what an unsuccessful descent ended with; infinite if that is nothing."""
        return self._margins.get(frozenset(found.edits.items()), np.inf)

    def descend(self, beam: int, max_edits: int) -> Steps:
        """Carry the `beam` best edit sets on from step to step, up to a flip."""
        members: Sequence[EditSet] = [frozenset()]
        best: EditSet = frozenset()
        lowest, spent = np.inf, False
        for _ in range(max_edits):
            children = self._children(members)
            spent = yield from self._score(children)
            scored = [child for child in children if child in self._margins]
            members = sorted(scored, key=self._margins.__getitem__)[:beam]
            if members and self._margins[members[0]] < lowest:
                best, lowest = members[0], self._margins[members[0]]
            if lowest < 0 or spent or not members:
                break
        reason = "success" if lowest < 0 else "query_budget" if spent else "exhausted"
        return (yield from conclude(self._target, dict(best), reason, lowest < 0))

    def _children(self, parents: Iterable[EditSet]) -> list[EditSet]:
        """Add one edit at an unedited position to each parent; what is allowed, once each."""
        children: dict[EditSet, None] = {}
        for parent in parents:
            taken = {position for position, _ in parent}
            for edit in self._single:
                child = parent | {edit}
                if edit[0] in taken or child in children:
                    continue
                # What was scored is allowed; asking the rules again would cost time.
                if child in self._margins or self._target.rules.allows(dict(child)):
                    children[child] = None
        return list(children)

    def _score(self, children: Iterable[EditSet]) -> Generator[Sequence[str], Answers, bool]:
        """Ask about the children not scored yet; tell whether the budget ended."""
        fresh = [child for child in children if child not in self._margins]
        if not fresh:
            return False
        answers = yield [self._target.render(dict(child)) for child in fresh]
        margins = [float(margin) for margin in answers.margins]
        self._margins.update(zip(fresh, margins, strict=False))
        return answers.exhausted
