"""Natural mutants with as many edits as an adversary: the null of what an attack changes.

An adversary differs from its original, and so does a mutant that no attacker made. What a
detector says of adversaries beyond what it says of these is owed to the attack.
"""

import logging
from collections.abc import Hashable

import numpy as np
import pandas as pd

from genosiege import runtime
from genosiege.sequence.attacks.natural import MOST_REFUSED, Options, new_base
from genosiege.sequence.constraints import Bound, Constraints, Edits

log = logging.getLogger(__name__)

TRANSITION_SHARE = Options.transition_share
"""Share of transitions among the changes, as in the natural attack."""

_OF_ADVERSARIES = {
    "attack": "str",
    "attack_seed": "int64",
    "id": "str",
    "label": "int64",
    "original": "str",
    "n_edits": "int64",
}
COLUMNS = {**_OF_ADVERSARIES, "copy": "int64", "mutant": "str"}


def draw(adversaries: pd.DataFrame, rules: Constraints, copies: int, seed: int) -> pd.DataFrame:
    """Draw natural mutants of the originals of adversaries.

    Parameters
    ----------
    adversaries : pandas.DataFrame
        `attack`, `attack_seed`, `id`, `label`, `original` and `n_edits` ≥ 1; other columns
        play no part. No two rows have the same attack, attack seed and id.
    rules : Constraints
        Hard ones are kept.
    copies : int
        Mutants of each adversary.
    seed : int
        Seed of the model; with attack, attack seed and id it decides a row's mutants.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, `copies` rows for each adversary in their order, `copy` from 1. None for a
        sequence that has too few positions, or where hard rules refuse 1,000 draws in a row.

    Notes
    -----
    Positions are uniform, without replacement, among those that the rules let edit; a change
    is a transition with probability .67 (DePristo et al. 2011, Nat. Genet. 43, 491–498), else
    either transversion. A mutant that breaks a hard rule is drawn again as a whole.
    """
    bounds: dict[str, Bound] = {}
    rows: list[dict[Hashable, object]] = []
    without = 0
    for row in adversaries[list(_OF_ADVERSARIES)].to_dict("records"):
        original = row["original"]
        if original not in bounds:
            bounds[original] = rules.bind(original)
        rng = runtime.stream(
            seed, row["id"], row["attack"], row["attack_seed"], "detection mutants"
        )
        for copy in range(1, copies + 1):
            edits = _edits(bounds[original], int(row["n_edits"]), rng)
            if edits is None:
                without += 1
                break
            mutant = "".join(edits.get(i, base) for i, base in enumerate(original))
            rows.append(dict(row) | {"copy": copy, "mutant": mutant})
    if without:
        log.info(
            "no (further) mutant of %d of %d adversaries is possible", without, len(adversaries)
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _edits(bound: Bound, size: int, rng: np.random.Generator) -> Edits | None:
    if size > len(bound.positions):
        return None
    for _ in range(MOST_REFUSED):
        chosen = rng.choice(bound.positions, size=size, replace=False, shuffle=False)
        edits = {int(p): new_base(bound.original[p], TRANSITION_SHARE, rng) for p in chosen}
        if bound.allows(edits):
            return edits
    return None
