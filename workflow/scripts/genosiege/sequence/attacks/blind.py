"""Blind search: candidates drawn without regard to the answers, of which the best one counts."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from genosiege.sequence.attacks import Edits, Steps, Target
from genosiege.sequence.attacks.pruning import conclude

_PROPOSAL = 50
"""Candidates asked for at a time: enough to fill a forward, few enough to stop in time."""


def best_of(target: Target, candidates: Iterator[Edits]) -> Steps:
    """Ask about candidates until one flips.

    Parameters
    ----------
    target : Target
        What is attacked.
    candidates : iterator of dict of int to str
        Edit sets that break no hard rule, drawn as they are needed.

    Yields
    ------
    list of str
        The next 50 candidates, or those that are left.

    Returns
    -------
    Found
        The candidate with the lowest margin; a flip is pruned. Without a flip it ends with
        `query_budget`, or with `exhausted` where the candidates ended first.
    """
    best: Edits = {}
    lowest, reason = np.inf, "exhausted"
    while proposal := list(islice(candidates, _PROPOSAL)):
        answers = yield [target.render(edits) for edits in proposal]
        margins = answers.margins
        if len(margins) and margins.min() < lowest:
            best, lowest = proposal[margins.argmin()], margins.min()
        if lowest < 0:
            reason = "success"
        elif answers.exhausted:
            reason = "query_budget"
        else:
            continue
        break
    return (yield from conclude(target, best, reason, bool(lowest < 0)))
