"""Report tables against small tables computed by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_tables import attack_row, flip, metrics, skipped

from genosiege import files
from genosiege.errors import InputError
from genosiege.sequence import positions, results, summaries
from genosiege.sequence.results import AttackResult
from genosiege.sequence.warning_signs import warnings_table, with_codes
from genosiege.statistics import wilson_interval

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"


def result(rows: list[dict[str, Any]], seed: int = 0) -> AttackResult:
    place = ("promoters", "cnn", seed, "baseline", "genetic", "test")
    return AttackResult(*place, pd.DataFrame(rows), search_flips_lost=2)


@pytest.fixture
def one_attack_seed() -> AttackResult:
    return result([flip("a", 1), flip("b", 4), attack_row("c"), skipped("d")])


def test_attack_summary_of_one_attack_seed(one_attack_seed: AttackResult) -> None:
    row = summaries.attacks_table([one_attack_seed]).iloc[0]

    counts = ["n_sequences", "n_attack_seeds", "n_correct", "n_runs", "n_flips"]
    assert row[counts].tolist() == [4, 1, 3, 3, 2]
    assert row["clean_accuracy"] == 0.75
    assert row["robust_accuracy"] == 0.25
    low, high = wilson_interval(1, 4)
    assert row["robust_accuracy_low"] == pytest.approx(low)
    assert row["robust_accuracy_high"] == pytest.approx(high)
    assert row["flip_rate"] == pytest.approx(2 / 3)
    assert row["flip_rate_high"] == pytest.approx(wilson_interval(2, 3).high)
    assert row["success_drop_rate"] == pytest.approx(2 / 3)
    medians = ["median_edits", "median_queries", "median_queries_success", "median_queries_unique"]
    assert row[medians].tolist() == [2.5, 20, 20, 10]
    assert row["mean_confidence_drop"] == pytest.approx(1.3 / 3)
    assert row["mean_confidence_drop_low"] < 1.3 / 3 < row["mean_confidence_drop_high"]
    assert row["flips_lost_on_rescoring"] == 2
    assert row[["stop_success", "stop_patience", "stop_exhausted"]].tolist() == [2, 1, 0]


def test_runs_whose_pruning_was_cut_short_are_counted_last() -> None:
    rows = [flip("a", 4, pruned="cut"), flip("b", 4), flip("c", 12, pruned="cut"), skipped("d")]
    attacks = summaries.attacks_table([result(rows), result([attack_row("a")], seed=1)])

    table = with_codes(attacks, warnings_table([], {}))

    assert table["n_pruning_cut"].tolist() == [2, 0]
    assert list(table)[-2:] == ["warnings", "n_pruning_cut"]


def test_each_attack_seed_counts_and_the_interval_does_not_shrink() -> None:
    once = [flip("a", 1), flip("b", 4), attack_row("c"), skipped("d")]
    again = [row | {"attack_seed": 1} for row in once]

    single = summaries.attacks_table([result(once)]).iloc[0]
    double = summaries.attacks_table([result(once + again)]).iloc[0]

    assert double[["n_sequences", "n_attack_seeds", "n_correct", "n_runs"]].tolist() == [4, 2, 3, 6]
    for name in ("clean_accuracy", "robust_accuracy", "flip_rate"):
        columns = [name, f"{name}_low", f"{name}_high"]
        assert double[columns].tolist() == pytest.approx(single[columns].tolist())


def test_attack_on_a_model_that_knows_nothing_has_no_flip_rate() -> None:
    row = summaries.attacks_table([result([skipped("a"), skipped("b")])]).iloc[0]

    assert row["robust_accuracy"] == 0
    assert np.isnan(row["flip_rate"])
    assert (row["flip_rate_low"], row["flip_rate_high"]) == (0, 1)
    assert np.isnan(row["mean_confidence_drop_low"])


def test_attack_without_a_success_has_no_median_of_edits() -> None:
    row = summaries.attacks_table([result([attack_row("a"), attack_row("b")])]).iloc[0]

    assert row["robust_accuracy"] == 1
    assert np.isnan(row["median_edits"])


def test_robust_accuracy_falls_where_the_flips_lie(
    one_attack_seed: AttackResult,
) -> None:
    curve = summaries.robust_accuracy_table([one_attack_seed])

    assert curve["edit_budget"].tolist() == list(range(11))
    assert curve["robust_accuracy"].tolist() == [0.75] + [0.5] * 3 + [0.25] * 7
    assert set(curve["seed"]) == {"0"}
    assert curve["robust_accuracy_high"].iloc[0] == pytest.approx(wilson_interval(3, 4).high)


def test_the_curve_ends_where_the_attack_was_not_allowed_to_go(
    one_attack_seed: AttackResult,
) -> None:
    curve = summaries.robust_accuracy_table([one_attack_seed._replace(max_edits=4)])

    assert curve["edit_budget"].tolist() == [0, 1, 2, 3, 4]


def test_several_model_seeds_add_their_mean_to_the_curve() -> None:
    results = [result([flip("a", 1), attack_row("b")], 3), result([flip("a", 2), flip("b", 2)], 1)]

    curve = summaries.robust_accuracy_table(results)

    assert curve["seed"].drop_duplicates().tolist() == ["1", "3", "all"]
    mean = curve[curve["seed"] == "all"]["robust_accuracy"].tolist()
    assert mean == [1.0, 0.75] + [0.25] * 9


def test_seeds_are_summarised_as_mean_and_standard_deviation() -> None:
    baseline = summaries.baseline_table([metrics(0, 0.8), metrics(1, 0.9)])
    results = [result([flip("a", 1), attack_row("b")], 0), result([flip("a", 2), flip("b", 2)], 1)]

    table = summaries.seeds_table(baseline, results).set_index("measure")

    assert table.loc["accuracy", ["n_seeds", "mean", "sd"]].tolist() == pytest.approx(
        [2, 0.85, 0.05 * 2**0.5]
    )
    assert table.loc["robust_accuracy", ["mean", "sd"]].tolist() == pytest.approx(
        [0.25, 0.25 * 2**0.5]
    )
    assert table.loc["robust_accuracy", "low"] < 0.25 < table.loc["robust_accuracy", "high"]
    assert np.isnan(table.loc["accuracy", "low"])


def test_one_seed_has_no_standard_deviation(one_attack_seed: AttackResult) -> None:
    table = summaries.seeds_table(summaries.baseline_table([metrics(0, 0.8)]), [one_attack_seed])

    assert table["sd"].isna().all()


def test_baseline_table_sorts_models_and_adds_wilson_intervals() -> None:
    table = summaries.baseline_table([metrics(1, 0.9), metrics(0, 0.8)])

    assert table["seed"].tolist() == [0, 1]
    assert table["accuracy_low"].iloc[0] == pytest.approx(wilson_interval(80, 100).low)
    assert table["parameters_frozen"].tolist() == [90, 90]
    added = ["mcc_low", "mcc_high", "n_predicted_classes", "majority_share"]
    assert list(table)[-6:] == [*added, "better_than_chance", "input_check"]
    assert table.iloc[0, -6:].tolist() == [0.44, 0.75, 2, 0.5, True, "passed"]


@pytest.mark.parametrize("lacking", ["mcc_interval", "input_check", "accuracy"])
def test_metrics_of_another_version_are_refused_by_file_and_name(
    lacking: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "metrics.json")
    known = metrics(0, 0.8)
    files.write_json(known, path)
    assert results.read_metrics(path) == known

    files.write_json({name: value for name, value in known.items() if name != lacking}, path)

    message = refusal(results.read_metrics, path)
    assert message == f"{path}: {lacking} is missing; make this file again."


CARD = {
    "n_classes": 2,
    "splits": {
        split: {
            "rows": {"official": 12, "used": 10},
            "class_balance": {"official": {"0": 6, "1": 6}, "used": {"0": 4, "1": 6}},
            "length": {"min": 70, "median": 70.0, "max": 71},
            "duplicates": 3,
            "conflicting_labels": 1,
            "ambiguous_characters": {"N": 2, "R": 1},
        }
        for split in ("train", "test")
    },
    "overlaps": [{"splits": ["train", "test"], "sequences": 2, "rows": [5, 2]}],
    "split": "official",
    "leakage": {
        "groups": {"number": 17, "largest": 4, "rows_in_groups_of_several": 9},
        "constructed_negatives": True,
        "pairs": {"counted": True, "pairs": 9, "opposite": 8},
        "official": {"test": {"rows": 12, "relatives_in": {"train": {"any": 7, "group": 8}}}},
        "used": {
            "train": {"rows": 10, "relatives_in": {"test": {"any": 5, "group": 6}}},
            "test": {
                "rows": 10,
                "relatives_in": {"train": {"blocks": 2, "any": 3, "group": 4}},
                "labels_of_relatives_in": {
                    "train": {
                        "blocks": {"same": 0, "other": 1, "both": 1},
                        "any": {"same": 0, "other": 2, "both": 1},
                    }
                },
            },
        },
    },
}


def test_data_table_counts_overlaps_from_the_side_of_each_split() -> None:
    table = summaries.data_table({"promoters": CARD}).set_index("split")

    assert table.loc["train", "overlap_test"] == 5
    assert table.loc["test", "overlap_train"] == 2
    assert table["overlap_dev"].isna().all()
    assert table.loc["test", "class_counts"] == "0:4;1:6"
    assert table.loc["test", ["n_official", "n_used"]].tolist() == [12, 10]
    assert table.loc["test", "ambiguous_characters"] == 3


def test_data_table_says_which_share_of_a_split_has_relatives_in_train() -> None:
    table = summaries.data_table({"promoters": CARD}).set_index("split")

    found = table.loc["test", ["split_kind", "n_groups", "largest_group"]]
    assert found.tolist() == ["official", 17, 4]
    assert table.loc["test", "leaked_train"] == 3
    assert table.loc["test", "leaked_train_share"] == 0.3
    # Wilson's interval of 3 of 10, from a table.
    low, high = table.loc["test", ["leaked_train_share_low", "leaked_train_share_high"]]
    assert (round(low, 4), round(high, 4)) == (0.1078, 0.6032)
    assert table.loc["train", ["leaked_train", "leaked_train_share"]].isna().all()


def test_data_table_says_whose_labels_relatives_carry() -> None:
    table = summaries.data_table({"promoters": CARD}).set_index("split")

    of_task = ["constructed_negatives", "pairs", "pairs_opposite"]
    of_split = [
        "relatives_same", "relatives_other", "relatives_both", "block_relatives",
        "block_relatives_other",
    ]  # fmt: skip
    assert table.loc["test", of_task].tolist() == [True, 9, 8]
    assert table.loc["test", of_split].tolist() == [0, 2, 1, 2, 1]
    assert table.loc["train", of_task].tolist() == [True, 9, 8]
    assert table.loc["train", of_split].isna().all()
    assert table.columns.tolist()[-8:] == [*of_split[:3], *of_task, *of_split[3:]]


def test_data_table_leaves_out_pairs_that_were_too_many_to_count() -> None:
    nothing = {"constructed_negatives": None, "pairs": {"pairs": None, "opposite": None}}
    many = CARD | {"leakage": CARD["leakage"] | nothing}

    table = summaries.data_table({"many": many, "promoters": CARD})

    columns = ["constructed_negatives", "pairs", "pairs_opposite"]
    assert table.loc[table["task"] == "many", columns].isna().all(axis=None)
    assert table.to_csv(index=False).splitlines()[2].endswith(",0,2,1,,,,2,1")


def test_every_column_is_defined_in_its_caption(one_attack_seed: AttackResult) -> None:
    baseline = summaries.baseline_table([metrics(0, 0.8)])
    tables = {
        "data": summaries.data_table({"promoters": CARD}),
        "baseline": baseline,
        "attacks": summaries.attacks_table([one_attack_seed]),
        "robust_accuracy": summaries.robust_accuracy_table([one_attack_seed]),
        "seeds": summaries.seeds_table(baseline, [one_attack_seed]),
    }
    for name, table in tables.items():
        caption = (CAPTIONS / f"{name}.rst").read_text()
        missing = [column for column in table if f"``{column}``" not in caption]
        assert not missing, f"{name}.rst does not define {missing}"


def test_a_run_that_asks_for_nothing_has_empty_tables() -> None:
    baseline = summaries.baseline_table([])
    made = [
        summaries.data_table({}),
        baseline,
        summaries.attacks_table([]),
        summaries.robust_accuracy_table([]),
        summaries.seeds_table(baseline, []),
    ]

    assert all(table.empty and "task" in table for table in made)


def test_edit_positions_keep_the_row_they_came_from() -> None:
    found = positions.edit_positions(pd.Series(["12:A>G;40:C>T", "", "3:G>A"]))

    assert list(found.items()) == [(0, 12), (0, 40), (2, 3)]


@pytest.mark.parametrize("edits", ["12", "x:A>G", "1:A>G,2:A>G"])
def test_edit_positions_refuse_what_is_no_edit(edits: str) -> None:
    with pytest.raises(InputError, match="an edit is written"):
        positions.edit_positions(pd.Series([edits]))


def test_edits_in_one_half_are_twice_as_dense_there() -> None:
    rows = pd.DataFrame([flip(str(number), 10) for number in range(50)])

    density = positions.edit_density(rows, 2, np.random.default_rng(0))

    assert density.edges.tolist() == [0, 10, 20]
    assert density.fold.tolist() == [2.0, 0.0]
    assert density.null_high[0] < 2 and density.null_low[1] > 0


def test_evenly_spread_edits_stay_within_the_band_of_an_even_spread() -> None:
    generator = np.random.default_rng(1)
    edits = [f"{position}:A>G" for position in generator.integers(300, size=2000)]
    rows = pd.DataFrame({"id": range(2000), "original": "A" * 300, "edits": edits})

    density = positions.edit_density(rows, 20, generator)

    inside = (density.null_low <= density.fold) & (density.fold <= density.null_high)
    assert inside.sum() >= 17
    assert ((density.low < 1) & (density.high > 1)).sum() >= 17


def test_the_interval_of_a_fold_resamples_both_its_sides():
    # Every row has one edit in the first tenth, half of them nine elsewhere.
    few, many = "0:A>G", ";".join(f"{p}:A>G" for p in (0, *range(10, 19)))
    rows = pd.DataFrame([flip(f"test:{i}", 1, edits=many if i % 2 else few) for i in range(60)])
    rows["original"] = "A" * 20

    density = positions.edit_density(rows, 10, np.random.default_rng(0))
    whole = positions.edit_density(rows, 1, np.random.default_rng(0))

    assert density.low[0] < density.fold[0] - 0.2 < density.fold[0] + 0.2 < density.high[0]
    assert whole.low[0] == whole.fold[0] == whole.high[0] == 1


def test_density_of_one_sequence_has_no_interval() -> None:
    density = positions.edit_density(pd.DataFrame([flip("a", 3)]), 5, np.random.default_rng(0))

    assert np.isnan([density.low, density.high]).all()
    assert np.isfinite([density.fold, density.null_low, density.null_high]).all()


@pytest.mark.parametrize("copies", [1, 3])
def test_one_bin_in_twenty_is_outside_the_band_by_chance(copies: int) -> None:
    generator = np.random.default_rng(2)
    outside = []
    for _ in range(20):
        edits = [f"{position}:A>G" for position in generator.integers(300, size=300)]
        # As when several models, or attack seeds, find the same weak point of a sequence.
        once = pd.DataFrame({"id": range(300), "original": "A" * 300, "edits": edits})
        density = positions.edit_density(pd.concat([once] * copies), 15, generator)
        outside.append((density.fold < density.null_low) | (density.fold > density.null_high))

    assert 0.02 < np.mean(outside) < 0.08
