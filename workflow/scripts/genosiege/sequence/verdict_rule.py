"""The rule by which a defence is judged: six verdicts, and what a reader must know beside one."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from genosiege.comparisons import POWER
from genosiege.input_checks import PASSED, PHRASES
from genosiege.kinds.attacks import ATTACKS, NO_SEARCH, WHITE_BOX
from genosiege.sequence.changes import LEVEL, Change

MOST_CLEAN_LOSS = 0.01
"""Clean accuracy that a gain in robustness may cost: less than so much, with confidence."""

COLLAPSED, HARMFUL, GAIN = "collapsed", "harmful", "robust gain"
AT_A_COST, MASKING, NO_DIFFERENCE = "gain at a cost", "masking", "no difference shown"
VERDICTS = (COLLAPSED, HARMFUL, GAIN, AT_A_COST, MASKING, NO_DIFFERENCE)
"""The first that holds is the verdict."""


class Terms(NamedTuple):
    """What a defence is judged under, fixed before the run.

    Attributes
    ----------
    edits : int
        The one budget that decides: flips of more edits do not count.
    suite : mapping of str to mapping
        By name the attacks that count, each with its `kind` and, as far as it has them,
        `max_edits` and `query_budget`; the certificate is of kind `certify`.
    """

    edits: int
    suite: Mapping[str, Mapping[str, Any]]

    @property
    def lacking(self) -> list[str]:
        """Say what the suite lacks for a gain to count; nothing where it has all."""
        white_box = [
            (float(entry.get("query_budget", math.inf)), name)
            for name, entry in self.suite.items()
            if entry["kind"] in WHITE_BOX
        ]
        needed, name = max(white_box, default=(0.0, ""))
        searches = [
            entry
            for entry in self.suite.values()
            if entry["kind"] in ATTACKS
            and entry["kind"] not in (*WHITE_BOX, *NO_SEARCH)
            and entry.get("max_edits", math.inf) >= self.edits
        ]
        lacks = []
        if not searches:
            lacks.append(f"no gradient-free search of {self.edits} edits")
        elif all(entry.get("query_budget", math.inf) < needed for entry in searches):
            lacks.append(f"no gradient-free search with the {needed:.0f} queries of {name}")
        if not any(entry["kind"] == "transfer" for entry in self.suite.values()):
            lacks.append("no transferred adversaries")
        return lacks


class Evidence(NamedTuple):
    """What is known of one defence.

    Attributes
    ----------
    changes : mapping of str to Change
        Of robust_accuracy, clean_accuracy, flip_rate, transferred_flip_rate,
        own_minus_worst and own_minus_transferred; nan where nothing was measured.
    input_check, input_check_baseline : str
        Of the last round and of the baseline: `input_checks.PASSED` or one of its `PHRASES`.
    lacking : list of str
        What the suite lacks for a gain to count.
    n : int
        Sequences that robust accuracy is of.
    smallest_gain : float
        That so many sequences could have shown.
    n_rounds, n_kept : int
        Rounds that were run, and those of them that left the model as it was.
    trained_on : bool
        Whether a sequence that counts was trained on.
    others_asked : bool
        Whether adversaries of another model than the baseline were asked.
    """

    changes: Mapping[str, Change]
    input_check: str = PASSED
    input_check_baseline: str = PASSED
    lacking: list[str] = []  # noqa: RUF012
    n: int = 0
    smallest_gain: float = math.nan
    n_rounds: int = 1
    n_kept: int = 0
    trained_on: bool = False
    others_asked: bool = True


def judge(known: Evidence) -> tuple[str, str]:
    """Give the verdict on a defence, and its note.

    Parameters
    ----------
    known : Evidence
        What was measured.

    Returns
    -------
    tuple of str
        The first of `VERDICTS` that holds, and in the note the others that hold as well.

    Notes
    -----
    *Collapsed*: the last round fails the input check. *Harmful*: the interval of the change of
    robust accuracy lies below 0. *Robust gain*: it lies above 0, under a suite that lacks
    nothing; *gain at a cost* if the interval of the change of clean accuracy reaches
    −`MOST_CLEAN_LOSS` and lies below 0. *Masking*: robust accuracy improves more under the
    defence's own attack than under the worst case, or than under transferred adversaries; the
    interval of the difference lies above 0, and the test confirms it. Otherwise *no difference
    shown*. What was not measured has no interval, and nothing of it holds.
    """
    holding = _holding(known)
    verdict = holding[0] if holding else NO_DIFFERENCE
    return verdict, "; ".join(_notes(known, holding))


def _holding(known: Evidence) -> list[str]:
    robust, clean = known.changes["robust_accuracy"], known.changes["clean_accuracy"]
    holding = []
    if known.input_check != PASSED:
        holding.append(COLLAPSED)
    if robust.falls:
        holding.append(HARMFUL)
    if robust.rises and not known.lacking:
        holding.append(AT_A_COST if clean.falls and not _keeps_clean(known) else GAIN)
    if _masking(known):
        holding.append(MASKING)
    return holding


def _keeps_clean(known: Evidence) -> bool:
    return known.changes["clean_accuracy"].interval.low > -MOST_CLEAN_LOSS


def _masking(known: Evidence) -> list[str]:
    """Say what the defence's own attack improves more than."""
    against = (
        ("own_minus_worst", "the worst case"),
        ("own_minus_transferred", "transferred adversaries"),
    )
    return [
        f"robust accuracy moved {100 * known.changes[name].value:.1f} points higher under the "
        f"own attack than under {other}"
        for name, other in against
        # Of a few equal differences a bootstrap makes an interval without width.
        if known.changes[name].rises and known.changes[name].p <= 1 - LEVEL
    ]


