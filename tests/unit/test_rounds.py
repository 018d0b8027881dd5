"""The rounds of a defence, by hand and against plain loops over every row."""

import math
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from refusals import refusal
from toy_rounds import (
    OPTIONS,
    PLACE,
    asked_again,
    described,
    metrics,
    random_defence,
    shuffled,
)
from toy_tables import attack, attack_row, flip, skipped

from genosiege import files
from genosiege.sequence import rounds, summaries
from genosiege.sequence.rounds import Measured, rounds_table
from genosiege.statistics import clustered_wilson_interval, wilson_interval

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"
SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def plausible(row: dict[str, Any], plausibility: float = 0.9) -> dict[str, Any]:
    return row | {"plausibility": plausibility}


def attacked(stage: str, *rows: dict[str, Any]):
    return attack("genetic", [plausible(row) for row in rows], stage=stage)


@pytest.fixture
def measured() -> Measured:
    """Two rounds: what was found among four sequences, d misclassified, each time."""
    return Measured(
        metrics=[
            metrics("baseline", 8, 10),
            metrics("mixed/round1", 9, 10, loss=0.35),
            metrics("mixed/round2", 7, 10, saturation=0.5),
        ],
        attacks=[
            attacked("baseline", flip("a", 1), flip("b", 4), attack_row("c"), skipped("d")),
            attacked(
                "mixed/round1",
                flip("a", 3, confidence_drop=0.3),
                attack_row("b"),
                skipped("c"),
                skipped("d"),
            ),
            attacked(
                "mixed/round2", attack_row("a"), attack_row("b"), attack_row("c"), skipped("d")
            ),
        ],
        training_attacks=[
            attack("genetic", [flip("e", 1), attack_row("f"), skipped("g")], split="train"),
            attack(
                "genetic",
                # A second attack seed is never drawn upon.
                [attack_row("e"), attack_row("f"), flip("e", 1, 1), flip("f", 1, 1)],
                split="train",
                stage="mixed/round1",
            ),
        ],
        descriptions=[
            described(1, 2, 1),
            described(2, 2, 0, kept=True, n_examples=0, n_replay=0, n_steps=0,
                      history={"losses": []}),
        ],
        replays=[
            asked_again(
                [("a", 0, True, True, True), ("b", 0, True, True, False),
                 ("c", 0, True, False, False), ("d", 0, False, False, False)],
                "mixed/round1",
            ),
            asked_again(
                [("a", 0, True, True, True), ("b", 0, True, True, True),
                 ("c", 0, True, True, False), ("d", 0, False, True, False)],
                "mixed/round2",
            ),
        ],
    )  # fmt: skip


def table_of(measured: Measured, **options: Any) -> pd.DataFrame:
    return rounds_table(PLACE, OPTIONS | options, measured)


def test_two_rounds_by_hand(measured: Measured) -> None:
    table = table_of(measured)

    assert table["round"].tolist() == [0, 1, 2]
    assert table["stage"].tolist() == ["baseline", "mixed/round1", "mixed/round2"]
    assert table["is_last"].tolist() == [False, False, True]
    assert table["stop_reason"].tolist() == ["", "", "all 2 rounds were run"]
    baseline, first, second = table.to_dict("records")
    # Training: the baseline has none, round 1 saw one flip of two, round 2 none of two.
    assert table["n_train_attacked"].tolist()[1:] == [2, 2]
    assert table["n_adversaries"].tolist()[1:] == [1, 0]
    assert table.loc[0, ["n_train_attacked", "n_adversaries"]].isna().all()
    assert table["source_flip_rate"].tolist()[1:] == [0.5, 0.0]
    assert (first["source_flip_rate_low"], first["source_flip_rate_high"]) == wilson_interval(1, 2)
    assert table["n_steps"].tolist() == [0, 1, 0]
    assert table["kept"].tolist() == [False, False, True]
    assert (first["training_loss"], first["learning_rate"]) == (0.375, 1e-4)
    assert math.isnan(second["training_loss"]) and math.isnan(baseline["learning_rate"])
    # The clean test split.
    assert table["accuracy"].tolist() == [0.8, 0.9, 0.7]
    assert (second["accuracy_low"], second["accuracy_high"]) == wilson_interval(7, 10)
    assert table["loss"].tolist() == [0.4, 0.35, 0.4]
    assert table["saturation"].tolist() == [0.2, 0.2, 0.5]
    # The fresh attack.
    assert table["n_correct"].tolist() == [3, 2, 3]
    assert table["robust_accuracy"].tolist() == [0.25, 0.25, 0.75]
    assert table["flip_rate"].tolist() == [pytest.approx(2 / 3), 0.5, 0.0]
    assert table["median_edits"].tolist()[:2] == [2.5, 3.0]
    assert table["median_queries"].tolist() == [10, 45, 80]
    assert first["mean_drop_per_edit"] == pytest.approx(0.1)
    assert baseline["mean_drop_per_edit"] == pytest.approx((0.6 + 0.6 / 4) / 2)
    assert first["mean_confidence_drop"] == pytest.approx(0.2)
    over_flips = ["median_edits", "mean_plausibility", "mean_drop_per_edit"]
    assert all(math.isnan(second[name]) for name in over_flips)
    # The old adversaries: round 1 is wrong about c, and both times d was none.
    assert table["replay_flip_rate"].tolist() == pytest.approx([2 / 3, 1 / 2, 2 / 3])
    assert table["replay_gap"].tolist() == pytest.approx([0, 0, -2 / 3])


