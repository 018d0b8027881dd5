"""The worst case and the vulnerable sequences, by hand and against brute force."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_tables import attack, attack_row, certified, flip, random_suite, skipped

from genosiege.sequence import suite as suite_module
from genosiege.sequence import summaries
from genosiege.sequence.results import AttackResult, ModelResult
from genosiege.sequence.vulnerable import vulnerable_table
from genosiege.sequence.worst_case import worst_case_table
from genosiege.statistics import wilson_interval

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"
SKIPPED = "skipped_misclassified"


def curves(table: pd.DataFrame) -> dict[str, list[float]]:
    return {name: list(rows["robust_accuracy"]) for name, rows in table.groupby("attack")}


@pytest.fixture
def two_attacks() -> list[AttackResult]:
    """Five sequences, the last misclassified; two seeds of one attack and one of the other."""
    greedy = [flip("a", 1), flip("b", 3), attack_row("c"), attack_row("d"), skipped("e")]
    random = [
        *[flip("a", 3), flip("b", 2), attack_row("c"), attack_row("d"), skipped("e")],
        *[
            attack_row("a", 1),
            flip("b", 4, 1),
            flip("c", 2, 1),
            attack_row("d", 1),
            skipped("e", 1),
        ],
    ]
    return [attack("random", random, max_edits=4), attack("greedy", greedy, max_edits=3)]


# The worst case -----------------------------------------------------------------------


def test_worst_case_of_two_attacks(two_attacks: list[AttackResult]) -> None:
    table = worst_case_table(two_attacks)

    assert curves(table) == {
        "greedy": [0.8, 0.6, 0.6, 0.4],
        "random": [0.8, 0.8, 0.4, 0.2, 0.2],
        "worst_case": [0.8, 0.6, 0.2, 0.2, 0.2],
    }
    worst = table[table["attack"] == "worst_case"]
    assert worst["edit_budget"].tolist() == [0, 1, 2, 3, 4]
    assert worst["n_flipped"].tolist() == [0, 1, 3, 3, 3]
    assert np.isnan(worst["median_edits"].iloc[0])
    # a by greedy's one edit, b and c by random's two, whatever else flips them.
    assert worst["median_edits"].iloc[4] == 2
    last = worst.iloc[-1]
    assert tuple(last[["robust_accuracy_low", "robust_accuracy_high"]]) == wilson_interval(1, 5)
    assert set(table["n_sequences"]) == {5}


def test_a_certificate_speaks_where_it_decided_and_its_flips_count(
    two_attacks: list[AttackResult],
) -> None:
    certificate = certified(
        {
            "a": ["flipped", "flipped"],
            "b": ["robust", "flipped"],
            "c": ["robust", "unknown"],
            "d": ["flipped", "flipped"],
            "e": [SKIPPED, SKIPPED],
        }
    )

    table = worst_case_table(two_attacks, [certificate])

    found = curves(table)
    # At two edits c is undecided, so that nothing is said about that budget.
    assert found["certify"] == [0.8, 0.4]
    assert found["worst_case"] == [0.8, 0.4, 0.0, 0.0, 0.0]
    assert table["attack"].drop_duplicates().tolist() == [
        "greedy", "random", "certify", "worst_case",
    ]  # fmt: skip


def test_a_certificate_alone_is_the_worst_case() -> None:
    table = worst_case_table([], [certified({"a": ["flipped"], "b": ["robust"]})])

    assert curves(table) == {"certify": [1.0, 0.5], "worst_case": [1.0, 0.5]}
    assert set(table["split"]) == {"test"}


def test_a_flip_beyond_an_attacks_own_budget_counts_for_the_suite() -> None:
    wild = attack("wild", [flip("a", 6, success_flip=False), attack_row("b")], max_edits=4)
    calm = attack("calm", [attack_row("a"), attack_row("b")], max_edits=8)

    found = curves(worst_case_table([wild, calm]))

    assert found["wild"] == [1.0] * 5
    assert found["worst_case"] == [1.0] * 6 + [0.5] * 3


def test_what_one_table_calls_misclassified_is_not_robust() -> None:
    one = attack("one", [attack_row("a"), attack_row("b")], max_edits=1)
    other = attack("other", [skipped("a"), attack_row("b")], max_edits=1)

    assert curves(worst_case_table([one, other]))["worst_case"] == [0.5, 0.5]


def test_budgets_end_at_ten() -> None:
    long = attack("long", [flip("a", 9), flip("b", 11)], max_edits=15)

    worst = worst_case_table([long]).query("attack == 'worst_case'")

    assert worst["edit_budget"].tolist() == list(range(11))
    assert worst["robust_accuracy"].iloc[-2:].tolist() == [0.5, 0.5]


def test_models_are_kept_apart() -> None:
    rows = [flip("a", 1), attack_row("b")]
    models = [attack("x", rows, 1, seed=1), attack("x", rows[:1], 1, stage="mixed/round1")]

    table = worst_case_table(models).query("attack == 'worst_case' and edit_budget == 1")

    assert table[["seed", "stage"]].to_numpy().tolist() == [[0, "mixed/round1"], [1, "baseline"]]
    assert table["robust_accuracy"].tolist() == [0.0, 0.5]


def test_attacks_on_other_sequences_are_refused() -> None:
    one, other = attack("one", [attack_row("a")]), attack("other", [attack_row("b")])

    assert "not about the same sequences" in refusal(worst_case_table, [one, other])


def is_robust(
    name: str, budget: int, attacks: list[AttackResult], certificate: ModelResult | None
) -> bool:
    """Ask every row of every table about one sequence."""
    for result in attacks:
        for row in result.rows.to_dict("records"):
            if row["id"] == name:
                if not row["correct_before"]:
                    return False
                if row["flipped"] and row["n_edits"] <= budget:
                    return False
    if certificate is not None:
        for row in certificate.rows.to_dict("records"):
            if row["id"] == name and row["status"] == "flipped" and row["n_edits"] <= budget:
                return False
    return True


@pytest.mark.parametrize("draw", range(15))
def test_worst_case_agrees_with_asking_every_row_on_random_tables(draw: int) -> None:
    attacks, certificate = random_suite(np.random.default_rng(draw))
    names = attacks[0].rows["id"].unique()

    table = worst_case_table(attacks, [certificate])

    for row in table.to_dict("records"):
        alone = [a for a in attacks if row["attack"] in (a.attack, "worst_case")]
        exact = certificate if row["attack"] in ("certify", "worst_case") else None
        expected = {n for n in names if is_robust(n, row["edit_budget"], alone, exact)}
        if row["attack"] == "certify":
            expected -= {n for n in names if not is_robust(n, 0, attacks, None)}
        assert row["robust_accuracy"] == pytest.approx(len(expected) / len(names))


@pytest.mark.parametrize("draw", range(15))
def test_worst_case_is_never_above_a_curve_of_its_model(draw: int) -> None:
    attacks, certificate = random_suite(np.random.default_rng(100 + draw))

    table = worst_case_table(attacks, [certificate])

    worst = table[table["attack"] == "worst_case"].set_index("edit_budget")["robust_accuracy"]
    assert worst.is_monotonic_decreasing
    assert (table["robust_accuracy"] >= worst[table["edit_budget"]].to_numpy()).all()
    # Nor above the curves that count each run of an attack.
    runs = summaries.robust_accuracy_table(attacks)
    assert (runs["robust_accuracy"] >= worst[runs["edit_budget"]].to_numpy() - 1e-12).all()


# Vulnerable sequences -----------------------------------------------------------------


def test_vulnerable_sequences_of_two_attacks(two_attacks: list[AttackResult]) -> None:
    certificate = certified(
        {name: ["robust"] for name in "abc"} | {"d": ["flipped"], "e": [SKIPPED]}
    )

    table = vulnerable_table(two_attacks, [certificate], {"greedy": "greedy", "random": "natural"})

    assert table["id"].tolist() == ["a", "d", "b", "c"]
    assert table["min_edits"].tolist() == [1, 1, 2, 2]
    assert table["attack"].tolist() == ["greedy", "certify", "random", "random"]
    assert table["edits"].tolist() == ["0:A>G", "0:A>C", "0:A>G;1:A>G", "0:A>G;1:A>G"]
    assert table["one_edit"].tolist() == [True, True, False, False]
    assert table["natural"].tolist() == [True, False, True, True]
    assert table["every_attack"].tolist() == [True, False, True, False]
    assert table["n_attacks_flipping"].tolist() == [2, 0, 2, 1]
    assert set(table["n_attacks"]) == {2}


@pytest.mark.parametrize("draw", range(15))
def test_fewest_edits_agree_with_brute_force_on_random_tables(draw: int) -> None:
    attacks, certificate = random_suite(np.random.default_rng(200 + draw))
    last = suite_module.suites(attacks, [certificate])[0].last_budget
    fewest: dict[str, int] = {}
    for rows in (*(a.rows[a.rows["flipped"]] for a in attacks),
                 certificate.rows[certificate.rows["status"] == "flipped"]):  # fmt: skip
        for name, n_edits in zip(rows["id"], rows["n_edits"], strict=True):
            if n_edits <= min(last, fewest.get(name, last)):
                fewest[name] = n_edits

    table = vulnerable_table(attacks, [certificate], {a.attack: "random" for a in attacks})

    assert dict(zip(table["id"], table["min_edits"], strict=True)) == fewest
    assert (table["edits"].str.split(";").str.len() == table["min_edits"]).all()
    worst = worst_case_table(attacks, [certificate]).iloc[-1]
    assert (worst["attack"], worst["n_flipped"]) == ("worst_case", len(table))


def test_without_attacks_no_sequence_is_flipped_by_every_attack() -> None:
    table = vulnerable_table([], [certified({"a": ["flipped"], "b": ["robust"]})], {})

    assert table[["id", "every_attack", "n_attacks"]].to_numpy().tolist() == [["a", False, 0]]


# Tables -------------------------------------------------------------------------------


def test_captions_define_every_column_and_empty_tables_have_them(
    two_attacks: list[AttackResult],
) -> None:
    kinds = {"greedy": "greedy", "random": "random"}
    pairs = {
        "worst_case": (worst_case_table(two_attacks), worst_case_table([])),
        "vulnerable": (vulnerable_table(two_attacks, [], kinds), vulnerable_table([], [], {})),
    }
    for name, (full, empty) in pairs.items():
        caption = (CAPTIONS / f"{name}.rst").read_text()
        assert not [column for column in full if f"``{column}``" not in caption]
        assert list(empty) == list(full)
        assert empty.empty and not full.empty
