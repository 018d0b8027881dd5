"""Pruning: every edit that a success does not need is dropped."""

from collections.abc import Callable, Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Edits, Target


def flipped(answers: Answers) -> NDArray[np.bool_]:
    """Which candidates the model puts into another class than the true one."""
    return np.asarray(answers.margins < 0)


def prune(
    target: Target,
    edits: Edits,
    succeeds: Callable[[Answers], NDArray[np.bool_]] = flipped,
) -> Generator[Sequence[str], Answers, Edits]:
    """Drop edits one by one while the success holds.

    In each step all sets with one edit less are asked for together; of those that still
    succeed and break no hard rule, the one with the lowest margin goes on. At the end no
    single edit can be dropped.

    Parameters
    ----------
    target : Target
        What is attacked.
    edits : dict of int to str
        A successful edit set.
    succeeds : callable
        Tells of each answered candidate whether it is a success.

    Returns
    -------
    dict of int to str
        A subset of `edits`; all of it where the budget is spent at once.
    """
    while len(edits) > 1:
        shorter = [{p: b for p, b in edits.items() if p != dropped} for dropped in edits]
        shorter = [candidate for candidate in shorter if target.rules.allows(candidate)]
        if not shorter:
            break
        answers = yield [target.render(candidate) for candidate in shorter]
        holding = np.flatnonzero(succeeds(answers))
        if len(holding):
            edits = shorter[holding[answers.margins[holding].argmin()]]
        if not len(holding) or answers.exhausted:
            break
    return edits
