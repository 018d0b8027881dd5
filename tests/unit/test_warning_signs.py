"""Warnings fire on what is fishy, and only then."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from toy_tables import attack, attack_row, flip, skipped

from genosiege.input_checks import PHRASES
from genosiege.sequence import summaries
from genosiege.sequence.metrics import classification_metrics
from genosiege.sequence.results import MODEL, AttackResult
from genosiege.sequence.warning_signs import COLUMNS, warnings_table, with_codes

CAPTION = Path(__file__).parents[2] / "workflow" / "report" / "warnings.rst"
KINDS = {
    "gradient": "gradient", "genetic": "genetic", "greedy": "greedy", "random": "random",
    "natural": "natural", "published": "published",
}  # fmt: skip
N = 40


def flipping(name: str, flipped: range, n: int = N, **changes: object) -> AttackResult:
    """Make an attack that flips these sequences of n with one edit."""
    rows = [
        flip(f"test:{i}", 1) if i in flipped else attack_row(f"test:{i}", stop_reason="exhausted")
        for i in range(n)
    ]
    return attack(name, rows)._replace(**changes)


def codes(*attacks: AttackResult) -> list[tuple[str, str]]:
    table = warnings_table(attacks, KINDS)
    return list(zip(table["warning"], table["attack"], strict=True))


# One attack against another -----------------------------------------------------------


@pytest.mark.parametrize("black_box", ["genetic", "greedy", "random", "natural"])
def test_a_black_box_that_beats_the_white_box_is_told(black_box: str) -> None:
    table = warnings_table(
        [flipping("gradient", range(5, 15)), flipping(black_box, range(30))], KINDS
    )

    (row,) = table.to_dict("records")
    assert (row["warning"], row["attack"]) == ("black_box_beats_white_box", "gradient")
    assert (row["n"], row["of"], row["value"]) == (30, N, 0.5)
    assert row["p"] == pytest.approx(binomtest(20, 20).pvalue)
    for word in (black_box, "gradient", "30 of 40", "10"):
        assert word in row["message"]


def test_the_published_search_is_no_yardstick_for_the_white_box() -> None:
    assert codes(flipping("gradient", range(0)), flipping("published", range(30))) == []


def test_a_white_box_that_is_better_or_hardly_worse_is_not_told() -> None:
    assert codes(flipping("gradient", range(30)), flipping("genetic", range(10))) == []
    # Five more of forty, and none fewer: p = 0.0625.
    assert codes(flipping("gradient", range(10)), flipping("genetic", range(15))) == []
    assert codes(flipping("gradient", range(10)), flipping("genetic", range(16))) != []


def test_p_is_adjusted_over_all_comparisons_of_a_model() -> None:
    # Six more, none fewer: p = 0.031, which does not survive three comparisons …
    gradient, six = flipping("gradient", range(10)), range(16)
    assert codes(gradient, flipping("greedy", six), flipping("genetic", six)) == []
    # … of that model; those on another model are a family of their own.
    elsewhere = [flipping(name, six, seed=1) for name in ("greedy", "genetic")]
    found = codes(gradient, flipping("greedy", six), *elsewhere)
    assert found == [("black_box_beats_white_box", "gradient")]


def test_attacks_are_compared_at_a_budget_that_both_have() -> None:
    rows = [flip(f"test:{i}", 6) for i in range(N)]
    far = attack("genetic", rows, max_edits=10)

    assert codes(flipping("gradient", range(0), max_edits=5), far) == []
    assert codes(flipping("gradient", range(0), max_edits=6), far) != []


def test_attacks_are_compared_by_their_first_seed() -> None:
    # Five seeds of random draws flip all, a deterministic attack gains nothing by them.
    rows = {"gradient": [], "random": []}
    for seed in range(5):
        for i in range(N):
            name = f"test:{i}"
            still = attack_row(name, seed, stop_reason="exhausted")
            rows["gradient"].append(flip(name, 1, seed) if i < 20 else still)
            rows["random"].append(flip(name, 1, seed) if i % 5 == seed else still)

    assert codes(*(attack(name, found) for name, found in rows.items())) == []


def test_flips_that_break_a_hard_rule_are_no_yardstick() -> None:
    wild = [flip(f"test:{i}", 1, keeps_hard_rules=False, success_flip=False) for i in range(N)]

    assert codes(flipping("gradient", range(5)), attack("genetic", wild)) == []


def test_misclassified_sequences_are_not_compared() -> None:
    rows = [flip(f"test:{i}", 1) if i < 20 else skipped(f"test:{i}") for i in range(N)]
    none = [attack_row(f"test:{i}") if i < 20 else skipped(f"test:{i}") for i in range(N)]

    (row,) = warnings_table([attack("gradient", none), attack("random", rows)], KINDS).to_dict(
        "records"
    )

    assert (row["n"], row["of"]) == (20, 20)


@pytest.mark.parametrize("directed", ["genetic", "greedy"])
@pytest.mark.parametrize("blind", ["random", "natural"])
def test_random_edits_that_beat_a_directed_search_are_told(directed: str, blind: str) -> None:
    assert codes(flipping(directed, range(10)), flipping(blind, range(30))) == [
        ("random_beats_genetic", directed)
    ]
    assert codes(flipping(directed, range(30)), flipping(blind, range(10))) == []


def test_a_few_more_flips_at_random_are_told_as_what_may_be_chance() -> None:
    genetic, random = flipping("genetic", range(10)), flipping("random", range(13))
    (row,) = warnings_table([genetic, random], KINDS).to_dict("records")
    assert (row["warning"], row["attack"], row["p"]) == ("random_flips_more", "genetic", 0.25)
    assert "may be chance" in row["message"]

    dear = random._replace(rows=random.rows.assign(n_queries_unique=5000))
    assert codes(genetic, dear) == []


# One attack alone ---------------------------------------------------------------------


def failed(n_hidden: int, n: int, **changes: float) -> AttackResult:
    hidden = {"p_true_before": 0.9999, "p_true_after": 0.995, "margin_before": 9.2}
    rows = [
        attack_row(str(i), **(hidden | {"margin_after": 5.3} | changes if i < n_hidden else {}))
        for i in range(n)
    ]
    return attack("genetic", rows)


def test_saturated_confidence_is_told_from_a_tenth_of_the_failed_runs() -> None:
    (row,) = warnings_table([failed(3, 20)], KINDS).to_dict("records")
    assert (row["warning"], row["n"], row["of"], row["value"]) == (
        "saturated_confidence", 3, 20, 0.15,
    )  # fmt: skip
    assert np.isnan(row["p"])
    assert codes(failed(2, 20)) == []


@pytest.mark.parametrize(
    "changes", [{"p_true_before": 0.98}, {"p_true_after": 0.98}, {"margin_after": 8.3}]
)
def test_confidence_that_moves_or_a_margin_that_does_not_is_fine(changes: dict[str, float]) -> None:
    assert codes(failed(20, 20, **changes)) == []


def test_successful_runs_say_nothing_about_saturation() -> None:
    won = [flip(str(i), 1, p_true_before=0.9999, p_true_after=0.995) for i in range(20)]
    assert codes(attack("genetic", won)) == []


def test_lost_flips_are_told_with_their_share() -> None:
    (row,) = warnings_table([flipping("greedy", range(9), search_flips_lost=1)], KINDS).to_dict(
        "records"
    )

    assert (row["warning"], row["n"], row["of"], row["value"]) == ("flips_lost", 1, 10, 0.1)


def test_an_attack_that_asked_about_nothing_is_told() -> None:
    idle = attack_row("test:0", n_queries=1, n_queries_unique=1, stop_reason="exhausted")
    table = warnings_table(
        [attack("known", [idle, attack_row("test:1")])], KINDS | {"known": "variants"}
    )

    (row,) = table.to_dict("records")
    assert (row["warning"], row["attack"]) == ("nothing_tried", "known")
    assert (row["n"], row["of"], row["value"]) == (1, 2, 0.5)


def ended(name: str, reason: str, n_ended: int, n: int = 100) -> AttackResult:
    rows = [attack_row(str(i), stop_reason=reason if i < n_ended else "patience") for i in range(n)]
    return attack(name, rows)


@pytest.mark.parametrize("reason", ["query_budget", "generations"])
def test_an_attack_out_of_budget_is_told_from_one_run_in_twenty(reason: str) -> None:
    (row,) = warnings_table([ended("genetic", reason, 6)], KINDS).to_dict("records")
    assert (row["warning"], row["n"], row["of"], row["value"]) == (
        "budget_exhausted", 6, 100, 0.06,
    )  # fmt: skip
    assert codes(ended("genetic", reason, 5)) == []


def test_runs_that_ended_otherwise_or_succeeded_or_cannot_converge_are_fine() -> None:
    assert codes(ended("genetic", "exhausted", 100)) == []
    assert codes(ended("random", "query_budget", 100)) == []
    late = [flip(str(i), 1, stop_reason="query_budget") for i in range(20)]
    assert codes(attack("genetic", late)) == []


# The model itself ---------------------------------------------------------------------


def measured(labels: list[int], predicted: list[int], seed: int = 0) -> dict[str, Any]:
    """Give the content of a `metrics.json` of these answers."""
    found = classification_metrics(np.eye(3)[predicted] * 2.0, np.array(labels))
    return dict(zip(MODEL, ("promoters", "cnn", seed, "baseline"), strict=True)) | asdict(found)


SWAPPED = measured([0, 1, 2] * 30, [1, 2, 0] * 30)
CONSTANT = measured([0, 1, 2, 1] * 100, [1] * 400, seed=1)
COIN = measured([0, 0, 1, 1] * 10, [0, 1, 0, 1] * 10, seed=2)
GOOD = measured([0, 1, 2] * 30, [0, 1, 2] * 30, seed=3)


def test_a_model_that_knows_nothing_is_told_with_its_numbers() -> None:
    attacks = [flipping("genetic", range(5)), flipping("greedy", range(0), search_flips_lost=1)]
    alone = warnings_table(attacks, KINDS)

    table = warnings_table(attacks, KINDS, [GOOD, COIN, CONSTANT, SWAPPED])

    # What is said of attacks stays where it was.
    assert table.iloc[: len(alone)].equals(alone)
    swapped, constant, coin = table.iloc[len(alone) :].to_dict("records")
    for row in (swapped, constant, coin):
        assert (row["attack"], row["split"], row["stage"]) == ("", "test", "baseline")
        assert np.isnan(row["p"])
    assert (swapped["warning"], swapped["seed"]) == ("labels_swapped", 0)
    assert (swapped["n"], swapped["of"], swapped["value"]) == (0, 90, -0.5)
    for word in ("0 of 90", "would get 30", "-0.500 [-0.500, -0.500]", "labels look swapped"):
        assert word in swapped["message"]
    assert (constant["warning"], constant["seed"]) == ("constant_model", 1)
    assert (constant["n"], constant["of"], constant["value"]) == (400, 400, 1.0)
    assert constant["message"].startswith("The model gives class 1 to all 400 test sequences: ")
    assert (coin["warning"], coin["seed"]) == ("no_better_than_majority", 2)
    assert (coin["n"], coin["of"], coin["value"]) == (20, 40, 0.0)
    assert "20 of 40 test sequences right" in coin["message"]
    assert "do not call it robust" in coin["message"]


def test_what_is_told_of_a_model_is_no_warning_about_an_attack() -> None:
    attacks = [flipping("greedy", range(0), search_flips_lost=1, seed=1)]
    found = warnings_table(attacks, KINDS, [CONSTANT])

    table = with_codes(summaries.attacks_table(attacks), found)

    assert len(found) == 2
    assert table["warnings"].tolist() == ["flips_lost"]


def test_the_caption_defines_every_phrase() -> None:
    assert not [name for name in PHRASES if f"``{name}``" not in CAPTION.read_text()]
    assert set(PHRASES) == {SWAPPED["input_check"], CONSTANT["input_check"], COIN["input_check"]}


# Tables -------------------------------------------------------------------------------


def test_a_model_that_knows_nothing_gives_no_warning() -> None:
    rows = [skipped("a"), skipped("b")]
    assert codes(*(attack(name, rows) for name in KINDS)) == []


def test_codes_stand_beside_the_attack_they_are_about() -> None:
    attacks = [
        flipping("gradient", range(0), search_flips_lost=1),
        flipping("greedy", range(30)),
        flipping("genetic", range(30)),
        flipping("gradient", range(0), seed=1),
    ]

    table = with_codes(summaries.attacks_table(attacks), warnings_table(attacks, KINDS))

    found = {(r["seed"], r["attack"]): r["warnings"] for r in table.to_dict("records")}
    # Beaten twice, told once.
    assert found == {
        (0, "gradient"): "black_box_beats_white_box;flips_lost",
        (0, "greedy"): "",
        (0, "genetic"): "",
        (1, "gradient"): "",
    }


def test_tables_of_a_run_without_attacks_have_their_headers() -> None:
    nothing = warnings_table([], {})

    assert list(nothing) == COLUMNS and nothing.empty
    assert "warnings" in with_codes(summaries.attacks_table([]), nothing)


@pytest.fixture
def every_sign() -> pd.DataFrame:
    attacks = [
        flipping("gradient", range(0), search_flips_lost=1),
        flipping("genetic", range(30)),
        flipping("random", range(32)),
        ended("greedy", "query_budget", 100)._replace(seed=1),
        flipping("greedy", range(0))._replace(seed=2),
        flipping("random", range(30))._replace(seed=2),
        failed(20, 20)._replace(seed=3),
    ]
    table = warnings_table(attacks, KINDS)
    assert table["warning"].nunique() == 6
    return table


def test_the_caption_defines_every_column_and_every_sign(every_sign: pd.DataFrame) -> None:
    caption = CAPTION.read_text()
    named = [*every_sign, *every_sign["warning"]]
    assert not [name for name in named if f"``{name}``" not in caption]


def test_messages_are_single_sentences_with_the_counts(every_sign: pd.DataFrame) -> None:
    # A point is either in a number or the end.
    assert every_sign["message"].str.fullmatch(r"(?:[^.]|\.\d)+\.").all()
    for row in every_sign.to_dict("records"):
        assert f"{row['n']} of" in row["message"] and str(row["of"]) in row["message"]
