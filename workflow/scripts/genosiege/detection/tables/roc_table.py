"""The ROC curves of the detectors, for a figure."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import pandas as pd

from genosiege.detection.options import BOTH
from genosiege.detection.roc import roc_points
from genosiege.detection.tables import attacks, reading
from genosiege.detection.tables.attacks import ATTACK, GROUP, Attacked
from genosiege.detection.tables.reading import PLACE, Scored
from genosiege.expression.tables.reading import Cards

COLUMNS = [
    *PLACE, *ATTACK, *GROUP, "detector", "n_natural", "n_adversaries", "fpr", "tpr",
]  # fmt: skip

SETTING = {
    "features": ("shap", "permutation", "random"),
    "importance": ("global", "per_sample", "none"),
    "values": ("interpolated", "decoded", "uniform"),
}
"""Which setting of an attack on expression is drawn, of those there are: the first of these."""


def roc_table(
    expression_paths: Iterable[str],
    sequence_paths: Iterable[str],
    cards: Cards,
    tails: str = BOTH,
) -> pd.DataFrame:
    """Tabulate ROC curves, at most 200 points each.

    Parameters
    ----------
    expression_paths, sequence_paths, cards, tails
        As for `detection_table`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/roc.rst`. Of each model the first seed, of each
        attack the largest severity (of sequences all edits): the adversaries that flip, or all
        where none does. Of each attack on expression the first of `SETTING` that there is, and
        the longest way.

    Raises
    ------
    InputError
        If a file is not where it belongs, or lacks a column or card.
    """
    read = chain(
        reading.read_expression(expression_paths, attacks.FILE, attacks.EXPRESSION_COLUMNS, tails),
        reading.read_sequence(sequence_paths, attacks.FILE, attacks.SEQUENCE_COLUMNS, tails),
    )
    rows: list[dict[str, Any]] = []
    seen = set()
    for scored in read:
        # Sorted by place, so that the first is the one of the first seed.
        if scored.place[:3] not in seen:
            seen.add(scored.place[:3])
            for group in _shown(attacks.attacked(scored, cards)):
                rows += _curves(scored, group)
    return pd.DataFrame(rows, columns=COLUMNS)


def _shown(groups: Sequence[Attacked]) -> list[Attacked]:
    """Choose a group for each attack, kind of targets and null; some have none."""
    best: dict[tuple[str, ...], Attacked] = {}
    known = [group for group in groups if len(group.adversaries) and len(group.natural)]
    for attack in dict.fromkeys(group.columns["attack"] for group in known):
        for group in _of_one_setting([one for one in known if one.columns["attack"] == attack]):
            key = (attack, group.columns["targets"], group.columns["null"])
            if key not in best or _rank(group) > _rank(best[key]):
                best[key] = group
    return list(best.values())


def _of_one_setting(groups: list[Attacked]) -> list[Attacked]:
    """Keep what has the preferred setting; attacks on sequences have none."""
    for name, wanted in SETTING.items():
        found = {group.columns[name] for group in groups}
        chosen = next((value for value in wanted if value in found), min(found))
        groups = [group for group in groups if group.columns[name] == chosen]
    return groups


def _rank(group: Attacked) -> tuple[bool, float, float]:
    columns = group.columns
    return (
        columns["adversaries"] == attacks.SUCCESSFUL,
        attacks.order(columns["severity"]),
        columns["t"] if columns["importance"] else 0.0,
    )


def _curves(scored: Scored, group: Attacked) -> list[dict[str, Any]]:
    shared = reading.of_place(scored.place) | group.columns
    shared |= {"n_natural": len(group.natural), "n_adversaries": len(group.adversaries)}
    rows = []
    for detector in scored.detectors:
        scale = scored.scale(detector)
        natural, adversaries = (
            scale.side(scored.side(detector, part)).scores
            for part in (group.natural, group.adversaries)
        )
        curve = roc_points(natural, adversaries)
        rows += [
            shared | {"detector": detector, "fpr": float(fpr), "tpr": float(tpr)}
            for fpr, tpr in zip(curve.fpr, curve.tpr, strict=True)
        ]
    return rows
