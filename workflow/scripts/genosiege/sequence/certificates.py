"""Exact answers: whether any allowed set of at most k edits changes a prediction.

For one edit every allowed substitution is scored. For two edits every allowed pair is, where
that is affordable; elsewhere the pairs of the best single edits, which can prove that a
sequence falls, never that it stands. Always in fp32: a proof must not hang on rounding.

The model is asked through the oracle, in searches cut so that memory is bounded and a killed
job repeats little. The single edits of a sequence are one search, and the journal keeps each
answer. Its pairs are one search per thousand: the answers are forgotten when it ends, and the
journal keeps what they amount to.
"""

import logging
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice, product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.sequence import tables
from genosiege.sequence.answers import Answers, margins
from genosiege.sequence.attacks import Edits, Target
from genosiege.sequence.constraints import BASES, Bound, Constraints
from genosiege.sequence.journal import Journal
from genosiege.sequence.oracle import Oracle, Search

log = logging.getLogger(__name__)

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

LEADING = 40
"""Best single edits, at distinct positions, whose pairs are tried where not all pairs are."""

# Edit sets in one proposal of a search.
_CHUNK = 1024
# Searches under way at a time; under lockstep batching this bounds the memory.
_TOGETHER = 64
# Margin up to which forwards of different shapes may differ from each other.
_CLOSE = 1e-4
_SECONDS_BETWEEN_REPORTS = 30.0


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
    correct = [target for target in targets if _before(target) >= 0]
    scorer = _Scorer(oracle, journal)
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


class Level(NamedTuple):
    """What is known of the allowed edit sets of exactly one size.

    Attributes
    ----------
    n_tried, n_flipping : int
        Sets that were scored, and those of them that flip.
    margin : float
        Lowest margin among them, or the original's where none is lower.
    edits : dict of int to str
        The set with that margin; empty for the original.
    complete : bool
        Whether all of them are scored.
    """

    n_tried: int
    n_flipping: int
    margin: float
    edits: Edits
    complete: bool

    @classmethod
    def of_none(cls, target: Target, complete: bool) -> "Level":
        """Start before any set is scored."""
        return cls(0, 0, _before(target), {}, complete)

    def joined(self, row: Mapping[str, Any]) -> "Level":
        """Add the outcome of a search."""
        lower = row["margin"] < self.margin
        return self._replace(
            n_tried=self.n_tried + row["n_tried"],
            n_flipping=self.n_flipping + row["n_flipping"],
            margin=row["margin"] if lower else self.margin,
            edits=dict(row["edits"]) if lower else self.edits,
        )


def _targets(sample: pd.DataFrame, rules: Constraints, oracle: Oracle) -> list[Target]:
    """Ask about the originals."""
    sequences, labels = list(sample["sequence"]), sample["label"].to_numpy()
    logits = oracle.logits(sequences)
    for close in np.flatnonzero(np.abs(margins(logits, labels)) < _CLOSE):
        logits[close] = oracle.logits([sequences[close]])[0]
    return [
        Target(
            str(identity), sequence, int(label), Answers(row[None], int(label), False),
            rules.bind(sequence),
        )
        for identity, sequence, label, row in zip(
            sample["id"], sequences, labels, logits, strict=True
        )
    ]  # fmt: skip


def _before(target: Target) -> float:
    return float(target.start.margins[0])


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
            "margin_before": _before(target),
            "p_true_before": float(target.start.p_true[0]),
            "worst_margin": worst.margin,
            "edits": _written(target, worst.edits),
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


def _written(target: Target, edits: Edits) -> str:
    return ";".join(f"{p}:{target.sequence[p]}>{base}" for p, base in sorted(edits.items()))


# Edit sets ----------------------------------------------------------------------------


def single_edits(rules: Bound) -> Iterator[Edits]:
    """Give all allowed single edits, by position, then by base."""
    return (edits for edits in _changes(rules, 1) if rules.allows(edits))


def pairs_of_edits(rules: Bound) -> Iterator[Edits]:
    """Give all allowed pairs, also those of which one edit alone would break a rule."""
    return (edits for edits in _changes(rules, 2) if rules.allows(edits))


def _changes(rules: Bound, size: int) -> Iterator[Edits]:
    for chosen in combinations([int(p) for p in rules.positions], size):
        for bases in product(*(BASES.replace(rules.original[p], "") for p in chosen)):
            yield dict(zip(chosen, bases, strict=True))


def _leading_pairs(leading: Sequence[tuple[int, str]], rules: Bound) -> Iterator[Edits]:
    pairs = ({p: one, q: other} for (p, one), (q, other) in combinations(leading, 2))
    return (edits for edits in pairs if rules.allows(edits))


# Searches -----------------------------------------------------------------------------

Scoring = Generator[Sequence[str], Answers, dict[str, Any]]
"""Steps of a search whose outcome can be written as JSON."""


class _Task(NamedTuple):
    """Edit sets of one target to be scored in one search."""

    key: str
    target: Target
    edits: list[Edits]


