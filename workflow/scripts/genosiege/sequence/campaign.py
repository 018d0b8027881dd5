"""An attack on a whole sample: who is attacked, under which random streams, and the log of it."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genosiege import runtime
from genosiege.sequence import tables
from genosiege.sequence.answers import margins
from genosiege.sequence.attacks import Attack, Found, Steps, Target
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.journal import Journal
from genosiege.sequence.oracle import Oracle, Search

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_REPORTS = 30.0


def attack_sample(
    model: SequenceModel,
    sample: pd.DataFrame,
    attack: Attack,
    rules: Constraints,
    attack_seeds: Sequence[int],
    oracle: Oracle,
    journal: Journal | None = None,
) -> pd.DataFrame:
    """Attack every sequence of a sample that the model classifies correctly.

    Parameters
    ----------
    model : SequenceModel
        What is attacked.
    sample : pandas.DataFrame
        Columns id, sequence, label.
    attack : Attack
        From `attacks.load`.
    rules : Constraints
        What an adversary may look like.
    attack_seeds : sequence of int
        Each attacks the whole sample. The random stream of a search belongs to its attack
        seed and sequence id, so it depends on no other sequence.
    oracle : Oracle
        In front of the model; answers the searches.
    journal : Journal, optional
        Holds what an earlier, killed attempt had done.

    Returns
    -------
    pandas.DataFrame
        `tables.SHARD_COLUMNS`, by attack seed, then as in the sample.
    """
    if attack.check is not None:
        attack.check(dict(zip(sample["id"], sample["sequence"], strict=True)), attack.options)
    attacked = _correct(model, sample, oracle)
    finished = dict(journal.rows) if journal else {}
    searches = _searches(sample[attacked], attack, rules, attack_seeds, finished)
    report = _Progress(len(attack_seeds) * int(attacked.sum()), len(finished))
    try:
        for search, found in oracle.run(searches, journal):
            finished[search.key] = _outcome(search, found)
            if journal:
                journal.finish(search.key, finished[search.key])
            report.add(search, found)
    finally:
        if journal:
            journal.save()
    rows = [
        _row(seed, entry, finished.get(_key(seed, entry["id"])))
        for seed in attack_seeds
        for entry in sample.to_dict("records")
    ]
    return tables.typed(rows, tables.SHARD_COLUMNS)


def _key(seed: int, identity: str) -> str:
    return f"{seed}/{identity}"


def _correct(model: SequenceModel, sample: pd.DataFrame, oracle: Oracle) -> "pd.Series[bool]":
    """Find the sequences worth attacking; in fp32, as the final word on them is."""
    judge = Oracle(model, precision="fp32", batch_size=oracle.batch_size, device=oracle.device)
    sequences, labels = list(sample["sequence"]), sample["label"].to_numpy()
    # What shares a forward depends on the shard; the answer does not.
    found = margins(judge.settled_logits(sequences, labels, list(sample["id"])), labels)
    return pd.Series(found >= 0, index=sample.index)


def _searches(
    sample: pd.DataFrame,
    attack: Attack,
    rules: Constraints,
    attack_seeds: Sequence[int],
    finished: Mapping[str, Any],
) -> Iterator[Search[Found]]:
    for seed in attack_seeds:
        for identity, sequence, label in zip(
            sample["id"], sample["sequence"], sample["label"], strict=True
        ):
            key = _key(seed, identity)
            if key not in finished:
                rng = runtime.stream(seed, identity, "attack")
                steps = _steps(identity, sequence, int(label), attack, rules, rng)
                budget = attack.options.query_budget
                yield Search(key, int(label), budget, steps, sequence, identity)


def _steps(
    identity: str,
    sequence: str,
    label: int,
    attack: Attack,
    rules: Constraints,
    rng: np.random.Generator,
) -> Steps:
    """Ask about the original, then search from there."""
    start = yield [sequence]
    target = Target(identity, sequence, label, start, rules.bind(sequence))
    found = yield from attack.start(target, rng)
    return found


def _outcome(search: Search[Found], found: Found) -> dict[str, Any]:
    return {
        "edits": [[position, base] for position, base in sorted(found.edits.items())],
        "n_edits_before_pruning": found.n_edits_before_pruning,
        "flipped_in_search": found.succeeded,
        "n_queries": search.n_queries,
        "n_queries_unique": search.n_queries_unique,
        "n_gradients": search.n_gradients,
        "stop_reason": found.stop_reason,
        "pruned": found.pruned,
    }


def _row(seed: int, entry: Mapping[Any, Any], outcome: Mapping[str, Any] | None) -> dict[str, Any]:
    row = {
        "attack_seed": seed,
        "id": entry["id"],
        "label": entry["label"],
        "original": entry["sequence"],
        "adversarial": entry["sequence"],
        "n_edits_before_pruning": 0,
        "flipped_in_search": False,
        "skipped": outcome is None,
        # The one question whether the prediction is right.
        "n_queries": 1,
        "n_queries_unique": 1,
        "n_gradients": 0,
        "stop_reason": "",
        "pruned": "",
    }
    if outcome is None:
        return row
    characters = list(entry["sequence"])
    for position, base in outcome["edits"]:
        characters[position] = base
    row["adversarial"] = "".join(characters)
    return row | {key: value for key, value in outcome.items() if key in tables.SHARD_COLUMNS}


class _Progress:
    """Writes to the log how far a job is, every half minute."""

    def __init__(self, n_searches: int, n_finished: int) -> None:
        self._n_searches = n_searches
        self._n_done = n_finished
        self._n_new = self._n_flipped = self._n_queries = 0
        self._last = self._start = time.monotonic()

    def add(self, search: Search[Found], found: Found) -> None:
        """Count a search that has ended."""
        self._n_done += 1
        self._n_new += 1
        self._n_flipped += found.succeeded
        self._n_queries += search.n_queries_unique
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_REPORTS or self._n_done == self._n_searches:
            self._last = now
            log.info(
                "%d of %d searches; %.1f %% flipped, %.0f unique queries and %.2f s per search",
                self._n_done,
                self._n_searches,
                100 * self._n_flipped / self._n_new,
                self._n_queries / self._n_new,
                (now - self._start) / self._n_new,
            )