# Notes --------------------------------------------------------------------------------


def _notes(known: Evidence, holding: list[str]) -> Iterator[str]:
    """Say what a reader must know beyond the verdict."""
    for place, verdict in enumerate(holding):
        said = _reasons(known, verdict)
        if not place:
            yield from said
        else:
            yield f"also {verdict}" + (f" ({', '.join(said)})" if said else "")
    yield from _limits(known, holding)
    yield from _training(known)
    yield from _further(known, holding)


def _reasons(known: Evidence, verdict: str) -> list[str]:
    """Say why a verdict holds, as far as its name does not."""
    if verdict == COLLAPSED:
        said = [PHRASES.get(known.input_check, known.input_check)]
        if known.input_check_baseline != PASSED:
            said.append("the baseline fails the input check, too")
        return said
    if verdict == GAIN and not _keeps_clean(known):
        loss = -100 * known.changes["clean_accuracy"].interval.low
        return [f"clean loss up to {loss:.1f} points not excluded"]
    return _masking(known) if verdict == MASKING else []


def _limits(known: Evidence, holding: list[str]) -> Iterator[str]:
    """Say what this suite and so many sequences could not show."""
    robust = known.changes["robust_accuracy"]
    if robust.rises and known.lacking:
        lacks = " and ".join(known.lacking)
        yield f"robust accuracy rose, but the suite has {lacks}: no gain is called"
    if {GAIN, AT_A_COST} & set(holding) and not known.others_asked:
        yield "transferred adversaries are those of the baseline only"
    if math.isnan(robust.value):
        yield "no attack of a suite was run"
    elif not holding and not robust.rises:
        if math.isnan(known.smallest_gain):
            yield f"n = {known.n} is too few to show any gain"
        else:
            yield (
                f"the smallest gain that n = {known.n} could have shown at {100 * POWER:.0f} % "
                f"power is {100 * known.smallest_gain:.1f} points"
            )


def _training(known: Evidence) -> Iterator[str]:
    """Say what of the training a reader would not expect."""
    if not known.n_rounds:
        yield "no round was run"
    if known.n_kept:
        all_kept = known.n_kept == known.n_rounds
        which = "all rounds" if all_kept else f"{known.n_kept} of {known.n_rounds} rounds"
        yield f"{which} kept the model: no adversaries"
    if known.trained_on:
        yield "trained on sequences it is tested on"


def _further(known: Evidence, holding: list[str]) -> Iterator[str]:
    """Say what else moved."""
    robust, clean = known.changes["robust_accuracy"], known.changes["clean_accuracy"]
    if clean.falls:
        yield "clean accuracy fell"
    if (robust.rises or robust.falls) and robust.p > 1 - LEVEL:
        yield "the exact test does not confirm the interval of robust accuracy"
    if GAIN in holding and not known.changes["transferred_flip_rate"].falls:
        yield "flips by transferred adversaries do not fall"