class _Scorer:
    """Scores edit sets, as far as no earlier attempt has."""

    def __init__(self, oracle: Oracle, journal: Journal | None) -> None:
        self._oracle = oracle
        self._journal = journal
        self._known: dict[str, Mapping[str, Any]] = dict(journal.rows) if journal else {}
        self._reported = time.monotonic()

    def singles(self, targets: Iterable[Target]) -> dict[str, Mapping[str, Any]]:
        """Score all single edits of targets; the journal keeps the answers."""
        tasks = (_Task(f"1/{t.identity}", t, list(single_edits(t.rules))) for t in targets)
        done = self._done(tasks, _score_singles, self._journal)
        return {task.target.identity: row for task, row in done}

    def pairs(
        self,
        targets: Iterable[Target],
        singles: Mapping[str, Mapping[str, Any]],
        whole: set[str],
    ) -> dict[str, Level]:
        """Score pairs of edits: all of the targets named in `whole`, of others some.

        Where a single edit flips, two edits do, and none is scored.
        """
        found = {t.identity: Level.of_none(t, t.identity in whole) for t in targets}
        tasks = (
            _Task(f"2/{target.identity}/{n}", target, chunk)
            for target in targets
            if not singles[target.identity]["n_flipping"]
            for n, chunk in enumerate(
                _chunks(
                    pairs_of_edits(target.rules)
                    if target.identity in whole
                    else _leading_pairs(singles[target.identity]["leading"], target.rules)
                )
            )
        )
        # The answers are not journalled: a rerun would read millions of them into memory.
        for task, row in self._done(tasks, _score_pairs, None):
            found[task.target.identity] = found[task.target.identity].joined(row)
        return found

    def _done(
        self,
        tasks: Iterable[_Task],
        score: Callable[[_Task, Oracle], Scoring],
        answers_to: Journal | None,
    ) -> Iterator[tuple[_Task, Mapping[str, Any]]]:
        """Give each task with its row, which an earlier attempt may have left."""
        waiting, n_done = iter(tasks), 0
        while group := list(islice(waiting, _TOGETHER)):
            searches = (
                Search(task.key, task.target.label, sys.maxsize, score(task, self._oracle))
                for task in group
                if task.key not in self._known
            )
            rows: dict[str, Mapping[str, Any]] = {}
            for search, row in self._oracle.run(searches, answers_to):
                rows[search.key] = row
                if self._journal:
                    self._journal.finish(search.key, row)
                    self._journal.save_in_time()
            for task in group:
                yield task, rows[task.key] if task.key in rows else self._known[task.key]
            n_done += len(group)
            self._report(n_done, group[-1].key)

    def _report(self, n_done: int, key: str) -> None:
        now = time.monotonic()
        if now - self._reported >= _SECONDS_BETWEEN_REPORTS:
            self._reported = now
            log.info("%d searches of this size are done, the last one is %s", n_done, key)


def _chunks(edits: Iterator[Edits]) -> Iterator[list[Edits]]:
    while chunk := list(islice(edits, _CHUNK)):
        yield chunk


def _score_singles(task: _Task, oracle: Oracle) -> Scoring:
    """Score single edits; say also where they matter, and which are best."""
    found = yield from _margins(task, oracle)
    fall = np.full(len(task.target.sequence), -np.inf)
    leading: dict[int, str] = {}
    for index in np.argsort(found, kind="stable"):
        ((position, base),) = task.edits[index].items()
        fall[position] = max(fall[position], _before(task.target) - found[index])
        leading.setdefault(position, base)
    return _summary(task, found) | {
        "importance": np.where(np.isfinite(fall), fall, 0.0).tolist(),
        "leading": list(leading.items())[:LEADING],
    }


def _score_pairs(task: _Task, oracle: Oracle) -> Scoring:
    found = yield from _margins(task, oracle)
    return _summary(task, found)


def _margins(task: _Task, oracle: Oracle) -> Generator[Sequence[str], Answers, NDArray[np.float64]]:
    """Ask for margins; for those so close to 0 that the batch decides, once more alone."""
    parts = [np.empty(0)]
    # One proposal at least, since a search without any is none.
    for chunk in list(_chunks(iter(task.edits))) or [[]]:
        strings = [task.target.render(edits) for edits in chunk]
        found = (yield strings).margins
        for close in np.flatnonzero(np.abs(found) < _CLOSE):
            alone = oracle.logits([strings[close]])
            found[close] = margins(alone, np.array([task.target.label]))[0]
        parts.append(found)
    return np.concatenate(parts)


def _summary(task: _Task, found: NDArray[np.float64]) -> dict[str, Any]:
    """Count flips, and take the set of lowest margin; the first where several are."""
    worst = int(found.argmin()) if len(found) else None
    return {
        "n_tried": len(found),
        "n_flipping": int((found < 0).sum()),
        "margin": _before(task.target) if worst is None else float(found[worst]),
        "edits": [] if worst is None else [list(edit) for edit in task.edits[worst].items()],
    }
