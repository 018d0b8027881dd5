"""Which rows of an attack the training of a round looks at.

Apart from the examples themselves, so that the decision on a round needs no attack's code.
"""

import pandas as pd

from genosiege import runtime
from genosiege.data.sampling import stratified_rows
from genosiege.sequence.results import AttackResult

ATTACKING = ("adversarial_only", "mixed")
"""Defences that train on adversaries."""
CRITERIA = ("flip", "drop", "loose_drop")
"""What may count as an adversary: see `successful`."""
LOOSE_DROP = 0.15
"""Fall of the true class's probability that the published code calls a success."""


def successful(rows: pd.DataFrame, criterion: str) -> "pd.Series[bool]":
    """Say of each row of an attack whether it is an adversary to train on.

    Parameters
    ----------
    rows : pandas.DataFrame
        `results.ATTACK_ROWS`.
    criterion : str
        `flip`: a `success_flip`. `drop`: a `success_drop`, as in the text of the published
        sequence method, whose search may end before any flip. `loose_drop`: the confidence
        falls by `LOOSE_DROP`, with any number of edits, as in its code; that code's second
        criterion, a larger softmax output below 0.4, cannot occur with two classes.
    """
    if criterion == "flip":
        return rows["success_flip"]
    if criterion == "drop":
        return rows["success_drop"]
    return rows["correct_before"] & (rows["confidence_drop"] >= LOOSE_DROP)


def training_side(attack: AttackResult, attack_samples: int | None) -> pd.DataFrame:
    """Give the rows of an attack that training looks at.

    Parameters
    ----------
    attack : AttackResult
        Of any split.
    attack_samples : int or None
        How many sequences of the test sample are looked at, None for all.

    Returns
    -------
    pandas.DataFrame
        Rows of the smallest attack seed. Of the test split only those of a stratified draw
        of sequences that belongs to the model, so that it is the same in all rounds and
        for all defences.

    Raises
    ------
    InputError
        If `attack_samples` is smaller than the number of classes.
    """
    rows = attack.rows
    first: pd.DataFrame = rows[rows["attack_seed"] == rows["attack_seed"].min()]
    if attack.split != "test":
        return first
    rng = runtime.stream(attack.task, attack.encoder, attack.seed, "hardening", "test sequences")
    labels = first["label"].to_numpy()
    chosen = stratified_rows(labels, attack_samples, rng, "hardening.train_attack_samples")
    looked_at: pd.DataFrame = first.iloc[chosen]
    return looked_at
