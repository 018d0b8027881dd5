"""The table of detectors, against small ones computed by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy_detection_tables import (
    NATURAL,
    VALIDATION,
    attacked_expression,
    natural_expression,
    only,
    put,
    sequence_file,
    simulated,
    tabulate,
    toy,
)
from toy_expression_tables import cards

from genosiege.detection.options import TAILS
from genosiege.detection.tables import (
    attacks,
    detection_table,
    measures,
    reading,
)
from genosiege.expression.tables.intervals import columns


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "N_RESAMPLES", 200)


def test_what_is_too_natural_is_told_too(tmp_path: Path) -> None:
    """Scores beyond the lowest of natural ones raise the alarm, unless only high ones may."""
    ids = [f"s{i}" for i in range(5)]
    natural = natural_expression({"margin": np.arange(100.0)}, {"margin": [10.0, 30, 50, 70, 90]})
    path = put(tmp_path, [natural, attacked_expression(ids, {"margin": [-60.0] * 5})])

    both, upper = (
        only(detection_table.detection_table([path], [], cards("tcga"), tails), adversaries="all")
        for tails in TAILS
    )

    assert (upper["auroc"], upper["tpr_at_5"]) == (0, 0)
    assert (both["auroc"], both["tpr_at_5"], both["fpr_at_5"]) == (1, 1, 0)


def test_a_row_counts_by_hand(tmp_path: Path) -> None:
    path = toy(tmp_path, attacked_expression(["n0", "n1", "n2"], {"margin": [19.0, 20.0, 2.5]}))

    table = tabulate([path], [], cards("tcga"))

    row = only(table, adversaries="all")
    assert list(table) == detection_table.COLUMNS
    assert row[reading.PLACE].tolist() == ["expression", "tcga", "forest", "0"]
    assert row[["attack", "severity", "null", "detector"]].tolist() == [
        "fimba", "10", "clean", "margin",
    ]  # fmt: skip
    assert row[["n_validation", "n_natural", "n_adversaries"]].tolist() == [20, 5, 3]
    # Pairs won: 19 and 20 beat four of five, 2.5 two of them.
    assert row["auroc"] == pytest.approx(10 / 15)
    # 19 is not strictly above the threshold of 19.
    assert row["tpr_at_5"] == pytest.approx(1 / 3)
    assert row["fpr_at_5"] == pytest.approx(1 / 5)
    assert row["tpr_at_5_low"] < 1 / 3 < row["tpr_at_5_high"]
    assert row[[*columns("tpr_at_1"), "fpr_at_1"]].isna().all()


def test_adversaries_were_right_before_and_are_changed(tmp_path: Path) -> None:
    rows = attacked_expression(
        ["n0", "n1", "n2", "n3"],
        {"margin": [30.0, 0.0, 0.0, 30.0]},
        correct_before=[True, False, True, True],
        moved=[True, True, False, True],
        flipped=[True, False, False, False],
    )

    table = tabulate([toy(tmp_path, rows)], [], cards("tcga"))

    found = only(table, adversaries="all"), only(table, adversaries="successful")
    assert [row["n_adversaries"] for row in found] == [2, 1]
    assert [row["auroc"] for row in found] == [1, 1]


def test_an_attack_without_success_has_a_row_without_numbers(tmp_path: Path) -> None:
    rows = attacked_expression(["n0", "n1"], {"margin": [1.0, 2.0]}, flipped=False)

    row = only(tabulate([toy(tmp_path, rows)], [], cards("tcga")), adversaries="successful")

    assert row["n_adversaries"] == 0
    assert row[[*columns("auroc"), *columns("tpr_at_5")]].isna().all()
    assert row["fpr_at_5"] == pytest.approx(1 / 5)


def test_sets_of_random_features_are_one_setting(tmp_path: Path) -> None:
    sets = [
        attacked_expression(
            ["n0", "n1"], {"margin": [score, 0.0]}, features="random", feature_set=number
        )
        for number, score in enumerate((30.0, 0.0, 30.0))
    ]

    row = only(tabulate([toy(tmp_path, *sets)], [], cards("tcga")), adversaries="all")

    assert row["n_adversaries"] == 6
    assert row["tpr_at_5"] == pytest.approx(2 / 6)
    # Two ids, not six samples: as wide as two trials.
    assert row["tpr_at_5_high"] - row["tpr_at_5_low"] > 0.7


def test_settings_are_kept_apart(tmp_path: Path) -> None:
    parts = [
        attacked_expression(["n0"], {"margin": [1.0]}, **change)
        for change in (
            {}, {"k": 20}, {"t": 1.0}, {"attack": "vae", "values": "decoded"},
            {"targets": "error"}, {"features": "random", "importance": "none"},
            {"values": "uniform", "targets": "none", "t": np.nan},
        )
    ]  # fmt: skip

    table = tabulate([toy(tmp_path, *parts)], [], cards("tcga"))

    assert len(table) == 2 * len(parts)
    assert len(table.drop_duplicates([*attacks.ATTACK, "adversaries"])) == len(table)
    assert (table["n_adversaries"] == 1).all()


def test_thresholds_never_see_attacked_or_test_data(tmp_path: Path) -> None:
    ids = ["n0", "n1", "n2"]
    first = toy(tmp_path / "a", attacked_expression(ids, {"margin": [18.5, 19.5, 30.0]}))
    worse = toy(tmp_path / "b", attacked_expression(ids, {"margin": [18.5, 19.5, 9e9]}))
    shifted = {"margin": np.array(NATURAL["margin"]) + 100}
    other = put(
        tmp_path / "c",
        [
            natural_expression(VALIDATION, shifted),
            attacked_expression(ids, {"margin": [18.5, 19.5, 30.0]}),
        ],
    )

    rows = [
        only(tabulate([path], [], cards("tcga")), adversaries="all")
        for path in (first, worse, other)
    ]

    rates = [*columns("tpr_at_5")]
    assert rows[0][[*rates, "fpr_at_5"]].tolist() == rows[1][[*rates, "fpr_at_5"]].tolist()
    assert rows[0][rates].tolist() == rows[2][rates].tolist()
    assert rows[2]["fpr_at_5"] == 1


def test_a_leak_is_named_with_its_targets(tmp_path: Path) -> None:
    parts = [
        attacked_expression(["n0"], {"margin": [1.0]}, targets=targets)
        for targets in ("opposite", "test_error")
    ]

    table = tabulate([toy(tmp_path, *parts)], [], cards("tcga", upstream_leak=True))

    leaks = table.drop_duplicates("targets").set_index("targets")["leak"]
    assert leaks.to_dict() == {"opposite": "upstream", "test_error": "upstream; test targets"}


def test_equal_detectors_stay_within_chance_and_good_ones_near_the_truth(tmp_path: Path) -> None:
    path = simulated(tmp_path, 0, shift=1.0, n=150, ks=[10])

    table = tabulate([path], [], cards("tcga"))

    blind = only(table, adversaries="all", detector="margin")
    good = only(table, adversaries="all", detector="mahalanobis")
    assert blind["auroc_low"] < 0.5 < blind["auroc_high"]
    assert good["auroc_low"] < 0.7602 < good["auroc_high"]
    assert table["detector"].unique().tolist() == ["mahalanobis", "margin"]


# Seeds ------------------------------------------------------------------------------


def test_seeds_are_averaged_with_the_same_ids_drawn(tmp_path: Path) -> None:
    paths = [simulated(tmp_path, seed, shift=1.0) for seed in (0, 1)]

    table = tabulate(paths, [], cards("tcga", seeds=(0, 1)))

    assert table["seed"].unique().tolist() == ["0", "1", "all"]
    keys = {"adversaries": "successful", "detector": "mahalanobis", "severity": "20"}
    first, second, both = (only(table, seed=seed, **keys) for seed in ("0", "1", "all"))
    for name in ("auroc", "tpr_at_5", "fpr_at_5"):
        assert both[name] == pytest.approx((first[name] + second[name]) / 2)
    assert both["n_adversaries"] == first["n_adversaries"] + second["n_adversaries"] == 60
    assert both["auroc_low"] < both["auroc"] < both["auroc_high"]


def test_a_seed_that_repeats_another_adds_nothing(tmp_path: Path) -> None:
    paths = [simulated(tmp_path, 0, shift=1.0)]
    copied = Path(paths[0].replace("seed0", "seed1"))
    copied.parent.mkdir()
    copied.write_bytes(Path(paths[0]).read_bytes())

    table = tabulate([*paths, str(copied)], [], cards("tcga", seeds=(0, 1)))

    names = [*columns("auroc"), *columns("tpr_at_5")]
    one, both = (table[table["seed"] == seed][names].to_numpy() for seed in ("0", "all"))
    np.testing.assert_allclose(one, both, atol=1e-12)


def test_other_ids_narrow_the_interval(tmp_path: Path) -> None:
    paths = [simulated(tmp_path, seed, shift=1.0) for seed in (0, 1)]
    renamed = pd.read_parquet(paths[1])
    renamed["id"] = "other " + renamed["id"]
    renamed.to_parquet(paths[1])

    table = tabulate(paths, [], cards("tcga", seeds=(0, 1)))

    keys = {"adversaries": "all", "detector": "mahalanobis", "severity": "20"}
    one, both = (only(table, seed=seed, **keys) for seed in ("0", "all"))
    widths = [row["auroc_high"] - row["auroc_low"] for row in (one, both)]
    assert widths[1] < 0.85 * widths[0]


def test_all_genes_are_one_severity_in_all_seeds(tmp_path: Path) -> None:
    made = cards("tcga", seeds=(0, 1))
    made.cards["tcga", 1]["genes"]["kept"] = 19  # type: ignore[index]
    paths = [simulated(tmp_path, seed, shift=1.0, ks=[10, 20 - seed]) for seed in (0, 1)]

    table = tabulate(paths, [], made)

    assert table[table["seed"] == "all"]["severity"].unique().tolist() == ["10", "20"]
    assert table[table["seed"] == "1"]["severity"].unique().tolist() == ["10", "19"]


def test_a_detector_of_one_seed_has_no_mean(tmp_path: Path) -> None:
    paths = [simulated(tmp_path, seed, shift=1.0) for seed in (0, 1)]
    pd.read_parquet(paths[1]).drop(columns="score_margin").to_parquet(paths[1])

    table = tabulate(paths, [], cards("tcga", seeds=(0, 1)))

    assert set(table[table["seed"] == "all"]["detector"]) == {"mahalanobis"}
    assert set(table[table["seed"] == "0"]["detector"]) == {"mahalanobis", "margin"}


def test_tables_are_the_same_again(tmp_path: Path) -> None:
    paths = [simulated(tmp_path, seed, shift=1.0) for seed in (0, 1)]
    made = cards("tcga", seeds=(0, 1))

    pd.testing.assert_frame_equal(tabulate(paths, [], made), tabulate(paths[::-1], [], made))


# Sequences --------------------------------------------------------------------------


def test_adversaries_are_told_from_clean_sequences_and_from_their_mutants(tmp_path: Path) -> None:
    table = tabulate([], [sequence_file(tmp_path)], cards())

    found = table[(table["attack"] == "genetic") & (table["adversaries"] == "all")]
    clean = found[found["null"] == "clean"].set_index("severity")
    mutants = found[found["null"] == "mutants"].set_index("severity")
    assert clean["n_adversaries"].to_dict() == {"all": 3, "1": 1, "2-3": 1, "4+": 1}
    assert clean["n_natural"].unique().tolist() == [3]
    assert mutants["n_natural"].to_dict() == {"all": 6, "1": 2, "2-3": 2, "4+": 2}
    assert clean["auroc"].to_dict() == pytest.approx({"all": 8 / 9, "1": 2 / 3, "2-3": 1, "4+": 1})
    # 1.5 beats no mutant, 30 four of six, 40 five of six.
    assert mutants["auroc"].to_dict() == pytest.approx({"all": 0.5, "1": 0, "2-3": 0.5, "4+": 0.5})
    # Mutants above 19: 31, 29 and 50; of their own adversaries only.
    assert mutants["fpr_at_5"].to_dict() == pytest.approx({"all": 0.5, "1": 0, "2-3": 1, "4+": 0.5})
    assert clean["tpr_at_5"].to_dict() == mutants["tpr_at_5"].to_dict()
    row = only(table, attack="genetic", adversaries="successful", null="mutants", severity="all")
    assert row[["n_adversaries", "n_natural"]].tolist() == [2, 4]
    assert row[[*reading.PLACE, "leak"]].tolist() == ["sequence", "prom", "cnn", "0", ""]


def test_an_attack_without_mutants_has_no_number_beside_them(tmp_path: Path) -> None:
    table = tabulate([], [sequence_file(tmp_path)], cards())

    row = only(table, attack="random", adversaries="all", null="mutants", severity="all")
    assert row[["n_adversaries", "n_natural"]].tolist() == [1, 0]
    assert np.isnan(row["auroc"])
