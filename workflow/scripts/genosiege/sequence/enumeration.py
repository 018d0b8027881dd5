"""Scoring of all allowed edit sets of a size: the searches behind a certificate.

They are cut so that memory is bounded and a killed job repeats little. The single edits of a
sequence are one search, and the journal keeps each answer. Its pairs are one search per
thousand: the answers are forgotten when it ends, and the journal keeps what they amount to.
"""

import logging
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.sequence.answers import Answers, margins
from genosiege.sequence.attacks import Edits, Target
from genosiege.sequence.attacks.sparse import sets_of_size
from genosiege.sequence.constraints import Bound
from genosiege.sequence.journal import Journal
from genosiege.sequence.oracle import CLOSE, Oracle, Search

log = logging.getLogger(__name__)

LEADING = 40
"""Best single edits, at distinct positions, whose pairs are tried where not all pairs are."""

# Edit sets in one proposal of a search.
_CHUNK = 1024
# Searches under way at a time; under lockstep batching this bounds the memory.
_TOGETHER = 64
_SECONDS_BETWEEN_REPORTS = 30.0

Scoring = Generator[Sequence[str], Answers, dict[str, Any]]
"""Steps of a search whose outcome can be written as JSON."""


def margin_before(target: Target) -> float:
    """Margin of the original."""
    return float(target.start.margins[0])


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
        return cls(0, 0, margin_before(target), {}, complete)

    def joined(self, row: Mapping[str, Any]) -> "Level":
        """Add the outcome of a search."""
        lower = row["margin"] < self.margin
        return self._replace(
            n_tried=self.n_tried + row["n_tried"],
            n_flipping=self.n_flipping + row["n_flipping"],
            margin=row["margin"] if lower else self.margin,
            edits=dict(row["edits"]) if lower else self.edits,
        )


# Edit sets ----------------------------------------------------------------------------


def single_edits(rules: Bound) -> Iterator[Edits]:
    """Give all allowed single edits, by position, then by base."""
    return ({p: base} for p, base in rules.substitutions() if rules.allows({p: base}))


def pairs_of_edits(rules: Bound) -> Iterator[Edits]:
    """Give all allowed pairs, also those of which one edit alone would break a rule."""
    return (edits for edits in sets_of_size(rules, 2) if rules.allows(edits))


def _leading_pairs(leading: Sequence[tuple[int, str]], rules: Bound) -> Iterator[Edits]:
    pairs = ({p: one, q: other} for (p, one), (q, other) in combinations(leading, 2))
    return (edits for edits in pairs if rules.allows(edits))


# Searches -----------------------------------------------------------------------------


class _Task(NamedTuple):
    """Edit sets of one target to be scored in one search."""

    key: str
    target: Target
    edits: list[Edits]


class Scorer:
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
                Search(
                    task.key,
                    task.target.label,
                    sys.maxsize,
                    score(task, self._oracle),
                    task.target.sequence,
                    task.target.identity,
                )
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
        fall[position] = max(fall[position], margin_before(task.target) - found[index])
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
        found = (yield strings).margins.copy()
        for close in np.flatnonzero(np.abs(found) < CLOSE):
            alone = oracle.logits([strings[close]], [task.target.identity])
            found[close] = margins(alone, np.array([task.target.label]))[0]
        parts.append(found)
    return np.concatenate(parts)


def _summary(task: _Task, found: NDArray[np.float64]) -> dict[str, Any]:
    """Count flips, and take the set of lowest margin; the first where several are."""
    worst = int(found.argmin()) if len(found) else None
    return {
        "n_tried": len(found),
        "n_flipping": int((found < 0).sum()),
        "margin": margin_before(task.target) if worst is None else float(found[worst]),
        "edits": [] if worst is None else [list(edit) for edit in task.edits[worst].items()],
    }
