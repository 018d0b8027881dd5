"""Tables of detection, against small ones computed by hand, and what their intervals cover."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_detection_tables import (
    adaptive,
    attacked_expression,
    natural_expression,
    put,
    sequences,
    simulated,
)
from toy_expression_tables import cards

from genosiege.detection.operating_points import Side, alarms, count_alarms, resamples
from genosiege.detection.options import TAILS, UPPER
from genosiege.detection.roc import aurocs
from genosiege.detection.tables import (
    adaptive_table,
    attacks,
    best_table,
    detection_table,
    measures,
    reading,
    roc_table,
)
from genosiege.detection.tables.best_table import best_detector
from genosiege.detection.tables.measures import Auroc, Rate, auroc_interval
from genosiege.expression.tables.intervals import columns
from genosiege.statistics import wilson_interval

# High scores alone are suspicious here, so that all can be worked out from ranks.
tabulate = partial(detection_table.detection_table, tails=UPPER)
tabulate_adaptive = partial(adaptive_table.adaptive_table, tails=UPPER)

Z = 1.959963984540054
# 20 validation samples: the threshold of 5 % is 19, that of 1 % is not attained.
VALIDATION = {"margin": np.arange(20.0)}
# One of 5 natural samples above it.
NATURAL = {"margin": [1.0, 2.0, 3.0, 4.0, 25.0]}


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


def toy(root: Path, *parts: pd.DataFrame, seed: int = 0) -> str:
    return put(root, [natural_expression(VALIDATION, NATURAL), *parts], seed=seed)


def only(table: pd.DataFrame, **values: Any) -> "pd.Series[Any]":
    for name, value in values.items():
        table = table[table[name] == value]
    ((_, row),) = table.iterrows()
    return row


# Intervals --------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "m", "n"), [(0.8, 50, 50), (1.0, 30, 12), (0.93, 5, 200)])
def test_the_ends_of_an_auroc_are_z_standard_errors_away(value: float, m: int, n: int) -> None:
    low, high = auroc_interval(value, m, n)

    def variance(theta: float) -> float:
        more = (m + n) / 2 - 1
        first, second = (1 - theta) / (2 - theta), theta / (1 + theta)
        return theta * (1 - theta) * (1 + more * first + more * second) / (m * n)

    assert low < value
    assert value - low == pytest.approx(Z * np.sqrt(variance(low)))
    assert high - value == pytest.approx(Z * np.sqrt(variance(high)), abs=1e-9)


def test_an_auroc_of_one_pair_is_a_trial() -> None:
    assert auroc_interval(1.0, 1, 1) == pytest.approx(wilson_interval(1, 1))


def test_the_interval_of_an_auroc_turns_around() -> None:
    low, high = auroc_interval(0.7, 8, 20)

    assert auroc_interval(0.3, 20, 8) == pytest.approx((1 - high, 1 - low))


def rate_of(hits: list[bool], resampled: list[float]) -> Rate:
    return Rate(np.array([np.mean(hits), *resampled]), np.array(hits), np.arange(len(hits)))


def test_a_rate_between_0_and_1_takes_percentiles() -> None:
    rate = rate_of([True] * 6 + [False] * 6, list(np.linspace(0, 1, 201)))

    assert list(measures.rates("x", [rate]).values()) == pytest.approx([0.5, 0.025, 0.975])


def test_a_rate_of_1_takes_the_wider_interval() -> None:
    unmoved = measures.rates("x", [rate_of([True] * 30, [1.0] * 50)])
    moved = measures.rates("x", [rate_of([True] * 30, [0.2] * 50)])

    assert (unmoved["x_low"], unmoved["x_high"]) == pytest.approx(wilson_interval(30, 30))
    assert (moved["x_low"], moved["x_high"]) == (0.2, 1.0)


def test_few_clusters_take_the_wider_interval() -> None:
    found = measures.rates("x", [rate_of([True, False, False], [1 / 3] * 50)])

    assert list(found.values()) == pytest.approx([1 / 3, *wilson_interval(1, 3)])


def test_an_auroc_that_no_resample_moves_has_an_interval() -> None:
    ids = np.arange(40)
    constant = measures.aurocs("x", [Auroc(np.full(51, 0.5), ids, ids)])
    perfect = measures.aurocs("x", [Auroc(np.full(51, 1.0), ids, ids[:12])])

    assert (constant["x_low"], constant["x_high"]) == auroc_interval(0.5, 40, 40)
    assert (perfect["x_low"], perfect["x_high"]) == auroc_interval(1.0, 40, 12)


def test_the_mean_is_over_the_seeds_that_have_a_value() -> None:
    ids = np.arange(40)
    seeds = [Auroc(np.full(21, value), ids, ids) for value in (0.6, np.nan, 0.8)]

    assert measures.aurocs("x", seeds)["x"] == pytest.approx(0.7)
    assert np.isnan([*measures.aurocs("x", seeds[1:2]).values()]).all()
    assert np.isnan([*measures.rates("x", []).values()]).all()


def test_a_resample_without_samples_of_one_seed_is_the_mean_of_the_others() -> None:
    ids = np.arange(40)
    full, gaps = np.tile([0.2, 0.4], 101), np.tile([0.6, np.nan], 101)
    seeds = [Auroc(values, ids, ids) for values in (full, gaps)]

    found = measures.aurocs("x", seeds)

    # All means are 0.4: no spread, so that the interval is the analytic one.
    assert list(found.values()) == pytest.approx([0.4, *auroc_interval(0.4, 40, 40)])


@pytest.mark.parametrize(("n", "shift", "true"), [(40, 1.0, 0.7602), (25, 3.5, 0.99333)])
def test_intervals_of_auroc_cover_the_truth(n: int, shift: float, true: float) -> None:
    rng = np.random.default_rng(n)
    inside = 0
    for _ in range(200):
        drawn = resamples(np.arange(n), 200, rng)
        natural = Side(rng.normal(size=n), np.arange(n))
        attacked = Side(rng.normal(shift, 1, n), np.arange(n))
        area = aurocs(natural, [attacked], drawn)[0]
        found = measures.aurocs("x", [Auroc(area, natural.clusters, attacked.clusters)])
        inside += found["x_low"] <= true <= found["x_high"]

    assert inside / 200 > 0.88


def test_intervals_of_a_rate_cover_what_other_validation_data_would_give() -> None:
    rng = np.random.default_rng(11)
    n, v, shift = 60, 59, 2.0
    inside = 0
    # Rank 3 of 59: what a threshold over many validation sets gives on average.
    highs = np.sort(rng.normal(size=(4000, v)), axis=1)[:, -3]
    true = float(np.mean(rng.normal(shift, 1, (4000, 25)) > highs[:, None]))
    for _ in range(200):
        drawn = resamples(np.arange(n + v), 200, rng)
        validation = Side(rng.normal(size=v), n + np.arange(v))
        attacked = Side(rng.normal(shift, 1, n), np.arange(n))
        alarm = alarms(validation, 0.05, drawn, UPPER)
        values = count_alarms(attacked, alarm, drawn).share
        rate = Rate(values, alarm.rings(attacked.scores)[0], attacked.clusters)
        found = measures.rates("x", [rate])
        inside += found["x_low"] <= true <= found["x_high"]

    assert inside / 200 > 0.88


# Detection --------------------------------------------------------------------------


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


def sequence_file(root: Path, seed: int = 0) -> str:
    return put(
        root,
        [
            sequences("validation", [f"dev:{i}" for i in range(20)], {"kmer": np.arange(20.0)}),
            sequences("natural", ["a", "b", "c"], {"kmer": [0.0, 1.0, 2.0]}),
            sequences(
                "adversary", ["a", "b", "c"], {"kmer": [1.5, 30.0, 40.0]},
                n_edits=[1, 3, 9], flipped=[True, False, True],
            ),
            sequences("mutant", ["a", "b", "c"], {"kmer": [9.0, 31.0, 8.0]}, n_edits=[1, 3, 9]),
            sequences("mutant", ["a", "b", "c"], {"kmer": [9.0, 29.0, 50.0]}, n_edits=[1, 3, 9],
                      copy=2),
            sequences("adversary", ["a"], {"kmer": [5.0]}, attack="random", n_edits=2),
        ],
        arm="sequence", data="prom", model="cnn", seed=seed,
    )  # fmt: skip


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


# Adaptive ---------------------------------------------------------------------------


def adaptive_file(root: Path, seed: int = 0, few: bool = False) -> str:
    names = [f"n{i}" for i in range(4)]
    flips = [True, True, True, False]
    validation = {"margin": np.arange(10.0 if few else 20.0)}
    return put(
        root,
        [
            adaptive("validation", [f"v{i}" for i in range(len(validation["margin"]))], validation),
            adaptive("natural", names, {"margin": [0.0, 1.0, 2.0, 25.0]}),
            adaptive("attacked", names, {"margin": [30.0, 40.0, 19.0, 50.0]}, flipped=flips,
                     suspicion=[1.0, 2.0, 3.0, 90.0], l0=[1.0, 2.0, 6.0, 90.0]),
            adaptive("attacked", names, {"margin": [3.0, 40.0, 2.0, 0.0]}, flipped=flips,
                     penalty=1.0),
            adaptive("attacked", names, {"margin": [0.0] * 4}, flipped=False, penalty=2.0),
        ],
        "adaptive.parquet", seed=seed,
    )  # fmt: skip


def test_an_adaptive_attack_counts_by_hand(tmp_path: Path) -> None:
    table = tabulate_adaptive([adaptive_file(tmp_path)], [], cards("tcga"))

    assert list(table) == adaptive_table.COLUMNS
    assert table["penalty"].tolist() == [0, 1, 2]
    plain, hiding, none = (row for _, row in table.iterrows())
    names = ["n", "success", "detected_at_5", "undetected_success"]
    assert plain[names].tolist() == pytest.approx([4, 3 / 4, 2 / 3, 1 / 4])
    assert hiding[names].tolist() == pytest.approx([4, 3 / 4, 1 / 3, 2 / 4])
    assert none[["n", "success", "undetected_success"]].tolist() == [4, 0, 0]
    assert plain["mean_suspicion"] == 2
    assert plain["mean_severity"] == 3
    # Of the flips 30 and 40 beat all four, 19 three.
    assert plain["auroc"] == pytest.approx(11 / 12)
    assert none[[*columns("detected_at_5"), *columns("auroc"), "mean_severity"]].isna().all()
    assert none["success_high"] > 0.3


def test_without_a_threshold_nothing_is_said_of_detection(tmp_path: Path) -> None:
    table = tabulate_adaptive([adaptive_file(tmp_path, few=True)], [], cards("tcga"))

    hidden = [*columns("detected_at_5"), *columns("undetected_success")]
    assert table[hidden].isna().all(axis=None)
    assert table["success"].tolist() == pytest.approx([0.75, 0.75, 0])


def test_each_attack_is_judged_by_the_detector_that_it_evades(tmp_path: Path) -> None:
    ids = [f"n{i}" for i in range(3)]
    both = {"margin": np.arange(20.0), "vae": -np.arange(20.0)}
    parts = [
        adaptive("validation", [f"v{i}" for i in range(20)], both),
        adaptive("natural", ids, {"margin": [0.0] * 3, "vae": [-9.0] * 3}),
        adaptive("attacked", ids, {"margin": [30.0] * 3, "vae": [-20.0] * 3}),
        adaptive("attacked", ids, {"margin": [30.0] * 3, "vae": [-20.0] * 3}, detector="vae"),
    ]

    table = tabulate_adaptive([put(tmp_path, parts, "adaptive.parquet")], [], cards("tcga"))

    found = table.set_index("detector")
    assert found["auroc"].to_dict() == {"margin": 1, "vae": 0}
    assert found["undetected_success"].to_dict() == {"margin": 0, "vae": 1}


def test_sequences_count_edits_and_no_mutants(tmp_path: Path) -> None:
    dev = [f"dev:{i}" for i in range(20)]
    parts = [
        adaptive("validation", dev, {"kmer": np.arange(20.0)}, "sequence"),
        adaptive("natural", ["a", "b"], {"kmer": [0.0, 1.0]}, "sequence"),
        adaptive("mutant", ["a", "b"], {"kmer": [90.0, 91.0]}, "sequence"),
        adaptive("attacked", ["a", "b"], {"kmer": [5.0, 25.0]}, "sequence", n_edits=[2, 4]),
    ]
    path = put(tmp_path, parts, "adaptive.parquet", "prom", "cnn", arm="sequence")

    ((_, row),) = tabulate_adaptive([], [path], cards()).iterrows()

    assert row[["arm", "seed", "leak", "n"]].tolist() == ["sequence", "0", "", 2]
    assert row[["auroc", "undetected_success", "mean_severity"]].tolist() == [1, 0.5, 3]


# The best ---------------------------------------------------------------------------


def test_the_best_detector_comes_with_its_worst_attacker(tmp_path: Path) -> None:
    detection = tabulate(
        [toy(tmp_path, attacked_expression(["n0", "n1", "n2"], {"margin": [19.0, 20.0, 2.5]}))],
        [], cards("tcga"),
    )  # fmt: skip
    evaded = tabulate_adaptive([adaptive_file(tmp_path)], [], cards("tcga"))

    ((_, row),) = best_detector(detection, evaded).iterrows()

    assert row["detector"] == "margin"
    assert row["adversaries"] == "successful"
    assert row["auroc"] == pytest.approx(10 / 15)
    names = ["adaptive_penalty", "adaptive_n", "undetected_success", "plain_undetected_success"]
    assert row[names].tolist() == pytest.approx([1, 4, 0.5, 0.25])
    assert row["adaptive_tpr_at_5"] == pytest.approx(1 / 3)
    worst = only(evaded, penalty=1.0)
    assert row[columns("adaptive_auroc")].tolist() == worst[columns("auroc")].tolist()
    assert list(best_detector(detection, evaded)) == best_table.COLUMNS


def test_the_best_is_that_of_the_largest_severity_over_all_seeds(tmp_path: Path) -> None:
    paths = [simulated(tmp_path, seed, shift=1.5) for seed in (0, 1)]
    detection = tabulate(paths, [], cards("tcga", seeds=(0, 1)))

    ((_, row),) = best_detector(detection, tabulate_adaptive([], [], cards())).iterrows()

    assert row[["seed", "severity", "detector"]].tolist() == ["all", "20", "mahalanobis"]
    assert np.isnan(row["adaptive_penalty"])
    single = best_detector(
        detection[detection["seed"] != "all"], tabulate_adaptive([], [], cards())
    )
    assert single["seed"].tolist() == ["0", "1"]


def test_of_all_adversaries_the_best_is_told_where_none_flips(tmp_path: Path) -> None:
    rows = [
        attacked_expression(["n0"], {"margin": [30.0]}, flipped=False, t=0.5),
        attacked_expression(["n0"], {"margin": [0.0]}, flipped=False, t=1.0),
        attacked_expression(["n0"], {"margin": [0.0]}, flipped=False, moved=False, targets="error"),
    ]
    detection = tabulate([toy(tmp_path, *rows)], [], cards("tcga"))

    ((_, row),) = best_detector(detection, tabulate_adaptive([], [], cards())).iterrows()

    assert row[["adversaries", "t", "auroc"]].tolist() == ["all", 1.0, 0.0]


def test_sequences_have_a_best_beside_each_null(tmp_path: Path) -> None:
    detection = tabulate([], [sequence_file(tmp_path)], cards())

    best = best_detector(detection, tabulate_adaptive([], [], cards()))

    assert best[["attack", "null", "severity"]].to_numpy().tolist() == [
        ["genetic", "clean", "all"], ["genetic", "mutants", "all"], ["random", "clean", "all"],
    ]  # fmt: skip


# ROC --------------------------------------------------------------------------------


def test_curves_are_of_the_first_seed_and_the_strongest_attack(tmp_path: Path) -> None:
    ids = ["n0", "n1"]
    parts = [
        attacked_expression(ids, {"margin": [30.0, 2.5]}, k=20),
        attacked_expression(ids, {"margin": [0.0, 0.0]}, k=20, importance="per_sample"),
        attacked_expression(ids, {"margin": [0.0, 0.0]}, k=20, features="random"),
        attacked_expression(ids, {"margin": [0.0, 0.0]}, k=20, values="uniform", targets="none"),
        attacked_expression(ids, {"margin": [0.0, 0.0]}, k=10),
        attacked_expression(ids, {"margin": [0.0, 9.0]}, attack="vae", values="decoded",
                            flipped=[False, True]),
    ]  # fmt: skip
    paths = [toy(tmp_path, *parts), toy(tmp_path, parts[0], seed=1)]

    table = roc_table.roc_table(
        paths, [sequence_file(tmp_path)], cards("tcga", seeds=(0, 1)), UPPER
    )

    assert list(table) == roc_table.COLUMNS
    curves = {
        key: list(zip(curve["fpr"], curve["tpr"], strict=True))
        for key, curve in table.groupby(["seed", "attack", "severity", "adversaries", "null"])
    }
    assert sorted(curves) == [
        ("0", "fimba", "20", "successful", "clean"),
        ("0", "genetic", "all", "successful", "clean"),
        ("0", "genetic", "all", "successful", "mutants"),
        ("0", "random", "all", "successful", "clean"),
        ("0", "vae", "10", "successful", "clean"),
    ]
    fimba = curves["0", "fimba", "20", "successful", "clean"]
    assert fimba == [(0, 0), (0, 0.5), (0.6, 0.5), (0.6, 1), (1, 1)]
    assert curves["0", "vae", "10", "successful", "clean"] == [(0, 0), (0.2, 0), (0.2, 1), (1, 1)]
    sizes = table.groupby(["attack", "null"])[["n_natural", "n_adversaries"]].agg(set)
    assert {key: (*row["n_natural"], *row["n_adversaries"]) for key, row in sizes.iterrows()} == {
        ("fimba", "clean"): (5, 2),
        ("genetic", "clean"): (3, 2),
        ("genetic", "mutants"): (4, 2),
        ("random", "clean"): (3, 1),
        ("vae", "clean"): (5, 1),
    }


ONLY: dict[str, dict[str, Any]] = {
    "random features": {"features": "random", "importance": "none"},
    "permutation": {"features": "permutation"},
    "uniform values": {"values": "uniform", "targets": "none", "t": np.nan, "target": -1},
    "per sample": {"importance": "per_sample"},
}


@pytest.mark.parametrize("name", ONLY)
def test_curves_are_of_what_there_is_and_of_shap_where_there_is_that(
    name: str, tmp_path: Path
) -> None:
    rows = attacked_expression(["n0", "n1"], {"margin": [30.0, 2.5]}, **ONLY[name])
    shap = attacked_expression(["n0"], {"margin": [0.0]}, k=5)

    alone = roc_table.roc_table([toy(tmp_path, rows)], [], cards("tcga"), UPPER)
    both = roc_table.roc_table([toy(tmp_path, rows, shap)], [], cards("tcga"), UPPER)

    for column in ("features", "importance", "values", "targets", "t"):
        assert alone[column].drop_duplicates().tolist() == pytest.approx(
            rows[column].drop_duplicates().tolist(), nan_ok=True
        )
        if column != "t":
            assert set(both[column]) == set(shap[column])
    assert alone["n_adversaries"].unique().tolist() == [2]
    assert alone["tpr"].tolist() == [0, 0.5, 0.5, 1, 1]
    assert both["severity"].unique().tolist() == ["5"]


def test_permutation_goes_before_random_features(tmp_path: Path) -> None:
    parts = [
        attacked_expression(["n0"], {"margin": [1.0]}, **ONLY[name])
        for name in ("random features", "permutation")
    ]

    table = roc_table.roc_table([toy(tmp_path, *parts)], [], cards("tcga"), UPPER)

    assert table["features"].unique().tolist() == ["permutation"]


# Nothing, and mistakes --------------------------------------------------------------


def test_nothing_gives_empty_tables() -> None:
    detection, evaded = tabulate([], [], cards()), tabulate_adaptive([], [], cards())

    for table, names in (
        (detection, detection_table.COLUMNS),
        (evaded, adaptive_table.COLUMNS),
        (roc_table.roc_table([], [], cards()), roc_table.COLUMNS),
        (best_detector(detection, evaded), best_table.COLUMNS),
    ):
        assert list(table) == names
        assert table.empty


def test_natural_rows_alone_give_no_row(tmp_path: Path) -> None:
    assert tabulate([toy(tmp_path)], [], cards("tcga")).empty


def test_a_file_out_of_place_is_named(tmp_path: Path) -> None:
    path = toy(tmp_path, attacked_expression(["n0"], {"margin": [1.0]}))

    assert refusal(tabulate, [], [path], cards("tcga")).startswith(path)
    assert refusal(tabulate_adaptive, [path], [], cards("tcga")).startswith(path)


def test_a_missing_column_or_score_is_named(tmp_path: Path) -> None:
    path = toy(tmp_path, attacked_expression(["n0"], {"margin": [1.0]}))
    whole = pd.read_parquet(path)

    whole.drop(columns="moved").to_parquet(path)
    assert "column moved is missing" in refusal(tabulate, [path], [], cards("tcga"))
    whole.assign(score_margin=np.inf).to_parquet(path)
    assert "score_margin holds what is no finite" in refusal(tabulate, [path], [], cards("tcga"))


def test_a_model_that_no_detector_could_look_at_has_no_row(tmp_path: Path) -> None:
    path = toy(tmp_path, attacked_expression(["n0"], {"margin": [1.0]}))
    pd.read_parquet(path).drop(columns="score_margin").to_parquet(path)

    assert tabulate([path], [], cards("tcga")).empty


def test_an_evaded_detector_without_scores_is_named(tmp_path: Path) -> None:
    path = adaptive_file(tmp_path)
    pd.read_parquet(path).replace({"detector": {"margin": "vae"}}).to_parquet(path)

    assert "column score_vae is missing" in refusal(tabulate_adaptive, [path], [], cards("tcga"))
