"""The best detector of each attack, and what is left of it once the attacker knows it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from genosiege.detection.tables import attacks, detection_table, reading
from genosiege.detection.tables.reading import PLACE
from genosiege.expression.tables.intervals import columns

_MODEL = ["arm", "data", "model"]
_ATTACK = ["attack", "targets", "importance", "features", "values", "null"]

ADAPTIVE = {
    "auroc": "adaptive_auroc",
    "detected_at_5": "adaptive_tpr_at_5",
    "undetected_success": "undetected_success",
}
"""What the row takes from the table of adaptive attackers, and what it is called here."""

PLAIN = "plain_undetected_success"

COLUMNS = [
    *detection_table.COLUMNS, "adaptive_penalty", "adaptive_n",
    *(column for name in ADAPTIVE.values() for column in columns(name)), *columns(PLAIN),
]  # fmt: skip


def best_detector(detection: pd.DataFrame, adaptive: pd.DataFrame) -> pd.DataFrame:
    """Choose for each attack the detector that tells it best from natural data.

    Choosing flatters the detector: the best of several is partly the luckiest, and its interval
    does not know of the choice. What an attacker leaves of it is the honest number: a detector is
    only as good as its adaptive row.

    Parameters
    ----------
    detection : pandas.DataFrame
        As `detection_table` gives it.
    adaptive : pandas.DataFrame
        As `adaptive_table` gives it.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/best_detector.rst`: a row for each model, setting
        of an attack (at its largest severity and, then, t) and null, over all seeds where there
        is such a row, else for each. The adversaries are those that flip, or all where none does;
        an attack without any has no row. The best detector has the highest AUROC, of equal ones
        the first. Then follows, of the attacker who evades this detector, the penalty that gives
        the highest rate of undetected success, with what the detector makes of its flips; and
        the undetected success at a penalty of 0, where it does not try to hide. nan where there
        is no such attacker, or no threshold.
    """
    rows = [
        row
        for _, of_model in detection.groupby(_MODEL, sort=False)
        for _, of_attack in of_model.groupby(_ATTACK, sort=False, dropna=False)
        for row in _of_attack(of_attack, adaptive)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_attack(found: pd.DataFrame, adaptive: pd.DataFrame) -> Iterator[dict[str, Any]]:
    seeds = found["seed"].astype(str)
    chosen = [reading.ALL_SEEDS] if (seeds == reading.ALL_SEEDS).any() else list(seeds.unique())
    for seed in chosen:
        best = _best(_strongest(found[seeds == seed]))
        if best is not None:
            yield {str(name): value for name, value in best.items()} | _evaded(best, adaptive)


def _strongest(found: pd.DataFrame) -> pd.DataFrame:
    """Take the largest severity, the longest way, and what flips, if anything does."""
    severity = found["severity"].map(attacks.order)
    found = found[severity == severity.max()]
    way = found["t"].astype(float)
    found = found[(way == way.max()) | way.isna()]
    successful = (found["adversaries"] == attacks.SUCCESSFUL) & (found["n_adversaries"] > 0)
    return found[successful] if successful.any() else found[found["adversaries"] == attacks.ALL]


def _best(found: pd.DataFrame) -> "pd.Series[Any] | None":
    known = found[found["auroc"].notna()]
    return known.iloc[int(known["auroc"].to_numpy().argmax())] if len(known) else None


def _evaded(best: "pd.Series[Any]", adaptive: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS[len(detection_table.COLUMNS) :], np.nan)
    same = np.ones(len(adaptive), dtype=bool)
    for name in (*PLACE, "detector"):
        same &= (adaptive[name].astype(str) == str(best[name])).to_numpy()
    own = adaptive[same]
    known = own[own["undetected_success"].notna()]
    if known.empty:
        return row
    attack = known.iloc[int(known["undetected_success"].to_numpy().argmax())]
    row |= {"adaptive_penalty": attack["penalty"], "adaptive_n": attack["n"]}
    for name, called in ADAPTIVE.items():
        row |= dict(zip(columns(called), attack[columns(name)], strict=True))
    plain = known[known["penalty"] == 0]
    if len(plain):
        values = plain.iloc[0][columns("undetected_success")]
        row |= dict(zip(columns(PLAIN), values, strict=True))
    return row