@pytest.mark.parametrize("draw", range(6))
def test_every_value_agrees_with_plain_loops_on_random_tables(draw: int) -> None:
    rng = np.random.default_rng(draw)
    options, measured, _ = random_defence(rng, n_rounds=int(rng.integers(0, 4)), n=9)

    table = rounds_table(PLACE, options, measured)

    for number, row in enumerate(table.to_dict("records")):
        runs = measured.attacks[number].rows.to_dict("records")
        attacked = [run for run in runs if run["correct_before"]]
        won = [run for run in attacked if run["success_flip"]]
        withstood = [run["correct_before"] and not run["success_flip"] for run in runs]
        expected = {
            "n_sequences": len({run["id"] for run in runs}),
            "n_correct": len({run["id"] for run in attacked}),
            "robust_accuracy": sum(withstood) / len(runs),
            "flip_rate": len(won) / len(attacked),
            "success_drop_rate": sum(run["success_drop"] for run in attacked) / len(attacked),
            "median_edits": statistics.median(run["n_edits"] for run in won),
            "median_queries": statistics.median(run["n_queries_unique"] for run in attacked),
            "mean_plausibility": statistics.fmean(run["plausibility"] for run in won),
            "mean_confidence_drop": statistics.fmean(run["confidence_drop"] for run in attacked),
            "mean_drop_per_edit": statistics.fmean(
                run["confidence_drop"] / run["n_edits"] for run in won
            ),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected)
        bounds = clustered_wilson_interval(withstood, [run["id"] for run in runs])
        assert (row["robust_accuracy_low"], row["robust_accuracy_high"]) == pytest.approx(bounds)
        for name in list(expected)[5:]:
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
        if number:
            asked = measured.replays[number - 1].rows.to_dict("records")
            both = [one for one in asked if one["source_correct"] and one["correct_before"]]
            share = sum(one["flipped"] for one in both) / len(both)
            assert row["replay_flip_rate"] == pytest.approx(share)
        else:
            assert row["replay_flip_rate"] == row["flip_rate"]


def test_the_baseline_has_the_numbers_of_the_table_of_attacks(measured: Measured) -> None:
    row = table_of(measured).iloc[0]

    (known,) = summaries.attacks_table(measured.attacks[:1]).to_dict("records")

    shared = [name for name in known if name in row.index and name.startswith(
        ("robust_accuracy", "flip_rate", "success_drop_rate", "mean_confidence_drop", "n_seq")
    )]  # fmt: skip
    assert len(shared) == 13
    assert row[shared].tolist() == pytest.approx([known[name] for name in shared])


@pytest.mark.parametrize("draw", range(4))
def test_the_order_of_rows_changes_nothing(draw: int) -> None:
    rng = np.random.default_rng(100 + draw)
    options, measured, _ = random_defence(rng)

    mixed_up = rounds_table(PLACE, options, shuffled(measured, rng))

    assert_frame_equal(mixed_up, rounds_table(PLACE, options, measured), check_exact=True)


def test_a_control_has_no_attack_for_training() -> None:
    rng = np.random.default_rng(0)
    options, measured, _ = random_defence(rng, kind="clean_only", adversary_source="test")

    table = rounds_table(PLACE, options, measured)

    names = ["n_train_attacked", "n_adversaries", "source_flip_rate", "source_flip_rate_low"]
    assert table[names].isna().all(axis=None)
    assert set(table["adversary_source"]) == {"train"}
    assert table["training_loss"].notna().tolist() == [False, True, True]


def test_an_early_stop_says_why_even_before_the_first_round(measured: Measured) -> None:
    stop = {"go": False, "reason": "flip rate 0.040 is at or below 0.05"}
    none = Measured(measured.metrics[:1], measured.attacks[:1], [], [], [], stop)
    one = Measured(*(part[:-1] for part in measured[:5]), stop)  # type: ignore[index]

    (row,) = table_of(none).to_dict("records")
    last = table_of(one).iloc[-1]

    assert (row["round"], row["is_last"], row["stop_reason"]) == (0, True, stop["reason"])
    assert (last["round"], last["is_last"], last["stop_reason"]) == (1, True, stop["reason"])


