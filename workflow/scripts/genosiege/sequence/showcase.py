"""Adversaries worth a look: for each attack the flip with the fewest edits and a typical one."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from genosiege.sequence import tables
from genosiege.sequence.results import AttackResult

FEWEST, TYPICAL, NEAREST = "fewest edits", "median edits", "no flip, largest drop"
_KEPT = [
    "attack_seed", "id", "label", "original", "adversarial", "edits", "n_edits", "p_true_before",
    "p_true_after", "success_flip",
]  # fmt: skip
_PLACE = {"task": "str", "encoder": "str", "seed": "int64", "attack": "str"}
COLUMNS = {
    **_PLACE,
    "choice": "str",
    **{name: tables.ATTACK_COLUMNS[name] for name in _KEPT},
}
"""The chosen adversaries, one row each."""


def choose(results: Iterable[AttackResult]) -> pd.DataFrame:
    """Choose the adversaries of each attack that are drawn.

    Parameters
    ----------
    results : iterable of AttackResult
        Attack tables.

    Returns
    -------
    pandas.DataFrame
        Columns as in `COLUMNS`. For each table the flip with the fewest edits and one with the
        median number of edits; where nothing flipped, the run with the largest drop of
        confidence; nothing where no sequence was classified correctly. Ties are broken by the
        lower margin that is left, then by attack seed and id, so that the choice is always the
        same.
    """
    rows = [row for result in results for row in _of_attack(result)]
    return pd.DataFrame(rows, columns=[*COLUMNS]).astype(COLUMNS)


def read(path: str) -> pd.DataFrame:
    """Read a table of chosen adversaries."""
    return tables.read(path, COLUMNS)


def _of_attack(result: AttackResult) -> Iterator[dict[str, Any]]:
    attacked = result.attacked.sort_values(["margin_after", "attack_seed", "id"], kind="stable")
    if attacked.empty:
        return
    won = attacked[attacked["success_flip"]]
    if won.empty:
        row = attacked.sort_values("confidence_drop", ascending=False, kind="stable").iloc[0]
        yield _row(result, NEAREST, row)
        return
    fewest = won.sort_values("n_edits", kind="stable").iloc[0]
    yield _row(result, FEWEST, fewest)
    # Of an even number of flips no run need have the median itself.
    away = (won["n_edits"] - won["n_edits"].median()).abs()
    typical = won.loc[away.sort_values(kind="stable").index[0]]
    if (typical["attack_seed"], typical["id"]) != (fewest["attack_seed"], fewest["id"]):
        yield _row(result, TYPICAL, typical)


def _row(result: AttackResult, choice: str, row: "pd.Series[Any]") -> dict[str, Any]:
    place = {name: getattr(result, name) for name in _PLACE}
    return place | {"choice": choice} | {name: row[name] for name in _KEPT}
