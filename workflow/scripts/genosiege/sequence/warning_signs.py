"""Signs that a robust accuracy flatters: the attack is too weak, or the model knows nothing.

The signs of masked gradients are those of Athalye, Carlini and Wagner (2018, ICML) and of
Carlini et al. (2019, arXiv 1902.06705): a black-box attack better than the white-box one, and
random search better than a directed one. The rest tells where a search ended too early.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genosiege.comparisons import PairedRates, mcnemar_family
from genosiege.input_checks import PASSED
from genosiege.sequence.results import AttackResult
from genosiege.sequence.suite import MODEL, Suite, suites

SIGNIFICANT = 0.05
"""Holm-adjusted p below which one attack is said to beat another; the usual 5 %."""
SATURATED = 0.99
"""Probability of the true class near its ceiling: a margin above 4.6 with two classes."""
MOVED = 1.0
"""Fall of the margin that matters: it multiplies the odds of the true class by less than 0.37."""
SATURATED_SHARE = 0.10
"""Share of failed runs from which confidence hides what the margin shows; a few always do."""
EXHAUSTED_SHARE = 0.05
"""Share of runs out of budget from which an attack has not converged: about the half-width of
the interval of a rate of 500 sequences, so that less would not be seen in the result."""

WHITE_BOX = ("gradient",)
DIRECTED = ("genetic", "greedy")
UNDIRECTED = ("random", "natural")
"""Draws without a direction. They end with their budget, and have no convergence to miss."""

COLUMNS = [*MODEL, "warning", "attack", "n", "of", "value", "p", "message"]


class Sign(NamedTuple):
    """One warning about one attack, or about the model where `attack` is empty.

    `n` of `of` are counts, the rest as in the caption.
    """

    warning: str
    attack: str
    n: int
    of: int
    value: float
    p: float
    message: str


def warnings_table(
    attacks: Iterable[AttackResult],
    kinds: Mapping[str, str],
    metrics: Iterable[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """List what is fishy about the attacks on each model, then about the models.

    Parameters
    ----------
    attacks : iterable of AttackResult
        All attacks in DNA space.
    kinds : mapping of str to str
        Kind of each attack by its name.
    metrics : iterable of mapping
        Content of the models' `metrics.json`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/warnings.rst`; no row where all is well.
    """
    rows = []
    for suite in suites(attacks):
        signs = list(_comparisons(suite, kinds))
        for attack in suite.attacks:
            signs += _saturated_confidence(attack)
            signs += _flips_lost(attack)
            signs += _nothing_tried(attack)
            if kinds[attack.attack] not in UNDIRECTED:
                signs += _budget_exhausted(attack)
        rows += [suite.place | sign._asdict() for sign in signs]
    measured = [{**found, "split": "test"} for found in metrics]
    for found in sorted(measured, key=lambda found: tuple(found[name] for name in MODEL)):
        place = {name: found[name] for name in MODEL}
        rows += [place | sign._asdict() for sign in _input_check(found)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _input_check(metrics: Mapping[str, Any]) -> Iterator[Sign]:
    """Say why no robust accuracy of a model means anything, where its answers tell so."""
    code, of = metrics["input_check"], int(metrics["n"])
    if code == PASSED:
        return
    if code == "constant_model":
        answer = int(np.sum(metrics["confusion_matrix"], axis=0).argmax())
        message = (
            f"The model gives class {answer} to all {of} test sequences: it cannot read them, or "
            "has learned nothing, and robust accuracy only counts the sequences of that class."
        )
        yield Sign(code, "", of, of, 1.0, math.nan, message)
        return
    right, interval = round(metrics["accuracy"] * of), metrics["mcc_interval"]
    message = (
        f"The model gets {right} of {of} test sequences right, and one class given to all would "
        f"get {round(metrics['majority_share'] * of)}; its MCC is {metrics['mcc']:.3f} "
        f"[{interval['low']:.3f}, {interval['high']:.3f}]: {_ANSWERS[code]}."
    )
    yield Sign(code, "", right, of, metrics["mcc"], math.nan, message)


_ANSWERS = {
    "labels_swapped": "it is worse than chance, so the labels look swapped; compare the order of "
    "its classes with the task's",
    "no_better_than_majority": "that is no better than chance, so do not call it robust",
}


def with_codes(attacks: pd.DataFrame, warnings: pd.DataFrame) -> pd.DataFrame:
    """Add to `summaries.attacks_table` a column `warnings`: each attack's codes, joined by ";".

    What the table counts of pruning stays behind it, as the last column.
    """
    codes: dict[tuple[Any, ...], dict[str, None]] = {}
    for row in warnings[[*MODEL, "attack", "warning"]].itertuples(index=False):
        codes.setdefault(tuple(row[:-1]), {})[row[-1]] = None
    places = attacks[[*MODEL, "attack"]].itertuples(index=False)
    added = [";".join(codes.get(tuple(place), ())) for place in places]
    last = [name for name in attacks if name == "n_pruning_cut"]
    return attacks.assign(warnings=added)[[*attacks.columns.drop(last), "warnings", *last]]


def _comparisons(suite: Suite, kinds: Mapping[str, str]) -> Iterator[Sign]:
    """Compare stronger attacks with what should not beat them, as one family per model."""
    pairs = [
        (code, strong, weak)
        for code, strong_kinds, weak_kinds in (
            ("black_box_beats_white_box", WHITE_BOX, (*DIRECTED, *UNDIRECTED)),
            ("random_beats_genetic", DIRECTED, UNDIRECTED),
        )
        for strong in suite.attacks
        for weak in suite.attacks
        if kinds[strong.attack] in strong_kinds and kinds[weak.attack] in weak_kinds
    ]
    flipped = [_flipped_sequences(suite, strong, weak) for _, strong, weak in pairs]
    compared = mcnemar_family([(both["weak"], both["strong"]) for both in flipped])
    for (code, strong, weak), both, found in zip(pairs, flipped, compared, strict=True):
        if found.rates.difference > 0:
            if found.p_adjusted < SIGNIFICANT:
                yield _beaten(code, strong, weak, both, found.rates, found.p_adjusted)
            elif code == "random_beats_genetic" and _queries(weak) <= _queries(strong):
                yield _beaten("random_flips_more", strong, weak, both, found.rates,
                              found.p_adjusted)  # fmt: skip


def _flipped_sequences(suite: Suite, strong: AttackResult, weak: AttackResult) -> pd.DataFrame:
    """Say which correct sequences either attack flips, with no more edits than both may use."""
    sequences = suite.sequences()
    ids = sequences.index[sequences["correct"]]
    budget = min(strong.max_edits, weak.max_edits)
    flipped = {}
    for name, attack in (("strong", strong), ("weak", weak)):
        # One seed of each: a deterministic attack gains nothing by more, undirected edits do.
        rows = attack.rows[attack.rows["attack_seed"] == attack.rows["attack_seed"].min()]
        won = rows[rows["flipped"] & rows["keeps_hard_rules"] & (rows["n_edits"] <= budget)]
        flipped[name] = ids.isin(won["id"])
    return pd.DataFrame(flipped, index=ids)


def _queries(attack: AttackResult) -> float:
    return float(attack.attacked["n_queries_unique"].mean())


_MEANINGS = {
    "black_box_beats_white_box": "the gradients may mislead (masking), or the gradient attack is "
    "too weak: do not call the model robust because of it",
    "random_beats_genetic": "the directed search has gone wrong: look at its settings before "
    "you trust its numbers",
    "random_flips_more": "with no more queries; that may be chance, yet a directed search should "
    "do better",
}


def _beaten(
    code: str,
    strong: AttackResult,
    weak: AttackResult,
    both: pd.DataFrame,
    rates: PairedRates,
    p: float,
) -> Sign:
    n, n_strong, of = int(both["weak"].sum()), int(both["strong"].sum()), len(both)
    message = (
        f"{weak.attack} flips {n} of {of} sequences and {strong.attack} {n_strong} (Holm-adjusted "
        f"p = {p:.2g}), although {strong.attack} should be the stronger: {_MEANINGS[code]}."
    )
    return Sign(code, strong.attack, n, of, rates.difference, p, message)


def _saturated_confidence(attack: AttackResult) -> Iterator[Sign]:
    failed = attack.attacked[~attack.attacked["success_flip"]]
    hidden = (
        (failed["p_true_before"] > SATURATED)
        & (failed["p_true_after"] > SATURATED)
        & (failed["margin_before"] - failed["margin_after"] > MOVED)
    )
    n, of = int(hidden.sum()), len(failed)
    if of and n / of > SATURATED_SHARE:
        message = (
            f"In {n} of the {of} failed runs of {attack.attack} the confidence stays above "
            f"{SATURATED} while the margin falls by more than {MOVED:g}: the confidence is "
            "saturated, so read margins and flips, not confidence drops."
        )
        yield Sign("saturated_confidence", attack.attack, n, of, n / of, float("nan"), message)


def _flips_lost(attack: AttackResult) -> Iterator[Sign]:
    n = attack.search_flips_lost
    if n > 0:
        of = n + int(attack.rows["flipped"].sum())
        message = (
            f"{n} of {of} flips that the search of {attack.attack} saw did not survive scoring in "
            "full precision and count as withstood: search in fp32 to see how many it truly finds."
        )
        yield Sign("flips_lost", attack.attack, n, of, n / of, float("nan"), message)


def _nothing_tried(attack: AttackResult) -> Iterator[Sign]:
    runs = attack.attacked
    n, of = int((runs["n_queries_unique"] <= 1).sum()), len(runs)
    if n:
        message = (
            f"In {n} of {of} runs {attack.attack} asked about no candidate: rules, budget or list "
            "of variants left it none. They count as withstood, and say nothing of the model."
        )
        yield Sign("nothing_tried", attack.attack, n, of, n / of, float("nan"), message)


def _budget_exhausted(attack: AttackResult) -> Iterator[Sign]:
    runs = attack.attacked
    out = runs["stop_reason"].isin(["query_budget", "generations"]) & ~runs["success_flip"]
    n, of = int(out.sum()), len(runs)
    if of and n / of > EXHAUSTED_SHARE:
        message = (
            f"{n} of {of} runs of {attack.attack} ended at their query or generation limit without "
            "a flip: it has not converged, and with a larger limit it would find more."
        )
        yield Sign("budget_exhausted", attack.attack, n, of, n / of, float("nan"), message)
