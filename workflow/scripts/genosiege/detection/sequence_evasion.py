"""What a detector of attacked sequences is worth against an attacker who knows it."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.detection import adaptive_genetic, mutants
from genosiege.detection.operating_points import Suspicion, cost
from genosiege.detection.options import Detection
from genosiege.sequence import campaign, rescoring, tables
from genosiege.sequence.answers import margins, true_class_probabilities
from genosiege.sequence.attacks import Attack, genetic
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.journal import Journal, fingerprint
from genosiege.sequence.oracle import Oracle

log = logging.getLogger(__name__)

COLUMNS = {
    "part": "str",
    "detector": "str",
    "penalty": "float64",
    "id": "str",
    "label": "int64",
    "n_edits": "int64",
    "correct_before": "bool",
    "flipped": "bool",
    "p_true_before": "float64",
    "p_true_after": "float64",
    "original": "str",
    "adversarial": "str",
    "plausibility": "float64",
    "n_queries_unique": "int64",
    "suspicion": "float64",
}
"""Followed by `score_<detector>` for each detector."""


class Detectors(Protocol):
    """Fitted detectors of strings, as in `sequence_detectors`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Which there are."""

    def score(self, name: str, sequences: Sequence[str]) -> NDArray[np.float64]:
        """Give one detector's scores, (n,)."""

    def score_all(self, sequences: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Give every detector's scores, (n,)."""

    def logits(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        """Give the model's logits, (n, C)."""


class Journals:
    """A journal for each campaign, all in one folder beside the output.

    Parameters
    ----------
    folder : Path
        Where they lie.
    digest : str
        What the job is (see `journal.fingerprint`).
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder = folder
        self._digest = digest

    def of(self, name: str) -> Journal:
        """Open the journal of one campaign."""
        return Journal(self._folder / name, fingerprint(self._digest, name))

    def close(self) -> None:
        """Remove them all: the job's output is written."""
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class Victim:
    """A model, and what attacks on it are made with.

    Attributes
    ----------
    model : SequenceModel
        What is attacked.
    rules : Constraints
        What an adversary may look like.
    oracle : Oracle
        In front of the model; answers the searches.
    batch_size : int
        Sequences per forward of the final word, which is in fp32.
    seed : int
        Of the model; attacks take the same.
    """

    model: SequenceModel
    rules: Constraints
    oracle: Oracle
    batch_size: int
    seed: int


def evade(
    victim: Victim,
    detectors: Detectors,
    sample: pd.DataFrame,
    validation: pd.DataFrame,
    options: Detection,
    journals: Journals | None = None,
) -> pd.DataFrame:
    """Attack a model under the eyes of each detector, for each penalty on its suspicion.

    Parameters
    ----------
    victim : Victim
        What is attacked, and how.
    detectors : Detectors
        Fitted on natural training sequences.
    sample : pandas.DataFrame
        Test sequences; columns id, sequence, label.
    validation : pandas.DataFrame
        Natural validation sequences, the same columns: they alone set what suspicion means.
    options : Detection
        `adaptive` says what is tried; `mutants` how many there are per adversary.
    journals : Journals, optional
        Hold what an earlier, killed attempt had done.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS` and the score of every detector. Parts: `validation` and `natural` (the whole
        sample), unchanged; `mutant`, natural mutants with as many edits as the flips of the
        attack without penalty, where there is one; `attacked`, by detector, then by penalty, one
        row per sequence. Only these have a detector, a penalty and a suspicion. The plain attack
        (penalty 0) knows no detector: it is run once and stands with each.

    Notes
    -----
    Every row is scored from its string, in fp32, after the search. `flipped` is a
    `success_flip`: within the allowed edits, and no hard rule broken.

    Under any penalty above 0 the best flip is the least suspicious one. So each detector is
    attacked once, with the smallest of these penalties, and a larger one decides only whether
    that flip is better than the unchanged sequence, which then takes its place.
    """
    calm = _validation(validation, detectors)
    natural = _scored(_rescored(victim, _unchanged(sample)), detectors).assign(part="natural")
    chosen = choose(sample, natural["correct_before"], options.adaptive.samples, victim.seed)
    log.info("%d of %d sequences are attacked", len(chosen), len(sample))
    run = partial(_attacked, victim, detectors, chosen, options.adaptive.query_budget, journals)
    penalties = [float(penalty) for penalty in options.adaptive.penalties]
    parts = [calm, natural]
    if 0.0 in penalties:
        plain = run()
        parts.append(_mutants(victim, detectors, plain, options.mutants))
    for name in options.adaptive.chosen(detectors.names):
        scale = Suspicion.from_validation(calm[f"score_{name}"], options.tails)
        evaded = Evaded(name, scale, detectors)
        if any(penalties):
            quiet = run(evaded, min(filter(None, penalties)))
        for penalty in penalties:
            rows = _kept(quiet, natural, evaded, penalty) if penalty else plain
            suspicion = evaded.of_rows(rows)
            parts.append(rows.assign(detector=name, penalty=penalty, suspicion=suspicion))
    columns = COLUMNS | {f"score_{name}": "float64" for name in detectors.names}
    return pd.concat(parts, ignore_index=True)[list(columns)].astype(columns)


def choose(
    sample: pd.DataFrame, correct: "pd.Series[bool]", n: int | None, seed: int
) -> pd.DataFrame:
    """Choose sequences that a model gets right, for all models the same as far as possible.

    Parameters
    ----------
    sample : pandas.DataFrame
        With a column label.
    correct : Series of bool
        Which rows the model gets right, in the order of `sample`.
    n : int or None
        How many; None for all.
    seed : int
        Of the model; it fixes an order in which the classes take turns by their share of the
        sample (Sainte-Laguë). The first n that are right are chosen.

    Returns
    -------
    pandas.DataFrame
        The rows chosen, in the order of `sample`.
    """
    order = runtime.stream(seed, "adaptive sequences").permutation(len(sample))
    labels = sample["label"].to_numpy()[order]
    turns = np.empty(len(sample))
    for label in np.unique(labels):
        mine = labels == label
        turns[mine] = (np.arange(mine.sum()) + 0.5) / mine.sum()
    order = order[np.argsort(turns, kind="stable")]
    right = order[correct.to_numpy()[order]]
    return sample.iloc[np.sort(right[:n])].reset_index(drop=True)


class Evaded(NamedTuple):
    """The detector that an attacker knows."""

    name: str
    scale: Suspicion
    detectors: Detectors

    def suspicion(self, sequences: Sequence[str]) -> NDArray[np.float64]:
        """Give its suspicion of sequences, (n,)."""
        return self.scale.of(self.detectors.score(self.name, sequences))

    def of_rows(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Give its suspicion of rows that all detectors have scored, (n,)."""
        return self.scale.of(rows[f"score_{self.name}"])


def _attacked(
    victim: Victim,
    detectors: Detectors,
    chosen: pd.DataFrame,
    query_budget: int,
    journals: Journals | None,
    evaded: Evaded | None = None,
    penalty: float = 0.0,
) -> pd.DataFrame:
    """Run one campaign and score what it finds; without a detector it is the plain attack."""
    name = evaded.name if evaded else "plain"
    log.info("campaign %s", name)
    attack = Attack(
        partial(
            adaptive_genetic.search,
            suspicion=evaded.suspicion if evaded else _unsuspicious,
            penalty=penalty,
        ),
        genetic.Options(query_budget=query_budget),
    )
    found = campaign.attack_sample(
        victim.model,
        chosen,
        attack,
        victim.rules,
        [victim.seed],
        victim.oracle,
        journals.of(name) if journals else None,
    )
    rows = _rescored(victim, found)
    rows = rows[rows["correct_before"]].reset_index(drop=True)
    return _scored(rows, detectors).assign(part="attacked")


def _kept(
    found: pd.DataFrame, natural: pd.DataFrame, evaded: Evaded, penalty: float
) -> pd.DataFrame:
    """Put the unchanged sequence in place of an adversary that is no better under a penalty."""
    same = natural.set_index("id").loc[found["id"]].reset_index()
    same = same.assign(part="attacked", n_queries_unique=found["n_queries_unique"])
    after, before = (
        cost(rows["flipped"].to_numpy(), evaded.of_rows(rows), penalty) for rows in (found, same)
    )
    worse = after > before
    return pd.concat([found[~worse], same[worse]]).sort_index()


def _unsuspicious(sequences: Sequence[str]) -> NDArray[np.float64]:
    return np.zeros(len(sequences))


def _rescored(victim: Victim, shards: pd.DataFrame) -> pd.DataFrame:
    """Complete rows from their strings alone; `flipped` becomes the flip that counts."""
    found = rescoring.rescore(
        victim.model, shards, victim.rules, genetic.Options.max_edits, victim.batch_size
    )
    return found.rows.assign(
        flipped=found.rows["success_flip"], detector="", penalty=np.nan, suspicion=np.nan
    )


def _unchanged(sample: pd.DataFrame) -> pd.DataFrame:
    """Give sequences the columns that an attack leaves behind, as if none had been."""
    rows = sample[["id", "label"]].assign(
        original=sample["sequence"], adversarial=sample["sequence"], attack_seed=0, stop_reason="",
        pruned="", n_edits_before_pruning=0, flipped_in_search=False, skipped=False,
        n_queries=0, n_queries_unique=0, n_gradients=0,
    )  # fmt: skip
    return rows[list(tables.SHARD_COLUMNS)].astype(tables.SHARD_COLUMNS)


def _mutants(
    victim: Victim, detectors: Detectors, plain: pd.DataFrame, copies: int
) -> pd.DataFrame:
    """Draw natural mutants with as many edits as the flips of the plain attack."""
    flips = plain[plain["flipped"]].assign(attack="adaptive", attack_seed=victim.seed)
    drawn = mutants.draw(flips, victim.rules, copies, victim.seed)
    rows = _unchanged(drawn.rename(columns={"original": "sequence"}))
    rows = _rescored(victim, rows.assign(adversarial=drawn["mutant"]))
    return _scored(rows, detectors).assign(part="mutant")


def _validation(validation: pd.DataFrame, detectors: Detectors) -> pd.DataFrame:
    """Score natural validation sequences."""
    rows = _scored(_unchanged(validation), detectors)
    sequences, labels = rows["original"].tolist(), rows["label"].to_numpy()
    logits = detectors.logits(sequences)
    p_true = true_class_probabilities(logits, labels)
    return rows.assign(
        part="validation", detector="", penalty=np.nan, suspicion=np.nan, n_edits=0,
        correct_before=margins(logits, labels) >= 0, flipped=False, plausibility=1.0,
        p_true_before=p_true, p_true_after=p_true,
    )  # fmt: skip


def _scored(rows: pd.DataFrame, detectors: Detectors) -> pd.DataFrame:
    """Add the score of every detector, from the strings."""
    found = detectors.score_all(rows["adversarial"].tolist())
    return rows.assign(**{f"score_{name}": scores for name, scores in found.items()})
