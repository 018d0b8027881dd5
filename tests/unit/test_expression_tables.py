"""Tables of FIMBA, its ablation and the autoencoder, against small ones computed by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_expression_tables import attack_rows, cards, put, uniform

from genosiege import files, runtime
from genosiege.expression.tables import (
    ablation,
    comparison_table,
    data_table,
    fimba_table,
    hardening_table,
    importance_table,
    intervals,
    model_table,
    poisoning_table,
    smallest_k_table,
    vae_table,
)
from genosiege.expression.tables.reading import Cards
from genosiege.statistics import bootstrap_interval, weighted_mean, wilson_interval

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"

# Id, label, right before, right after: one false positive before; two flips, one of each class.
SAMPLES = [
    ("a", 0, True, True),
    ("b", 0, False, False),
    ("c", 0, True, False),
    ("d", 1, True, True),
    ("e", 1, True, False),
    ("f", 1, True, True),
    ("g", 1, True, True),
    ("h", 1, True, True),
]
UNHURT = [(name, label, before, before) for name, label, before, _ in SAMPLES]
RANDOM = {"features": "random", "importance": "none"}


def fimba(root: Path, *tables: pd.DataFrame, **options: Any) -> pd.DataFrame:
    path = put(root, pd.concat(tables, ignore_index=True), "fimba.parquet")
    return fimba_table.fimba_table([path], cards("tcga", **options))


def random_sets(*after: list[tuple[str, int, bool, bool]], **setting: Any) -> pd.DataFrame:
    tables = [
        attack_rows(RANDOM | setting | {"feature_set": number}, samples)
        for number, samples in enumerate(after)
    ]
    return pd.concat(tables)


def values(row: "pd.Series[Any]", name: str) -> list[float]:
    return [float(row[column]) for column in intervals.columns(name)]


# FIMBA ------------------------------------------------------------------------------


def test_a_cell_counts_what_happened(tmp_path: Path) -> None:
    (_, row), *none = fimba(tmp_path, attack_rows({}, SAMPLES)).iterrows()

    assert not none
    counts = ["n", "n_positive", "n_negative", "n_attacked", "n_attacked_correct", "n_sets"]
    assert row[counts].tolist() == [8, 5, 3, 8, 7, 1]
    assert row[["clean_fp", "clean_fn", "attacked_fp", "attacked_fn"]].tolist() == [1, 0, 2, 1]
    for name, hits, n in (
        ("clean_accuracy", 7, 8), ("attacked_accuracy", 5, 8), ("clean_fpr", 1, 3),
        ("clean_fnr", 0, 5), ("attacked_fpr", 2, 3), ("attacked_fnr", 1, 5), ("success", 2, 7),
        ("neighbours_true", 5, 8),
    ):  # fmt: skip
        assert values(row, name) == pytest.approx([hits / n, *wilson_interval(hits, n)])
    assert row["clean_balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert row["attacked_balanced_accuracy"] == pytest.approx((1 / 3 + 4 / 5) / 2)
    # Before 0.9 if right and 0.2 if not, after 0.8 and 0.3.
    assert row["mean_confidence_drop"] == pytest.approx((5 * 0.1 + 2 * 0.6 - 0.1) / 8)
    assert row["mean_confidence_drop_low"] < row["mean_confidence_drop"]
    assert row["mean_l0"] == 5 and row["mean_l2"] == 1.5
    assert row["status"] == "attacked" and row["leak"] == ""
    assert row["hurts_less_than_random"] == "no random features"
    assert np.isnan(row["accuracy_minus_random"])


def test_rates_of_random_features_are_means_over_their_sets(tmp_path: Path) -> None:
    row = fimba(tmp_path, random_sets(SAMPLES, UNHURT)).iloc[0]

    assert row["n_sets"] == 2 and row["n"] == 8
    assert row["attacked_accuracy"] == pytest.approx((5 + 7) / 16)
    assert row["attacked_accuracy_sd"] == pytest.approx(np.std([5 / 8, 7 / 8], ddof=1))
    assert row[["attacked_fp", "attacked_fn"]].tolist() == [1.5, 0.5]
    assert row["success"] == pytest.approx(2 / 14)
    assert row["hurts_less_than_random"] == "this is random"
    # The two sets of a sample are not two samples.
    independent = wilson_interval(12, 16)
    assert row["attacked_accuracy_low"] < independent.low
    assert row["attacked_accuracy_high"] > independent.high


def test_important_features_are_compared_with_random_ones_sample_by_sample(tmp_path: Path) -> None:
    table = fimba(tmp_path, attack_rows({}, SAMPLES), random_sets(SAMPLES, UNHURT))

    row = table[table["features"] == "shap"].iloc[0]
    # Flipped always minus flipped in one of two sets: samples c and e.
    differences = [0, 0, -0.5, 0, -0.5, 0, 0, 0]
    assert row["accuracy_minus_random"] == pytest.approx(np.mean(differences))
    low, high = values(row, "accuracy_minus_random")[1:]
    assert -0.5 <= low < -0.125 < high <= 0
    assert row["hurts_less_than_random"] == "no"


@pytest.mark.parametrize(
    ("n_flipped", "expected"), [(1, "yes"), (8, "yes, interval excludes 0"), (0, "no")]
)
def test_cells_that_hurt_less_than_random_are_marked(
    n_flipped: int, expected: str, tmp_path: Path
) -> None:
    names = [(f"s{i}", i % 2, True) for i in range(20)]
    unhurt = [(*name, True) for name in names]
    random = [(*name, i >= n_flipped) for i, name in enumerate(names)]

    table = fimba(tmp_path, attack_rows({}, unhurt), random_sets(random, random, random))

    row = table[table["features"] == "shap"].iloc[0]
    assert row["accuracy_minus_random"] == pytest.approx(n_flipped / 20)
    assert row["hurts_less_than_random"] == expected
    assert (row["accuracy_minus_random_low"] > 0) == (n_flipped == 8)


def test_where_all_features_move_there_is_nothing_to_choose(tmp_path: Path) -> None:
    table = fimba(
        tmp_path, attack_rows(uniform("shap"), UNHURT), attack_rows(uniform("random"), SAMPLES),
        n_genes=5,
    )  # fmt: skip

    row = table[table["features"] == "shap"].iloc[0]
    assert row["accuracy_minus_random"] == pytest.approx(2 / 8)
    assert row["hurts_less_than_random"] == "all features"


def test_a_difference_is_taken_at_equal_values_targets_k_and_t(tmp_path: Path) -> None:
    others = [{"k": 6}, {"t": 0.5}, {"targets": "error"}, uniform("random")]
    tables = [attack_rows({"features": "random"} | other, UNHURT) for other in others]
    tables += [attack_rows({}, SAMPLES), attack_rows(uniform("shap"), SAMPLES)]

    table = fimba(tmp_path, *tables)

    ranked = table[table["features"] == "shap"].set_index("values")
    assert ranked.loc["interpolated", "hurts_less_than_random"] == "no random features"
    assert ranked.loc["uniform", "accuracy_minus_random"] == pytest.approx(-2 / 8)


def test_more_features_than_there_are_is_a_status_not_a_number(tmp_path: Path) -> None:
    lost = [(name, label, before, False) for name, label, before, _ in SAMPLES]
    nothing: dict[str, Any] = {"p_true_after": np.nan, "l0": 0.0, "l2": np.nan}
    nothing["status"] = "k_exceeds_features"

    table = fimba(
        tmp_path, attack_rows({"k": 99}, lost, **nothing), attack_rows(RANDOM | {"k": 99}, SAMPLES)
    )

    row = table[table["features"] == "shap"].iloc[0]
    assert row["status"] == "k_exceeds_features"
    assert row["clean_accuracy"] == 7 / 8 and row["n_attacked"] == 0
    unmeasured = [name for name in table if str(name).startswith(("attacked_", "success", "mean_"))]
    assert row[unmeasured].isna().all()
    assert row["hurts_less_than_random"] == "not measured"


def test_a_class_without_targets_stays_as_it_is_and_says_so(tmp_path: Path) -> None:
    still = [s if s[1] else (*s[:3], s[2]) for s in SAMPLES]
    status = ["attacked" if label else "no_targets" for _, label, _, _ in still]
    after = [0.9, 0.2, 0.9, 0.8, 0.3, 0.8, 0.8, 0.8]

    row = fimba(
        tmp_path, attack_rows({"targets": "error"}, still, status=status, p_true_after=after)
    ).iloc[0]

    assert row["status"] == "attacked; no_targets"
    assert row[["n", "n_attacked", "n_attacked_correct"]].tolist() == [8, 5, 5]
    assert row["attacked_accuracy"] == 6 / 8
    assert row["success"] == 1 / 5
    assert row["mean_confidence_drop"] == pytest.approx((4 * 0.1 + 0.6) / 5)


def test_a_perfect_classifier_has_no_error_targets(tmp_path: Path) -> None:
    perfect = [(name, label, True, True) for name, label, _, _ in SAMPLES]
    still: dict[str, Any] = {"status": "no_targets", "p_true_after": 0.9, "l0": 0.0, "l2": 0.0}
    tables = [
        attack_rows({"targets": "error"} | features, perfect, **still) for features in ({}, RANDOM)
    ]

    row = fimba(tmp_path, *tables).iloc[0]

    assert row["features"] == "shap"
    assert row["status"] == "no_targets" and row["n_attacked"] == 0
    assert row["attacked_accuracy"] == 1.0
    assert np.isnan(row["success"]) and np.isnan(row["mean_confidence_drop"])
    assert row["hurts_less_than_random"] == "not attacked"


def test_every_leak_is_named(tmp_path: Path) -> None:
    table = fimba(
        tmp_path, attack_rows({}, SAMPLES), attack_rows({"targets": "test_error"}, SAMPLES),
        leaky_preprocessing=True, upstream_leak=True,
    )  # fmt: skip

    leaks = table.set_index("targets")["leak"]
    assert leaks["opposite"] == "preprocessing; upstream"
    assert leaks["test_error"] == "preprocessing; upstream; test targets"


def test_order_of_rows_and_files_does_not_matter(tmp_path: Path) -> None:
    rows = pd.concat([attack_rows({}, SAMPLES), random_sets(SAMPLES, UNHURT)])
    paths = [put(tmp_path, rows, "fimba.parquet", model=model) for model in ("b", "a")]
    found = fimba_table.fimba_table(paths, cards("tcga"))
    for seed, path in enumerate(paths):
        files.write_parquet(rows.sample(frac=1, random_state=seed), path)

    again = fimba_table.fimba_table(paths[::-1], cards("tcga"))

    pd.testing.assert_frame_equal(found, again)
    assert found["model"].tolist() == ["a", "a", "b", "b"]


@pytest.mark.parametrize("spoil", ["twice", "missing", "other", "column", "place"])
def test_damaged_rows_are_refused(spoil: str, tmp_path: Path) -> None:
    rows = random_sets(SAMPLES, UNHURT).reset_index(drop=True)
    if spoil == "twice":
        rows.loc[1, "id"] = "a"
    elif spoil == "missing":
        rows = rows.iloc[1:]
    elif spoil == "other":
        rows.loc[0, "label"] = 1
    elif spoil == "column":
        rows = rows.drop(columns="l2")
    path = put(tmp_path, rows, "fimba.parquet")
    if spoil == "place":
        path = str(tmp_path / "fimba.parquet")
        files.write_parquet(rows, path)

    message = refusal(fimba_table.fimba_table, [path], cards("tcga"))

    assert path in message


def test_a_model_whose_card_is_missing_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, attack_rows({}, SAMPLES), "fimba.parquet")

    assert "tcga, seed 0" in refusal(fimba_table.fimba_table, [path], Cards({}))


# Intervals --------------------------------------------------------------------------


def test_one_mean_has_the_bootstrap_interval_of_the_house() -> None:
    generator = np.random.default_rng(1)
    drawn = generator.normal(size=(50, 1))

    (found,) = intervals.ratios(drawn, np.ones((50, 1)), runtime.stream("a"))

    expected = bootstrap_interval(drawn[:, 0], np.arange(50), weighted_mean, runtime.stream("a"))
    assert found == pytest.approx(expected)


def test_an_interval_does_not_depend_on_what_else_is_asked() -> None:
    drawn = np.random.default_rng(2).normal(size=(30, 3))
    counts = np.random.default_rng(3).integers(1, 4, size=(30, 3)).astype(float)

    together = intervals.ratios(drawn, counts, runtime.stream("b"))
    alone = [
        intervals.ratios(drawn[:, [i]], counts[:, [i]], runtime.stream("b"))[0] for i in range(3)
    ]

    assert np.array(together) == pytest.approx(np.array(alone))


def test_interval_of_a_balanced_accuracy_is_that_of_its_parts() -> None:
    labels = np.repeat([0, 1], [10, 40])
    correct = np.r_[np.arange(10) < 10, np.arange(40) < 30]

    value, low, high = intervals.balanced_accuracy("x", correct, labels).values()

    zero, one = wilson_interval(10, 10), wilson_interval(30, 40)
    assert value == pytest.approx((1 + 0.75) / 2)
    assert low == pytest.approx(value - np.hypot(1 - zero.low, 0.75 - one.low) / 2)
    assert high == pytest.approx(value + np.hypot(1 - zero.high, one.high - 0.75) / 2)


@pytest.mark.parametrize(("p_zero", "p_one"), [(0.9, 0.95), (0.98, 0.6)])
def test_interval_of_a_balanced_accuracy_covers_it(p_zero: float, p_one: float) -> None:
    generator = np.random.default_rng(5)
    labels = np.repeat([0, 1], [20, 80])
    truth, covered = (p_zero + p_one) / 2, 0
    for _ in range(400):
        correct = generator.random(100) < np.where(labels == 0, p_zero, p_one)
        _, low, high = intervals.balanced_accuracy("x", correct, labels).values()
        covered += low <= truth <= high

    assert 0.92 <= covered / 400 <= 0.995


def test_a_perfect_class_leaves_an_interval_and_a_missing_one_none() -> None:
    labels = np.repeat([0, 1], 10)

    perfect = intervals.balanced_accuracy("x", np.ones(20, bool), labels)
    missing = intervals.balanced_accuracy("x", np.ones(10, bool), np.ones(10, int))

    assert perfect["x"] == perfect["x_high"] == 1 and perfect["x_low"] < 0.85
    assert np.isnan([*missing.values()]).all()


def test_a_single_sample_has_no_bootstrap_interval() -> None:
    (found,) = intervals.ratios(np.ones((1, 1)), np.ones((1, 1)), runtime.stream("c"))

    assert np.isnan(found).all()


# Ablation ---------------------------------------------------------------------------


def ablated(root: Path, with_vae: bool = True, **decoded: Any) -> pd.DataFrame:
    tables = [
        attack_rows({}, SAMPLES), attack_rows(uniform("shap"), UNHURT),
        random_sets(UNHURT, SAMPLES), random_sets(UNHURT, UNHURT, **uniform("random")),
    ]  # fmt: skip
    lost = [(name, label, before, False) for name, label, before, _ in SAMPLES]
    vae = [
        attack_rows({"values": "decoded"} | decoded, lost).assign(fraction=10),
        random_sets(UNHURT, values="decoded", **decoded).assign(fraction=10),
        attack_rows({"values": "decoded"} | decoded, SAMPLES).assign(fraction=100),
        attack_rows(
            {"values": "reconstructed", "features": "none", "importance": "none",
             "targets": "none", "t": np.nan, "k": 20}, UNHURT,
        ).assign(fraction=100),
    ]  # fmt: skip
    first = put(root, pd.concat(tables), "fimba.parquet")
    second = [put(root, pd.concat(vae), "evasion.parquet")] if with_vae else []
    return ablation.ablation_table([first], second, cards("tcga"))


def test_arms_stand_side_by_side_for_each_fraction(tmp_path: Path) -> None:
    table = ablated(tmp_path)

    small, large = (table[table["fraction"] == fraction] for fraction in (10, 100))
    assert small["arm"].tolist() == list(ablation.ARMS)
    assert large["arm"].tolist() == [arm for arm in ablation.ARMS if arm != "VAE only"]
    assert len(table) == len(small) + len(large)
    accuracy = small.set_index("arm")["attacked_accuracy"]
    assert accuracy.to_dict() == pytest.approx(
        {"all": 0, "FIMBA": 5 / 8, "VAE only": 7 / 8, "SHAP only": 7 / 8,
         "interpolation only": 12 / 16, "random × uniform": 7 / 8}
    )  # fmt: skip
    minus_all = large.set_index("arm")["accuracy_minus_all"]
    assert minus_all["FIMBA"] == 0 and minus_all["SHAP only"] == pytest.approx(2 / 8)
    notes = small.set_index("arm")["note"]
    assert notes["all"] == "this is all" and notes["FIMBA"] == ""
    success = small.set_index("arm")["success"]
    assert success["all"] == 1 and success["interpolation only"] == pytest.approx(2 / 14)


@pytest.mark.parametrize("decoded", [{"k": 7}, {"t": 0.5}, {"targets": "error"}])
def test_arms_are_only_compared_at_equal_settings(decoded: dict[str, Any], tmp_path: Path) -> None:
    table = ablated(tmp_path, **decoded)

    alone = table[table["fraction"].isna()]
    assert alone["arm"].tolist() == [a for a in ablation.ARMS if a not in ("all", "VAE only")]
    assert set(alone["note"]) == {"no autoencoder"}
    assert not table[table["fraction"] == 10]["arm"].isin(["FIMBA", "interpolation only"]).any()


def test_without_an_autoencoder_the_other_arms_remain(tmp_path: Path) -> None:
    table = ablated(tmp_path, with_vae=False)

    assert len(table) == 4 and table["fraction"].isna().all()
    assert table["accuracy_minus_all"].isna().all() and set(table["note"]) == {"no autoencoder"}


def test_arms_tried_on_fewer_samples_are_compared_on_those(tmp_path: Path) -> None:
    first = put(tmp_path, attack_rows({}, SAMPLES), "fimba.parquet")
    decoded = attack_rows({"values": "decoded"}, UNHURT[:4]).assign(fraction=10)
    second = put(tmp_path, decoded, "evasion.parquet")

    table = ablation.ablation_table([first], [second], cards("tcga")).set_index("arm")

    # Of a, b, c and d the attack flips c.
    assert table.loc["FIMBA", "accuracy_minus_all"] == pytest.approx(-1 / 4)
    assert table.loc["FIMBA", "attacked_accuracy"] == 5 / 8


# Autoencoder ------------------------------------------------------------------------


def test_autoencoders_are_told_with_what_models_say(tmp_path: Path) -> None:
    ablated(tmp_path)
    described = []
    for fraction in (10, 100):
        path = tmp_path / f"expression/tcga/vae/seed0/fraction{fraction}/model.json"
        errors = {"n": 8, "mse": 0.05, "mse_of_mean": 0.2}
        files.write_json({"n_train": 9, "reconstruction": {"test": errors}}, path)
        described.append(str(path))
    evasion = str(tmp_path / "expression/tcga/forest/seed0/evasion.parquet")

    table = vae_table.vae_table(described, [evasion], cards("tcga"))

    none, asked = (row for _, row in table.iterrows())
    assert none["status"] == "no model" and none["model"] == "" and none["fraction"] == 10
    assert none["explained"] == pytest.approx(0.75)
    assert asked["model"] == "forest" and asked["n"] == 8
    assert values(asked, "prediction_kept") == pytest.approx([1, *wilson_interval(8, 8)])
    assert asked["accuracy_clean"] == asked["accuracy_reconstructed"] == 7 / 8


# Captions, and runs without anything ------------------------------------------------

EMPTY = {
    "fimba": lambda: fimba_table.fimba_table([], Cards({})),
    "ablation": lambda: ablation.ablation_table([], [], Cards({})),
    "vae": lambda: vae_table.vae_table([], [], Cards({})),
    "importance": lambda: importance_table.importance_table([], Cards({})),
    "smallest_k": lambda: smallest_k_table.smallest_k_table([], Cards({})),
    "poisoning": lambda: poisoning_table.poisoning_table([], Cards({})),
    "expression_hardening": lambda: hardening_table.hardening_table([], Cards({})),
    "comparison": lambda: comparison_table.comparison_table([], Cards({})),
    "expression_data": lambda: data_table.data_table(Cards({})),
    "expression_models": lambda: model_table.models_table([], [], Cards({})),
    "expression_seeds": lambda: model_table.seeds_table(
        model_table.models_table([], [], Cards({})), fimba_table.fimba_table([], Cards({}))
    ),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_run_that_asks_for_nothing_has_empty_tables_with_columns(name: str) -> None:
    table = EMPTY[name]()

    assert table.empty and "dataset" in table and "leak" in table


@pytest.mark.parametrize("name", EMPTY)
def test_captions_define_every_column_and_no_other(name: str) -> None:
    caption = (CAPTIONS / f"{name}.rst").read_text()

    defined = [line.split("``")[1] for line in caption.splitlines() if line.startswith("``")]
    assert defined == list(EMPTY[name]())
