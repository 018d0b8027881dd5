"""Exact answers: whether any allowed set of at most k edits changes a prediction.

For one edit every allowed substitution is scored. For two edits every allowed pair is, where
that is affordable; elsewhere the pairs of the best single edits, which can prove that a
sequence falls, never that it stands. Always in fp32: a proof must not hang on rounding.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genosiege.errors import InputError
from genosiege.sequence import tables
from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Target
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.enumeration import Level, Scorer, margin_before
from genosiege.sequence.journal import Journal
from genosiege.sequence.oracle import Oracle

COLUMNS = {
    "id": "str",
    "label": "int64",
    "original": "str",
    "k": "int64",
    "status": "str",
    "margin_before": "float64",
    "p_true_before": "float64",
    "worst_margin": "float64",
    "edits": "str",
    "n_edits": "int64",
    "n_flipping": "int64",
    "n_tried": "int64",
    "n_queries": "int64",
    "importance": "object",
}
"""The certificate, one row per sequence of the sample and k."""

MOST_EDITS = 2
"""Largest k: triples are too many to be scored."""


def certify(
    sample: pd.DataFrame,
    rules: Constraints,
    oracle: Oracle,
    *,
    max_edits: int = 1,
    pairs_length: int = 101,
    pairs_samples: int = 0,
    journal: Journal | None = None,
) -> pd.DataFrame:
    """Decide for each sequence of a sample whether any allowed set of ≤ k edits flips it.

    Parameters
    ----------
    sample : pandas.DataFrame
        Columns id, sequence, label.
    rules : Constraints
        Which edit sets are allowed: those that break no hard rule.
    oracle : Oracle
        In front of the model, in fp32.
    max_edits : int
        Largest k, 1 or 2.
    pairs_length : int
        All pairs are scored of sequences with at most so many positions that may be edited.
    pairs_samples : int
        Of so many other sequences all pairs are scored too: of the first ones that the model
        is right about.
    journal : Journal, optional
        Holds what an earlier, killed attempt had done.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, as in the sample, k = 1 to `max_edits` for each sequence.

        `status`: `robust`, no allowed set of at most k edits flips the sequence, proven;
        `flipped`, one does; `unknown`, not all were tried and none of those tried does;
        `skipped_misclassified`, the model is wrong without any edit.

        `worst_margin` is the lowest margin seen with at most k edits, none included, and
        `edits` what makes it; where the status is flipped, that is a set of fewest edits.
        `n_tried` and `n_flipping` count sets of exactly k edits. Where a single edit flips,
        pairs are not tried, and both are 0 for k = 2. `n_queries` counts the different
        sequences that the model was asked about for this and smaller k, the original among
        them. `importance` (k = 1 only) is the largest fall of the margin by a substitution
        at each position, 0 where none is allowed.

    Raises
    ------
    InputError
        If `max_edits` is neither 1 nor 2.
    ValueError
        If the oracle is not in fp32.
    """
    if not 1 <= max_edits <= MOST_EDITS:
        raise InputError(f"certify/max_edits {max_edits}: give 1 or {MOST_EDITS}.")
    if oracle.precision != "fp32":
        raise ValueError(f"a certificate needs fp32, and this oracle is in {oracle.precision}")
    targets = _targets(sample, rules, oracle)
    correct = [target for target in targets if margin_before(target) >= 0]
    scorer = Scorer(oracle, journal)
    try:
        singles = scorer.singles(correct)
        levels = {
            target.identity: [Level.of_none(target, True).joined(singles[target.identity])]
            for target in correct
        }
        if max_edits > 1:
            whole = _affordable(correct, pairs_length, pairs_samples)
            pairs = scorer.pairs(correct, singles, whole)
            for name, level in pairs.items():
                levels[name].append(level)
    finally:
        if journal:
            journal.save()
    rows: list[dict[str, Any]] = []
    for target in targets:
        name = target.identity
        importance = singles[name]["importance"] if name in singles else ()
        rows += _rows(target, max_edits, levels.get(name, []), importance)
    return tables.typed(rows, COLUMNS)


def _targets(sample: pd.DataFrame, rules: Constraints, oracle: Oracle) -> list[Target]:
    """Ask about the originals."""
    sequences, labels = list(sample["sequence"]), sample["label"].to_numpy()
    logits = oracle.settled_logits(sequences, labels, list(sample["id"]))
    return [
        Target(
            str(identity), sequence, int(label), Answers(row[None], int(label), False),
            rules.bind(sequence),
        )
        for identity, sequence, label, row in zip(
            sample["id"], sequences, labels, logits, strict=True
        )
    ]  # fmt: skip


def _affordable(targets: Iterable[Target], pairs_length: int, pairs_samples: int) -> set[str]:
    """Name the sequences whose pairs are all scored.

    What costs time is the number of positions that may be edited: a long sequence of which
    few may be is as good as a short one.
    """
    targets = list(targets)
    long = [t.identity for t in targets if len(t.rules.positions) > pairs_length]
    return {t.identity for t in targets} - set(long[pairs_samples:])


def _rows(
    target: Target, max_edits: int, levels: Sequence[Level], importance: Iterable[float]
) -> Iterator[dict[str, Any]]:
    """Make the rows of one sequence; without levels it was skipped."""
    worst, n_queries, n_flipping, complete = Level.of_none(target, True), 1, 0, True
    for k in range(1, max_edits + 1):
        level = levels[k - 1] if levels else Level.of_none(target, True)
        if level.margin < worst.margin:
            worst = level
        n_queries += level.n_tried
        n_flipping += level.n_flipping
        complete &= level.complete
        yield {
            "id": target.identity,
            "label": target.label,
            "original": target.sequence,
            "k": k,
            "status": _status(bool(levels), n_flipping, complete),
            "margin_before": margin_before(target),
            "p_true_before": float(target.start.p_true[0]),
            "worst_margin": worst.margin,
            "edits": tables.edits_text(target.sequence, worst.edits),
            "n_edits": len(worst.edits),
            "n_flipping": level.n_flipping,
            "n_tried": level.n_tried,
            "n_queries": n_queries,
            "importance": np.array(importance if k == 1 else (), dtype=np.float32),
        }


def _status(correct: bool, n_flipping: int, complete: bool) -> str:
    if not correct:
        return "skipped_misclassified"
    if n_flipping:
        return "flipped"
    return "robust" if complete else "unknown"
