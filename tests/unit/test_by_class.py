"""The table of each true class: by hand, and against the other tables on random suites."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_tables import PLACE, attack, attack_row, certified, flip, random_suite, skipped

from genosiege import files
from genosiege.comparisons import holm
from genosiege.proportions import Counts, newcombe
from genosiege.sequence.audit import certify_table
from genosiege.sequence.by_class import COLUMNS, by_class_table, read_relatives
from genosiege.sequence.results import ModelResult
from genosiege.sequence.worst_case import worst_case_table
from genosiege.statistics import wilson_interval

CAPTION = Path(__file__).parents[2] / "workflow" / "report" / "by_class.rst"


def predicted(rows: dict[str, tuple[int, bool]], **changes: Any) -> ModelResult:
    """Make predictions from each sequence's label and whether the model is right."""
    table = pd.DataFrame(
        [(name, *known) for name, known in rows.items()], columns=["id", "label", "correct"]
    )
    return ModelResult(*PLACE, "", table)._replace(**changes)


def prepared(rows: dict[str, Any], *related: str) -> dict[str, pd.DataFrame]:
    """Make the prepared test split of a task in which these sequences have relatives in train."""
    words = ["other" if name in related else "" for name in rows]
    return {PLACE[0]: pd.DataFrame({"id": list(rows), "relative_labels": words})}


def bounds(row: "pd.Series[Any]", name: str) -> tuple[float, float]:
    return row[f"{name}_low"], row[f"{name}_high"]


# Six of class 0, of which four are attacked, and five of class 1, of which three are.
ROWS = {
    **{"a": (0, True), "b": (0, True), "c": (0, True), "d": (0, False)},
    **{"x": (0, True), "y": (0, False)},
    **{"e": (1, True), "f": (1, True), "g": (1, True), "h": (1, True), "z": (1, False)},
}
RELATED = ("a", "y", "x", "e")
ZERO = {"label": 0}


@pytest.fixture
def attacks() -> list[Any]:
    """Two attacks: together they flip a and b of class 0, and e of class 1."""
    one = [flip("a", 2, **ZERO), attack_row("b", **ZERO), attack_row("c", **ZERO)]
    two = [attack_row("a", **ZERO), flip("b", 3, **ZERO), attack_row("c", **ZERO)]
    rest = [skipped("d") | ZERO, attack_row("f"), attack_row("g")]
    return [
        attack("one", [*one, *rest, attack_row("e")], max_edits=3),
        attack("two", [*two, *rest, flip("e", 4)], max_edits=4),
    ]


def test_each_class_by_hand(attacks: list[Any]) -> None:
    table = by_class_table([predicted(ROWS)], prepared(ROWS, *RELATED), attacks)

    assert list(table) == COLUMNS
    first, second = (row for _, row in table.iterrows())
    assert [*first[["task", "encoder", "seed", "stage", "label"]]] == [*PLACE, 0]
    counts = ["n_test", "n_sequences", "edit_budget", "n_correct", "n_with_relative"]
    assert first[counts].tolist() == [6, 4, 4, 3, 3]
    assert second[counts].tolist() == [5, 3, 4, 3, 1]
    assert (first["accuracy"], second["accuracy"]) == (4 / 6, 4 / 5)
    assert bounds(first, "accuracy") == wilson_interval(4, 6)
    assert (first["robust_accuracy"], second["robust_accuracy"]) == (1 / 4, 2 / 3)
    assert bounds(second, "robust_accuracy") == wilson_interval(2, 3)
    assert (first["flip_rate"], second["flip_rate"]) == (2 / 3, 1 / 3)
    assert bounds(first, "flip_rate") == wilson_interval(2, 3)
    assert (first["accuracy_with_relative"], first["accuracy_without_relative"]) == (2 / 3, 2 / 3)
    assert (second["n_without_relative"], second["accuracy_without_relative"]) == (4, 3 / 4)
    assert bounds(second, "accuracy_without_relative") == wilson_interval(3, 4)
    difference = newcombe(Counts(1, 4, 2, 3))
    assert first["robust_accuracy_minus_rest"] == pytest.approx(1 / 4 - 2 / 3)
    assert bounds(first, "robust_accuracy_minus_rest") == difference.interval
    # One comparison, told from either side.
    assert first["robust_accuracy_minus_rest_p"] == difference.p
    assert second["robust_accuracy_minus_rest_p"] == difference.p
    assert bounds(second, "robust_accuracy_minus_rest") == (
        -difference.interval.high, -difference.interval.low,
    )  # fmt: skip
    assert table.filter(like="certified").isna().all(axis=None)


