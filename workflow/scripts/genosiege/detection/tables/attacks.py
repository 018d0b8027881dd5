"""The attacks whose adversaries detectors are asked about, as groups of rows."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.detection.tables.reading import EXPRESSION, Scored
from genosiege.expression.tables.reading import Cards

ATTACK = ["attack", "targets", "importance", "features", "values", "t", "severity"]
"""The columns that tell settings of attacks apart; those of expression alone are empty else."""

GROUP = ["adversaries", "null"]
"""Which of the attacked samples are looked at, and beside what."""

ALL, SUCCESSFUL = "all", "successful"
CLEAN, MUTANTS = "clean", "mutants"

RANDOM, UNIFORM = "random", "uniform"
"""Of FIMBA: features in no order of importance, and values that aim at no target."""

FILE = "detection.parquet"
EXPRESSION_COLUMNS = {
    "part": "object",
    "attack": "object",
    "targets": "object",
    "importance": "object",
    "features": "object",
    "feature_set": "int64",
    "values": "object",
    "k": "int64",
    "t": "float64",
    "id": "object",
    "target": "int64",
    "correct_before": "bool",
    "flipped": "bool",
    "moved": "bool",
}
SEQUENCE_COLUMNS = {
    "part": "object",
    "attack": "object",
    "attack_seed": "int64",
    "id": "object",
    "n_edits": "int64",
    "correct_before": "bool",
    "flipped": "bool",
}
"""The columns that are needed beside the scores."""

EDITS = {ALL: (1, np.inf), "1": (1, 1), "2-3": (2, 3), "4+": (4, np.inf)}
"""The severities of an attack on sequences: least and most edits."""


class Attacked(NamedTuple):
    """Attacked samples of one setting, and the natural ones that they are told from.

    Attributes
    ----------
    key : tuple
        What the same setting has in common in all seeds.
    columns : dict
        `ATTACK` and `GROUP`.
    adversaries : ndarray of int
        Rows of the attacked samples: the model was right before, and something was changed.
    natural : ndarray of int
        Rows of the natural ones: the test split, or the mutants of these very adversaries.
    n_targets : float
        Different samples that the adversaries were moved to; nan where they were moved to none.
    """

    key: tuple[Any, ...]
    columns: dict[str, Any]
    adversaries: NDArray[np.intp]
    natural: NDArray[np.intp]
    n_targets: float = np.nan


def attacked(scored: Scored, cards: Cards) -> list[Attacked]:
    """Group the attacked samples of a model by setting, sorted by it.

    Parameters
    ----------
    scored : Scored
        Of `FILE`. Sets of random features are one setting.
    cards : Cards
        Of expression data: all genes are one severity, however many a seed has.
    """
    return list(_expression(scored, cards) if scored.place.arm == EXPRESSION else _edits(scored))


def _expression(scored: Scored, cards: Cards) -> Iterator[Attacked]:
    rows, natural = scored.rows, scored.part("natural")
    taken = (rows["part"] == "attacked").to_numpy()
    if not taken.any():
        return
    counted = (rows["moved"] & rows["correct_before"]).to_numpy()
    flipped, aims = rows["flipped"].to_numpy(), rows["target"].to_numpy()
    n_genes = cards.n_genes(scored.place.data, scored.place.seed)
    keys = ["attack", "targets", "importance", "features", "values", "k", "t"]
    # t went through a file, and may have lost its last bit.
    table = rows.loc[taken, keys].round({"t": 9})
    number = table.groupby(keys, dropna=False, sort=True).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order])) + 1
    settings = {key: rows[key].to_numpy() for key in keys}
    first_set = (rows["feature_set"] == 0).to_numpy()
    alone = bool((rows["features"][taken] == RANDOM).all())
    for members in np.split(np.flatnonzero(taken)[order], starts):
        names = {key: column[members[0]] for key, column in settings.items()}
        if names["features"] == RANDOM and names["k"] == n_genes and names["values"] != UNIFORM:
            # All genes are moved: the same samples as along any other order, and in each set.
            if not alone:
                continue
            members = members[first_set[members]]
        own = members[counted[members]]
        k, t = int(names.pop("k")), round(float(names.pop("t")), 9)
        key = (*names.values(), None if np.isnan(t) else t, ALL if k == n_genes else k)
        columns = names | {"t": t, "severity": str(k)}
        for which, some in ((ALL, own), (SUCCESSFUL, own[flipped[own]])):
            group = {"adversaries": which, "null": CLEAN}
            n_targets = len(set(aims[some])) if (aims[some] >= 0).all() else np.nan
            yield Attacked((*key, which), columns | group, some, natural, n_targets)


def _edits(scored: Scored) -> Iterator[Attacked]:
    rows, natural, mutants = scored.rows, scored.part("natural"), scored.part("mutant")
    edits, flipped = rows["n_edits"].to_numpy(), rows["flipped"].to_numpy()
    attack = rows["attack"].to_numpy()
    everyone = scored.part("adversary")
    everyone = everyone[rows["correct_before"].to_numpy()[everyone] & (edits[everyone] > 0)]
    origin = rows.groupby(["attack", "attack_seed", "id"], sort=False).ngroup().to_numpy()
    for name in sorted(set(attack[everyone])):
        for severity, (least, most) in EDITS.items():
            own = everyone[attack[everyone] == name]
            own = own[(edits[own] >= least) & (edits[own] <= most)]
            for which, some in ((ALL, own), (SUCCESSFUL, own[flipped[own]])):
                matched = mutants[np.isin(origin[mutants], origin[some])]
                for null, beside in ((CLEAN, natural), (MUTANTS, matched)):
                    columns = dict.fromkeys(ATTACK, "") | {"attack": name, "t": np.nan}
                    columns |= {"severity": severity, "adversaries": which, "null": null}
                    yield Attacked((name, severity, which, null), columns, some, beside)


def order(severity: str) -> float:
    """Give a number that sorts severities; all edits are the largest."""
    return np.inf if severity == ALL else float(severity.rstrip("+").split("-")[0])
