"""In-silico mutagenesis: what each single substitution does to a prediction."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.sequence.answers import true_class_probabilities

if TYPE_CHECKING:
    from genosiege.sequence.oracle import Oracle

BASES = "ACGT"
COLUMNS = {"id": "str", "position": "int64", "base": "str", "p_true": "float64"}
"""One row per substitution."""


def scan(oracle: "Oracle", sequences: Mapping[str, tuple[str, int]]) -> pd.DataFrame:
    """Score every single substitution of some sequences.

    Parameters
    ----------
    oracle : Oracle
        The model that is asked.
    sequences : mapping of str to (str, int)
        For each id the sequence and its class.

    Returns
    -------
    pandas.DataFrame
        Columns as in `COLUMNS`: id, 0-based position, the base put there, the probability of
        the true class then. `N` is never replaced, as no attack may.

    Raises
    ------
    InputError
        If a label is no class of the model.
    """
    rows = []
    for identity, (sequence, label) in sequences.items():
        if not 0 <= label < oracle.n_classes:
            raise InputError(
                f"{identity}, label {label}: the model has {oracle.n_classes} classes; use the "
                "tables that it was attacked with."
            )
        edits = [
            (position, base)
            for position, old in enumerate(sequence)
            if old in BASES
            for base in BASES
            if base != old
        ]
        mutants = [sequence[:place] + base + sequence[place + 1 :] for place, base in edits]
        # A sequence at a time, as attacks do: the answers do not hang on the others.
        logits = oracle.logits(mutants, [identity] * len(mutants))
        p_true = true_class_probabilities(logits, np.full(len(mutants), label))
        rows.append(
            pd.DataFrame(edits, columns=["position", "base"]).assign(id=identity, p_true=p_true)
        )
    found = pd.concat(rows) if rows else pd.DataFrame(columns=[*COLUMNS])
    return found[[*COLUMNS]].astype(COLUMNS).reset_index(drop=True)


def track(scanned: pd.DataFrame, length: int) -> NDArray[np.float64]:
    """Give for each position the lowest probability that a substitution there leaves.

    Parameters
    ----------
    scanned : pandas.DataFrame
        From `scan`, of one sequence.
    length : int
        Of that sequence.

    Returns
    -------
    ndarray, shape (length,)
        Not a number where nothing was tried.
    """
    lowest = scanned.groupby("position")["p_true"].min()
    return lowest.reindex(range(length)).to_numpy(dtype=np.float64)