def test_a_certificate_tells_what_one_edit_does_to_each_class() -> None:
    rows = {"a": (0, True), "b": (0, True), "c": (1, True), "d": (1, False)}
    found = certified(
        {"a": ["robust", "flipped"], "b": ["unknown", "unknown"], "c": ["flipped", "flipped"],
         "d": ["skipped_misclassified"] * 2}
    )  # fmt: skip
    found.rows["label"] = found.rows["id"].map({name: label for name, (label, _) in rows.items()})

    table = by_class_table([predicted(rows)], prepared(rows), [], [found])

    # What is undecided is not proven, and not flipped either.
    assert table["certified_accuracy"].tolist() == [0.5, 0.0]
    assert bounds(table.iloc[0], "certified_accuracy") == wilson_interval(1, 2)
    assert table["robust_accuracy"].tolist() == [0.5, 0.0]
    assert table["edit_budget"].tolist() == [2, 2]
    # One edit is what a certificate is about, even where it was not asked for that.
    found.rows["k"] += 1
    later = by_class_table([predicted(rows)], prepared(rows), [], [found])
    assert later.filter(like="certified").isna().all(axis=None)


@pytest.mark.parametrize("draw", range(15))
def test_classes_add_up_to_the_worst_case_and_the_certificate(draw: int) -> None:
    rng = np.random.default_rng(draw)
    attacks, certificate = random_suite(rng)
    names = attacks[0].rows["id"].unique()
    labels = dict(zip(names, rng.integers(3, size=len(names)), strict=True))
    for result in (*attacks, certificate):
        result.rows["label"] = result.rows["id"].map(labels)
    more = {f"more:{number}": number % 3 for number in range(6)}
    rows = {name: (int(label), bool(rng.random() < 0.7)) for name, label in (labels | more).items()}

    table = by_class_table([predicted(rows)], prepared(rows, *names), attacks, [certificate])

    worst = worst_case_table(attacks, [certificate]).iloc[-1]
    assert worst["attack"] == "worst_case"
    assert table["n_sequences"].sum() == worst["n_sequences"] == len(names)
    n_robust = (table["robust_accuracy"] * table["n_sequences"].astype(float)).sum()
    assert n_robust == pytest.approx(worst["robust_accuracy"] * len(names))
    n_flipped = (table["flip_rate"] * table["n_correct"].astype(float)).sum()
    assert n_flipped == pytest.approx(worst["n_flipped"])
    assert set(table["edit_budget"].dropna()) == {worst["edit_budget"]}
    proven = certify_table([certificate]).query("k == 1")["n_robust"].iloc[0]
    n_proven = (table["certified_accuracy"] * table["n_sequences"].astype(float)).sum()
    assert n_proven == pytest.approx(proven)
    assert table["n_test"].sum() == len(rows)
    assert table["n_with_relative"].sum() == len(names)
    assert table["label"].tolist() == [0, 1, 2]
    for row in table.to_dict("records"):
        mine = [right for label, right in rows.values() if label == row["label"]]
        assert row["accuracy"] == pytest.approx(np.mean(mine))


def three(n: int) -> dict[str, tuple[int, bool]]:
    return {f"{label}:{number}": (label, True) for label in range(3) for number in range(n)}


def flipped(rows: dict[str, tuple[int, bool]], shares: list[int], **changes: Any) -> Any:
    """Attack all, and flip as many of each class as is said."""
    made = []
    for name, (label, _) in rows.items():
        lost = int(name.split(":")[1]) < shares[label]
        made.append((flip(name, 1) if lost else attack_row(name)) | {"label": label})
    return attack("one", made)._replace(**changes)


