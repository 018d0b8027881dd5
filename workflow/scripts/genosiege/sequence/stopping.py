"""Whether another round of hardening is run."""

from collections.abc import Mapping, Sequence
from typing import Any

from genosiege.errors import InputError
from genosiege.sequence.results import AttackResult
from genosiege.sequence.training_rows import successful, training_side

RULES = ("flip_rate", "accuracy")


def decide(
    rule: str,
    threshold: float,
    number: int,
    source: AttackResult | None,
    accuracies: Sequence[float],
    attack_samples: int | None = None,
    criterion: str = "flip",
) -> Mapping[str, Any]:
    """Decide whether a round is run, from what is known of the models before it.

    Parameters
    ----------
    rule : str
        `flip_rate`: no further round once the attack that feeds it succeeds on at most
        `threshold` of the sequences that the model is right about, or there are none.
        `accuracy`: none once the last round gained less than `threshold` of clean accuracy,
        the published code's rule.
    threshold : float
        0 runs every round, whatever is found.
    number : int
        The round to decide on, from 1 on.
    source : AttackResult or None
        The training-side attack on the model before the round. A defence without one, a
        control, is not stopped by `flip_rate`.
    accuracies : sequence of float
        On the clean test split, of the baseline and each round before this one.
    attack_samples : int or None
        How many sequences of the test sample are attacked for training under the published
        leak; see `training_rows.training_side`.
    criterion : str
        What counts as an adversary; see `training_rows.successful`.

    Returns
    -------
    mapping
        `round`, `go`, `rule`, `value` (what was held against the threshold, None where
        there was nothing), `threshold`, and `reason`, one clause for people.

    Raises
    ------
    InputError
        If the rule is unknown, the threshold is negative, or an accuracy is missing.
    """
    if rule not in RULES:
        raise InputError(f'convergence "{rule}": choose one of {", ".join(RULES)}.')
    if not threshold >= 0:
        raise InputError(f"convergence_threshold {threshold!r}: give a number ≥ 0.")
    if threshold == 0:
        go, value, reason = True, None, "convergence_threshold 0 runs every round"
    elif rule == "accuracy":
        go, value, reason = _by_accuracy(threshold, number, accuracies)
    else:
        go, value, reason = _by_flip_rate(threshold, source, attack_samples, criterion)
    return {
        "round": number,
        "go": go,
        "rule": rule,
        "value": value,
        "threshold": threshold,
        "reason": reason,
    }


_Decision = tuple[bool, float | None, str]


def _by_flip_rate(
    threshold: float, source: AttackResult | None, attack_samples: int | None, criterion: str
) -> _Decision:
    if source is None:
        return True, None, "nothing is attacked for the training of a control"
    rows = training_side(source, attack_samples)
    attacked = rows[rows["correct_before"]]
    if attacked.empty:
        return False, None, "the model is right about no sequence of the training-side attack"
    rate = float(successful(attacked, criterion).mean())
    go = rate > threshold
    name = "flip rate" if criterion == "flip" else "success rate"
    return (
        go,
        rate,
        (
            f"{name} {rate:.3f} of the training-side attack is "
            f"{'above' if go else 'at or below'} {threshold:g}"
        ),
    )


def _by_accuracy(threshold: float, number: int, accuracies: Sequence[float]) -> _Decision:
    if len(accuracies) != number:
        raise InputError(
            f"round {number}: {len(accuracies)} clean accuracies are given; give one for the "
            "baseline and for each round before."
        )
    if number == 1:
        return True, None, "no round has been run yet"
    gain = accuracies[-1] - accuracies[-2]
    go = gain >= threshold
    return (
        go,
        gain,
        (
            f"clean accuracy changed by {gain:+.4f} in round {number - 1}, which is "
            f"{'at or above' if go else 'below'} {threshold:g}"
        ),
    )
