"""Pruning: every edit that a success does not need is dropped."""

from collections.abc import Generator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Edits, Found, Steps, Target


class Pruned(NamedTuple):
    """What is left of an edit set, and `Found.pruned`."""

    edits: Edits
    state: str


def flipped(answers: Answers) -> NDArray[np.bool_]:
    """Which candidates the model puts into another class than the true one."""
    return np.asarray(answers.margins < 0)


def prune(target: Target, edits: Edits) -> Generator[Sequence[str], Answers, Pruned]:
    """Drop edits one by one while the prediction stays flipped.

    In each step all sets with one edit less are asked for together; of those that still
    flip and break no hard rule, the one with the lowest margin goes on. At the end no
    single edit can be dropped.

    Parameters
    ----------
    target : Target
        What is attacked.
    edits : dict of int to str
        An edit set that flips.

    Returns
    -------
    Pruned
        A subset of `edits`; all of it where the budget is spent at once.
    """
    state = "complete" if len(edits) > 1 else ""
    while len(edits) > 1:
        shorter = [{p: b for p, b in edits.items() if p != dropped} for dropped in edits]
        shorter = [candidate for candidate in shorter if target.rules.allows(candidate)]
        if not shorter:
            break
        answers = yield [target.render(candidate) for candidate in shorter]
        holding = np.flatnonzero(flipped(answers))
        if len(holding):
            edits = shorter[holding[answers.margins[holding].argmin()]]
        if answers.exhausted:
            # Of a single edit that is left, all that is known: there is none to drop.
            state = "cut" if len(edits) > 1 else "complete"
            break
        if not len(holding):
            break
    return Pruned(edits, state)


def conclude(target: Target, edits: Edits, reason: str, succeeded: bool) -> Steps:
    """End a search with an edit set: a success is pruned first.

    Parameters
    ----------
    target : Target
        What is attacked.
    edits : dict of int to str
        The best edit set.
    reason : str
        Why the search stopped.
    succeeded : bool
        Whether `edits` is a success.
    """
    if not succeeded:
        return Found(edits, len(edits), reason, False)
    kept = yield from prune(target, edits)
    return Found(kept.edits, len(edits), reason, True, kept.state)