def test_three_classes_are_three_comparisons_and_two_are_one() -> None:
    rows = three(40)
    pair = {name: known for name, known in rows.items() if known[0] < 2}
    models = [predicted(rows), predicted(pair, seed=1)]
    attacks = [flipped(rows, [36, 10, 12]), flipped(pair, [20, 35], seed=1)]

    table = by_class_table(models, prepared(rows), attacks)

    expected = [
        newcombe(Counts(4, 40, 58, 80)),
        newcombe(Counts(30, 40, 32, 80)),
        newcombe(Counts(28, 40, 34, 80)),
        newcombe(Counts(20, 40, 5, 40)),
    ]
    adjusted = holm([one.p for one in expected])
    assert table["seed"].tolist() == [0, 0, 0, 1, 1]
    assert table["robust_accuracy_minus_rest_p"].tolist() == pytest.approx([*adjusted, adjusted[3]])
    values = [one.value for one in expected]
    assert table["robust_accuracy_minus_rest"].tolist() == pytest.approx([*values, -values[3]])
    weaker = table["robust_accuracy_minus_rest_high"] < 0
    assert weaker.tolist() == [True, False, False, False, True]


def test_a_class_that_was_not_attacked_has_no_robustness() -> None:
    rows = three(4)
    seen = {name: known for name, known in rows.items() if known[0] != 1}

    table = by_class_table([predicted(rows)], prepared(rows), [flipped(seen, [1, 0, 3])])

    missing = table.iloc[1]
    assert missing[["n_test", "n_sequences", "n_correct"]].tolist() == [4, 0, 0]
    empty = ["robust_accuracy", "flip_rate", "robust_accuracy_minus_rest"]
    names = [*empty, *(f"{name}_low" for name in empty), "robust_accuracy_minus_rest_p"]
    assert missing[names].isna().all()
    # The other two are each compared with what was attacked of the rest.
    assert table["robust_accuracy_minus_rest"].iloc[[0, 2]].tolist() == [0.5, -0.5]


def test_without_attacks_the_accuracies_stand_alone() -> None:
    table = by_class_table([predicted(ROWS)], prepared(ROWS, "a"))

    assert table["accuracy"].tolist() == [4 / 6, 4 / 5]
    asked = ["n_sequences", "edit_budget", "n_correct", "robust_accuracy", "robust_accuracy_low",
             "flip_rate", "certified_accuracy", "robust_accuracy_minus_rest",
             "robust_accuracy_minus_rest_p"]  # fmt: skip
    assert table[asked].isna().all(axis=None)
    # Class 1 has no relatives, and nothing to say of them.
    assert table["n_with_relative"].tolist() == [1, 0]
    assert table.filter(like="accuracy_with_relative").iloc[1].isna().all()
    assert table["accuracy_without_relative"].iloc[1] == 4 / 5


def test_models_are_sorted_and_take_their_own_attacks() -> None:
    rows = three(4)
    models = [predicted(rows, seed=2), predicted(rows, encoder="bert"), predicted(rows, seed=1)]
    attacks = [flipped(rows, [4, 4, 4], seed=1), flipped(rows, [0, 0, 0], seed=2)]

    table = by_class_table(models, prepared(rows), attacks)

    model = list(zip(table["encoder"], table["seed"], strict=True))[::3]
    assert model == [("bert", 0), ("cnn", 1), ("cnn", 2)]
    assert table["robust_accuracy"].fillna(-1).tolist() == [-1] * 3 + [0] * 3 + [1] * 3


def test_predictions_of_other_sequences_than_the_prepared_are_refused() -> None:
    message = refusal(by_class_table, [predicted(ROWS)], prepared(three(2)))

    assert message.startswith("promoters, cnn, seed 0, baseline: its predictions are not about")


def test_a_prepared_split_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    files.write_parquet(pd.DataFrame({"id": ["a"], "label": [0]}), tmp_path / "test.parquet")

    assert "column relative_labels is missing" in refusal(
        read_relatives, str(tmp_path / "test.parquet")
    )


def test_the_caption_defines_every_column_and_an_empty_table_has_them() -> None:
    caption = CAPTION.read_text()

    assert not [name for name in COLUMNS if f"``{name}``" not in caption]
    assert list(by_class_table([], {})) == COLUMNS