def test_a_model_that_is_right_about_nothing_has_no_rates(measured: Measured) -> None:
    rows = attacked("mixed/round2", *(skipped(name) for name in "abcd"))
    replay = asked_again([(name, 0, True, False, False) for name in "abcd"], "mixed/round2")
    measured.attacks[2], measured.replays[1] = rows, replay

    last = table_of(measured).iloc[-1]

    assert (last["robust_accuracy"], last["n_correct"]) == (0, 0)
    missing = ["flip_rate", "median_edits", "median_queries", "mean_confidence_drop",
               "replay_flip_rate", "replay_gap", "median_queries_low"]  # fmt: skip
    assert last[missing].isna().all()
    assert (last["flip_rate_low"], last["flip_rate_high"]) == (0, 1)


def test_a_leak_takes_its_counts_from_what_was_looked_at() -> None:
    rng = np.random.default_rng(3)
    options, measured, _ = random_defence(rng, adversary_source="test")
    # Only four of the test sequences were looked at for training.
    for told in measured.descriptions:
        told |= {"n_attacked": 4, "n_adversaries": 1}

    table = rounds_table(PLACE, options, measured)

    assert set(table["adversary_source"]) == {"test"}
    assert table["source_flip_rate"].tolist()[1:] == [0.25, 0.25]


# What is refused ----------------------------------------------------------------------


def test_files_of_other_rounds_are_refused(measured: Measured) -> None:
    swapped = measured._replace(attacks=[measured.attacks[i] for i in (0, 2, 1)])
    message = refusal(table_of, swapped)
    assert "its attacks are of baseline, mixed/round2, mixed/round1" in message

    assert "its replays are of mixed/round1" in refusal(
        table_of, measured._replace(replays=measured.replays[:1])
    )
    assert "its attacks for training" in refusal(table_of, measured, kind="clean_only")
    again = measured._replace(descriptions=[described(1, 2, 1), described(1, 2, 1)])
    assert "its models are of" in refusal(table_of, again)


def test_files_of_another_model_or_attack_are_refused(measured: Measured) -> None:
    other = measured.attacks[1]._replace(seed=1)
    assert "a table is of promoters, cnn, seed 1" in refusal(
        table_of, measured._replace(attacks=[measured.attacks[0], other, measured.attacks[2]])
    )
    assert "attacked by genetic, not by greedy" in refusal(table_of, measured, attack="greedy")


def test_training_on_another_attack_or_split_is_refused(measured: Measured) -> None:
    assert "its attack is on train" in refusal(table_of, measured, adversary_source="test")
    told = [described(1, 2, 2), measured.descriptions[1]]
    assert "was trained on another attack" in refusal(
        table_of, measured._replace(descriptions=told)
    )


def test_rounds_that_end_for_no_reason_are_refused(measured: Measured) -> None:
    go_on, stop = {"go": True, "reason": "."}, {"go": False, "reason": "."}

    assert "2 of 3 rounds are there, but not a decision" in refusal(table_of, measured, rounds=3)
    assert "and a decision to stop" in refusal(table_of, measured._replace(decision=stop))
    assert "was to go on" in refusal(table_of, measured._replace(decision=go_on), rounds=3)


def test_metrics_without_saturation_are_refused(measured: Measured) -> None:
    del measured.metrics[1]["saturation"]  # type: ignore[attr-defined]

    assert "lacks saturation" in refusal(table_of, measured)


# Several defences ---------------------------------------------------------------------


def test_rounds_of_several_defences_are_read_and_put_in_order(
    measured: Measured, tmp_path: Path
) -> None:
    table = table_of(measured)
    for name in ("mixed", "clean", "attacked"):
        files.write_parquet(table.assign(defence=name), tmp_path / f"{name}.parquet")

    joined = rounds.read([str(path) for path in sorted(tmp_path.iterdir())])
    ordered = rounds.in_order(joined[::-1], ["mixed", "attacked"], "round")

    assert ordered["defence"].tolist() == ["mixed"] * 3 + ["attacked"] * 3 + ["clean"] * 3
    assert ordered["round"].tolist() == [0, 1, 2] * 3
    mixed = ordered[ordered["defence"] == "mixed"]
    assert_frame_equal(mixed, table, check_exact=True)
    assert list(rounds.read([])) == list(table) and rounds.read([]).empty


def test_a_table_of_another_form_is_refused(measured: Measured, tmp_path: Path) -> None:
    path = tmp_path / "rounds.parquet"
    files.write_parquet(table_of(measured).drop(columns="kept"), path)

    assert "rounds.parquet: column kept is missing" in refusal(rounds.read, [str(path)])


def test_the_caption_defines_every_column(measured: Measured) -> None:
    caption = (CAPTIONS / "hardening.rst").read_text()

    assert not [column for column in table_of(measured) if f"``{column}``" not in caption]


def test_judging_defences_needs_no_torch() -> None:
    modules = "changes, outcomes, published_claim, round_times, rounds, verdict"
    code = f"import sys; from genosiege.sequence import {modules}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS).returncode == 0
