"""What every detector says of natural sequences, of adversaries, and of natural mutants."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from genosiege.detection import dna, mutants
from genosiege.detection.sequence_detectors import SequenceDetectors
from genosiege.errors import InputError
from genosiege.sequence.answers import margins
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.splits import Split

if TYPE_CHECKING:
    from genosiege.detection.options import Detection

log = logging.getLogger(__name__)

COLUMNS = {
    "part": "str",
    "attack": "str",
    "attack_seed": "int64",
    "id": "str",
    "label": "int64",
    "n_edits": "int64",
    "copy": "int64",
    "correct_before": "bool",
    "flipped": "bool",
}
"""What a row of scores says beside them; `score_<detector>` follows."""
SPECTRUM_COLUMNS = {
    "group": "str",
    "attack": "str",
    "frequency": "float64",
    "mean": "float64",
    "low": "float64",
    "high": "float64",
    "n": "int64",
}
BAND = (5, 95)
"""Percentiles over sequences between which a spectrum's band lies."""


class Scored(NamedTuple):
    """Scores of single sequences, and the spectra of groups of them."""

    scores: pd.DataFrame
    spectra: pd.DataFrame


def score(
    detectors: SequenceDetectors,
    dev: pd.DataFrame,
    sample: pd.DataFrame,
    attacks: Mapping[str, pd.DataFrame],
    rules: Constraints,
    options: "Detection",
    seed: int,
) -> Scored:
    """Score natural sequences, adversaries and mutants; equal strings are scored once.

    Parameters
    ----------
    detectors : SequenceDetectors
        Fitted on the training split.
    dev, sample : pandas.DataFrame
        `id`, `sequence`, `label` of the validation split and of the test sequences that were
        attacked.
    attacks : mapping of str to pandas.DataFrame
        `results.ATTACK_ROWS` of each attack on that sample.
    rules : Constraints
        Hard ones are kept by the mutants.
    options : Detection
        `mutants`.
    seed : int
        Seed of the model.

    Returns
    -------
    Scored
        `scores`: `COLUMNS` and a column for each detector. Parts: `validation`; `natural`, the
        sample as it is; `adversary`, what an attack made, by any number of edits, of a
        sequence that the model gets right, whether it flips (`flipped` = success_flip) or not;
        `mutant`, of the same originals with as many edits (`flipped` where the model then
        errs). `attack` is "" and numbers are 0 where there is none.

        `spectra`: `SPECTRUM_COLUMNS`; mean and band over the rows of a part of
        log10(S(f) + `dna.FLOOR`), f in cycles per base.

    Raises
    ------
    InputError
        If the sample is empty or an adversary is not of the sample.
    """
    if sample.empty:
        raise InputError("detection: the attack sample has no sequence; draw at least one.")
    adversaries = _adversaries(attacks, sample)
    natural_mutants = mutants.draw(adversaries, rules, options.mutants, seed)
    parts = [
        _natural(dev, "validation"),
        _natural(sample, "natural"),
        adversaries,
        natural_mutants.rename(columns={"mutant": "sequence"}).assign(
            part="mutant", correct_before=True, flipped=False
        ),
    ]
    rows = pd.concat([part[[*COLUMNS, "sequence"]] for part in parts if len(part)])
    rows = rows.astype(COLUMNS).reset_index(drop=True)
    sequences = rows["sequence"].tolist()
    detectors.remember(Split(sequences, rows["label"].to_numpy(), None, rows["id"].tolist()))
    found = detectors.score_all(sequences)
    right = margins(detectors.logits(sequences), rows["label"].to_numpy()) >= 0
    natural = rows["part"].isin(["validation", "natural"]).to_numpy()
    rows["correct_before"] |= natural & right
    rows["flipped"] |= (rows["part"] == "mutant").to_numpy() & ~right
    log.info("%d rows of %d different sequences", len(rows), len(set(sequences)))
    scores = {f"score_{name}": values for name, values in found.items()}
    return Scored(rows[list(COLUMNS)].assign(**scores), _spectra(rows))


def _natural(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    return rows[["id", "label", "sequence"]].assign(
        part=part,
        attack="",
        attack_seed=0,
        n_edits=0,
        copy=0,
        correct_before=False,
        flipped=False,
    )


def _adversaries(attacks: Mapping[str, pd.DataFrame], sample: pd.DataFrame) -> pd.DataFrame:
    """Give the rows that were attacked and edited, by attack."""
    known = dict(zip(sample["id"], sample["sequence"], strict=True))
    parts = []
    for attack, rows in attacks.items():
        strange = rows["id"].map(known) != rows["original"]
        if strange.any():
            raise InputError(
                f'attack {attack}, id "{rows["id"][strange].iloc[0]}": its original is not in '
                "the sample; attack the sample again."
            )
        taken = rows[rows["correct_before"] & (rows["n_edits"] > 0)]
        log.info("attack %s: %d of %d rows are adversaries", attack, len(taken), len(rows))
        taken = taken.rename(columns={"adversarial": "sequence"})
        parts.append(
            taken.assign(part="adversary", attack=attack, copy=0, flipped=taken["success_flip"])
        )
    columns = [*COLUMNS, "original", "sequence"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def _spectra(rows: pd.DataFrame) -> pd.DataFrame:
    """Average the log spectra of the natural test sequences and of each attack's."""
    shown = rows[rows["part"] != "validation"]
    n_bins = dna.count_bins(shown["sequence"].tolist())
    # The same for all groups: one of short sequences alone would have fewer.
    frequency = dna.bin_frequencies(shown["sequence"].tolist(), n_bins)
    parts = []
    for (group, attack), members in shown.groupby(["part", "attack"], sort=False):
        sequences = members["sequence"].tolist()
        spectra = dna.log_spectra(sequences, n_bins)
        low, high = np.percentile(spectra, BAND, axis=0)
        parts.append(
            pd.DataFrame(
                {
                    "group": group,
                    "attack": attack,
                    "frequency": frequency,
                    "mean": spectra.mean(axis=0),
                    "low": low,
                    "high": high,
                    "n": len(members),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)[list(SPECTRUM_COLUMNS)].astype(SPECTRUM_COLUMNS)
