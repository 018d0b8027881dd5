"""The published figures beside measured ones, which are recomputed run by run."""

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from toy_rounds import PLACE, last_rounds, outcomes_of, random_defence

from genosiege.sequence import rounds
from genosiege.sequence.outcomes import outcomes_table
from genosiege.sequence.published_claim import published_claim_table
from genosiege.sequence.rounds import rounds_table
from genosiege.statistics import clustered_wilson_interval

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"


def drawn(seed: int, **options: Any) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    told, measured, compared = random_defence(np.random.default_rng(seed), n=15, **options)
    for description in measured.descriptions:
        known = {"n_attacked": 5, "n_adversaries": 2} if options else {}
        ids = [f"{told['adversary_source']}:{number}" for number in range(4)]
        description |= known | {"trained_on": [{"id": one} for one in ids]}
    return rounds_table(PLACE, told, measured), outcomes_table(PLACE, compared), measured


def test_the_published_figures_come_first() -> None:
    found = outcomes_of("d", {"black_box": [("RR", 2)]})
    table = published_claim_table(last_rounds("d"), found.fillna(0.0))

    reported = table.iloc[0]
    assert reported["protocol"] == "as reported"
    low, high = reported["success_rate_baseline_low"], reported["success_rate_baseline_high"]
    assert (low, high) == (0.6, 0.8) and np.isnan(reported["success_rate_baseline"])
    means = reported[["mean_edits_baseline", "mean_drop_baseline", "clean_accuracy_last"]]
    assert means.tolist() == [3.8, 0.26, 0.86]
    assert reported[["n", "seed", "success_rate_last", "mean_edits_last"]].isna().all()
    assert table["protocol"].tolist() == ["as reported", "d"]


@pytest.mark.parametrize("source", ["train", "test"])
@pytest.mark.parametrize("seed", range(3))
def test_measures_agree_with_plain_loops_over_the_runs(seed: int, source: str) -> None:
    options = {"adversary_source": source} if source == "test" else {}
    told, found, measured = drawn(seed, **options)

    table = published_claim_table(told, found).iloc[1:].set_index("sequences")

    trained = {f"test:{number}" for number in range(4)} if source == "test" else set()
    everyone = {f"test:{number}" for number in range(15)}
    groups = {"all": everyone}
    if source == "test":
        groups |= {"trained on": trained, "never trained on": everyone - trained}
    assert list(table.index) == list(groups)
    for name, ids in groups.items():
        row = table.loc[name]
        assert row["n"] == len(ids)
        for end, attack in (("baseline", measured.attacks[0]), ("last", measured.attacks[-1])):
            runs = [run for run in attack.rows.to_dict("records")
                    if run["id"] in ids and run["correct_before"]]  # fmt: skip
            won = [run for run in runs if run["success_drop"]]
            assert row[f"n_runs_{end}"] == len(runs)
            assert row[f"success_rate_{end}"] == pytest.approx(len(won) / len(runs))
            bounds = clustered_wilson_interval(
                [run["success_drop"] for run in runs], [run["id"] for run in runs]
            )
            ends = (row[f"success_rate_{end}_low"], row[f"success_rate_{end}_high"])
            assert ends == pytest.approx(bounds)
            edits = statistics.fmean(run["n_edits"] for run in won)
            drop = statistics.fmean(run["confidence_drop"] for run in won)
            assert row[f"mean_edits_{end}"] == pytest.approx(edits)
            assert row[f"mean_drop_{end}"] == pytest.approx(drop)
            if len({run["id"] for run in won}) > 1:
                assert row[f"mean_drop_{end}_low"] <= drop <= row[f"mean_drop_{end}_high"]
            else:
                assert np.isnan(row[f"mean_drop_{end}_low"])


def test_the_rates_are_those_of_the_rounds() -> None:
    told, found, _ = drawn(7)

    row = published_claim_table(told, found).iloc[1]

    for end, at in (("baseline", told.iloc[0]), ("last", told.iloc[-1])):
        assert row[f"success_rate_{end}"] == pytest.approx(at["success_drop_rate"])
        assert row[f"success_rate_{end}_low"] == pytest.approx(at["success_drop_rate_low"])
        assert row[f"clean_accuracy_{end}"] == at["accuracy"]
        assert row[f"clean_accuracy_{end}_high"] == at["accuracy_high"]


def test_the_interval_of_a_mean_resamples_sequences_with_all_their_runs() -> None:
    rng = np.random.default_rng(0)
    found = outcomes_of("d", {"black_box": [("FF", 40)]})
    own = found["attack"] == "black_box"
    counts = rng.integers(0, 4, size=40)
    # Sequences with more successes need more edits: a mean over sequences would be lower.
    sums = counts * (2.0 * counts + rng.uniform(0, 1, size=40))
    for when in ("before", "after"):
        found.loc[own, [f"n_runs_{when}"]] = 3.0
        found.loc[own, f"n_drops_{when}"] = counts
        found.loc[own, f"edits_of_drops_{when}"] = sums
        found.loc[own, f"size_of_drops_{when}"] = 0.3 * counts
    drawn_ids = rng.integers(40, size=(20_000, 40))
    expected = np.quantile(
        sums[drawn_ids].sum(axis=1) / counts[drawn_ids].sum(axis=1), [0.025, 0.975]
    )

    row = published_claim_table(last_rounds("d"), found).iloc[1]

    ends = (row["mean_edits_last_low"], row["mean_edits_last_high"])
    assert ends == pytest.approx(expected, abs=0.1)
    assert row["mean_drop_last"] == pytest.approx(0.3)


def test_sequences_that_nothing_was_tried_on_have_no_rate() -> None:
    found = outcomes_of("d", {"black_box": [("WW", 3)]}).fillna(0.0)

    row = published_claim_table(last_rounds("d"), found).iloc[1]

    assert (row["n"], row["n_runs_last"]) == (3, 0)
    assert row[["success_rate_last", "mean_edits_last", "mean_edits_last_low"]].isna().all()
    assert (row["success_rate_last_low"], row["success_rate_last_high"]) == (0, 1)


def test_a_leak_that_trained_on_nothing_has_an_empty_part() -> None:
    found = outcomes_of("d", {"black_box": [("FF", 3)]}).fillna(1.0)

    table = published_claim_table(last_rounds("d", adversary_source="test"), found)

    assert table["n"].tolist()[1:] == [3, 0, 3]
    assert np.isnan(table["success_rate_last"].iloc[2])


def test_order_of_rows_changes_nothing_and_defences_stand_as_asked_for() -> None:
    rng = np.random.default_rng(1)
    told, found, _ = drawn(3, adversary_source="test")
    both = [pd.concat([part, part.assign(defence="other")]) for part in (told, found)]
    mixed_up = [part.iloc[rng.permutation(len(part))] for part in both]

    table = published_claim_table(*both, ["other", "mixed"])

    assert_frame_equal(published_claim_table(*mixed_up, ["other", "mixed"]), table)
    assert table["protocol"].tolist() == ["as reported"] + ["other"] * 3 + ["mixed"] * 3
    assert table["sequences"].tolist()[1:4] == ["all", "trained on", "never trained on"]


def test_the_caption_defines_every_column_and_an_empty_table_has_them() -> None:
    told, found, _ = drawn(1)
    full, empty = (
        published_claim_table(told, found),
        published_claim_table(rounds.read([]), found[:0]),
    )

    caption = (CAPTIONS / "published_claim.rst").read_text()
    assert not [column for column in full if f"``{column}``" not in caption]
    assert list(empty) == list(full) and empty.empty
