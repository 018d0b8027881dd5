"""The final word on an attack: adversaries scored again, from their strings alone, in fp32."""

import logging
from typing import Any, NamedTuple

import pandas as pd
from rapidfuzz.distance import Hamming

from genosiege.errors import InputError
from genosiege.sequence import tables
from genosiege.sequence.answers import margins, true_class_probabilities
from genosiege.sequence.constraints import PLAUSIBLE, Constraints, Description
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.oracle import Oracle

log = logging.getLogger(__name__)

SUCCESS_DROP = 0.20
"""Fall of the true class's probability that counts as `success_drop`."""
SUCCESS_DROP_EDITS = 5
"""Most edits of a `success_drop`."""


class Rescored(NamedTuple):
    """Attack rows, and how many flips of the search did not survive."""

    rows: pd.DataFrame
    search_flips_lost: int


def rescore(
    model: SequenceModel,
    shards: pd.DataFrame,
    rules: Constraints,
    max_edits: int,
    batch_size: int,
) -> Rescored:
    """Score adversaries again and complete their rows.

    Parameters
    ----------
    model : SequenceModel
        The model that was attacked.
    shards : pandas.DataFrame
        `tables.SHARD_COLUMNS` of all shards.
    rules : Constraints
        For the biology of each edit set.
    max_edits : int
        Up to which number of edits a flip that keeps the hard rules is a `success_flip`.
    batch_size : int
        Sequences per forward.

    Returns
    -------
    Rescored
        `tables.ATTACK_COLUMNS`, in the order of `shards`.

    Raises
    ------
    InputError
        If an adversary is no substitution of its original.
    """
    oracle = Oracle(model, precision="fp32", batching="per_sequence", batch_size=batch_size)
    labels, ids = shards["label"].to_numpy(), list(shards["id"])
    before = oracle.logits(list(shards["original"]), ids)
    after = oracle.logits(list(shards["adversarial"]), ids)
    rows = shards.assign(
        p_true_before=true_class_probabilities(before, labels),
        p_true_after=true_class_probabilities(after, labels),
        margin_before=margins(before, labels),
        margin_after=margins(after, labels),
    )
    rows = rows.join(_biology(rows, rules))
    # A skipped sequence was never attacked: it must not count as one that withstood.
    rows["correct_before"] = (rows["margin_before"] >= 0) & ~rows["skipped"]
    rows["flipped"] = rows["correct_before"] & (rows["margin_after"] < 0)
    rows["confidence_drop"] = rows["p_true_before"] - rows["p_true_after"]
    rows["success_drop"] = (
        rows["correct_before"]
        & (rows["confidence_drop"] >= SUCCESS_DROP)
        & (rows["n_edits"] <= SUCCESS_DROP_EDITS)
        & (rows["plausibility"] >= PLAUSIBLE)
    )
    # The published method knows no hard rules; what breaks one is no adversary of this run.
    allowed = (rows["n_edits"] <= max_edits) & rows["keeps_hard_rules"].astype(bool)
    rows["success_flip"] = rows["flipped"] & allowed
    rows["status"] = "failed"
    rows.loc[rows["success_flip"], "status"] = "success"
    rows.loc[~rows["correct_before"], "status"] = "skipped_misclassified"
    lost = int((rows["flipped_in_search"] & ~rows["flipped"]).sum())
    log.info("%d of %d flips did not survive", lost, int(rows["flipped_in_search"].sum()))
    return Rescored(rows[list(tables.ATTACK_COLUMNS)].astype(tables.ATTACK_COLUMNS), lost)


def _biology(rows: pd.DataFrame, rules: Constraints) -> pd.DataFrame:
    """Describe each adversary's edits, read off the two strings."""
    described = [
        _describe(original, adversarial, rules)
        for original, adversarial in zip(rows["original"], rows["adversarial"], strict=True)
    ]
    # Columns are named for the table without rows.
    columns = ["edits", "n_edits", "keeps_hard_rules", *Description._fields]
    return pd.DataFrame(described, index=rows.index, columns=columns)


def _describe(original: str, adversarial: str, rules: Constraints) -> dict[str, Any]:
    if len(original) != len(adversarial):
        raise InputError(
            f"adversary {adversarial[:20]}…: its length is not its original's; attack it again."
        )
    edits = {
        position: new
        for position, (old, new) in enumerate(zip(original, adversarial, strict=True))
        if old != new
    }
    if len(edits) != Hamming.distance(original, adversarial):
        raise AssertionError(f"{original} and {adversarial}: edits and distance disagree")
    bound = rules.bind(original)
    return {
        "edits": tables.edits_text(original, edits),
        "n_edits": len(edits),
        "keeps_hard_rules": bound.allows(edits),
        **bound.describe(edits)._asdict(),
    }
