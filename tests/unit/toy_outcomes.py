"""Outcomes of three sequences, and how to read a table of them."""

from typing import Any

import pandas as pd
from toy_rounds import PLACE, asked_again, described
from toy_tables import attack, attack_row, certified, flip, skipped

from genosiege.sequence.outcomes import Compared
from genosiege.sequence.results import ModelResult

LAST = "mixed/round1"
SKIPPED = "skipped_misclassified"


def clean(stage: str, correct: list[bool]) -> ModelResult:
    table = pd.DataFrame({"id": ["a", "b", "c", "z"], "label": 1, "correct": correct})
    return ModelResult(*PLACE[:3], stage, "", table)


def three_sequences() -> Compared:
    """Three sequences: a is mended, b stays broken, c becomes misclassified."""
    before = attack(
        "genetic",
        [flip("a", 3), flip("b", 4), attack_row("c"), flip("a", 2, 1), attack_row("b", 1),
         attack_row("c", 1)],
    )  # fmt: skip
    after = attack(
        "genetic",
        [attack_row("a"), flip("b", 5), skipped("c"), attack_row("a", 1), flip("b", 6, 1),
         skipped("c", 1)],
        stage=LAST,
    )  # fmt: skip
    return Compared(
        predictions=[
            clean("baseline", [True, True, True, False]),
            clean(LAST, [True, True, False, False]),
        ],
        black_box=[before, after],
        replay=asked_again(
            [("a", 0, True, True, False), ("b", 0, True, True, True), ("c", 0, True, False, False),
             ("a", 1, True, True, True), ("b", 1, True, True, False), ("c", 1, True, False, False)],
            LAST,
        ),
        suite_before=[before, attack("greedy", [attack_row("a"), flip("b", 1), flip("c", 9)])],
        suite_after=[
            attack("greedy", [flip("a", 7), attack_row("b"), skipped("c")], stage=LAST),
            after,
        ],
        certificates=[
            certified({"a": ["robust"], "b": ["robust"], "c": ["robust"]}),
            certified({"a": ["robust"], "b": ["flipped"], "c": [SKIPPED]}, stage=LAST),
        ],
        transfers=[],
        descriptions=[described(1, 2, 1)],
    )  # fmt: skip


def of(table: pd.DataFrame, name: str) -> dict[str, dict[str, Any]]:
    rows = table[table["attack"] == name]
    assert rows["id"].is_unique
    return {row["id"]: row for row in rows.to_dict("records")}


def answers(table: pd.DataFrame, name: str, what: str) -> dict[str, tuple[Any, Any]]:
    rows = of(table, name)
    return {key: (row[f"{what}_before"], row[f"{what}_after"]) for key, row in rows.items()}
