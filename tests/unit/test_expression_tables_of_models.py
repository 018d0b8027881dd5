"""Tables of data, models, importance, smallest k, poisoning, hardening and other attacks."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from scipy.stats import binom, spearmanr
from toy_expression_tables import (
    Simulated,
    card,
    cards,
    comparison_rows,
    hardening_rows,
    importance_rows,
    place,
    poisoning_rows,
    put,
    smallest_k_rows,
)

from genosiege import files
from genosiege.comparisons import holm, mcnemar
from genosiege.expression.tables import (
    comparison_table,
    data_table,
    fimba_table,
    hardening_table,
    importance_table,
    intervals,
    model_table,
    poisoning_table,
    smallest_k_table,
)
from genosiege.expression.tables.reading import Cards
from genosiege.statistics import wilson_interval


def values(row: "pd.Series[Any]", name: str) -> list[float]:
    return [float(row[column]) for column in intervals.columns(name)]


# Data -------------------------------------------------------------------------------


def test_a_card_is_told_split_by_split(tmp_path: Path) -> None:
    path = tmp_path / "data" / "tcga" / "seed3" / "card.json"
    files.write_json(card(upstream_leak=True), path)

    table = data_table.data_table(Cards.read([str(path)]))

    assert table["split"].tolist() == ["train", "dev", "test"]
    assert set(table["leak"]) == {"upstream"} and set(table["seed"]) == {3}
    test = table.iloc[2]
    counts = ["n", "n_negative", "n_positive", "excluded", "genes", "genes_expressed"]
    assert test[counts].tolist() == [30, 10, 20, 9, 20, 23]
    assert test[["duplicates_in_train", "samples_of_train_donors"]].tolist() == [1, 3]
    assert test["clipped"] == 0.02 and test["donors_crossing"] == 4
    assert table.iloc[0][["duplicates_in_train", "samples_of_train_donors"]].isna().all()


def test_a_card_in_another_place_is_refused(tmp_path: Path) -> None:
    assert "card.json" in refusal(Cards.read, [str(tmp_path / "card.json")])


# Models -----------------------------------------------------------------------------


def model_files(root: Path, seed: int, fp: int, fn: int, model: str = "forest") -> tuple[str, str]:
    metrics = {"n_negative": 20, "n_positive": 30, "fp": fp, "fn": fn, "mcc": 0.5, "f1": 0.6,
               "auroc": None, "ece": 0.1}  # fmt: skip
    paths = tuple(place(root, "tcga", model, seed, f"{name}.json") for name in ("metrics", "model"))
    files.write_json(metrics, paths[0])
    files.write_json({"kind": "random_forest", "n_features": 20, "n_nodes": 99}, paths[1])
    return paths[0], paths[1]


def test_clean_metrics_have_the_intervals_of_their_counts(tmp_path: Path) -> None:
    metrics, described = model_files(tmp_path, 0, fp=2, fn=3)

    row = model_table.models_table([metrics], [described], cards("tcga")).iloc[0]

    assert row[["n", "n_negative", "n_positive", "fp", "fn"]].tolist() == [50, 20, 30, 2, 3]
    for name, hits, n in (("accuracy", 45, 50), ("sensitivity", 27, 30), ("specificity", 18, 20)):
        assert values(row, name) == pytest.approx([hits / n, *wilson_interval(hits, n)])
    assert row["balanced_accuracy"] == pytest.approx(0.9)
    assert row["balanced_accuracy_low"] < 0.9 < row["balanced_accuracy_high"]
    assert row["n_nodes"] == 99 and row["n_parameters"] is pd.NA
    assert np.isnan(float(row["auroc"] or np.nan))


def test_impossible_metrics_and_lost_descriptions_are_refused(tmp_path: Path) -> None:
    metrics, described = model_files(tmp_path, 0, fp=21, fn=0)

    assert "more errors" in refusal(model_table.models_table, [metrics], [described], cards("tcga"))
    assert "model.json" in refusal(model_table.models_table, [metrics], [], cards("tcga"))


def test_seeds_are_summarised_as_mean_and_deviation(tmp_path: Path) -> None:
    made = [model_files(tmp_path, seed, fp=seed, fn=0) for seed in (0, 1, 2)]
    toy = Simulated(tmp_path, datasets=("tcga",), models=("forest",), seeds=(0, 1, 2), n=30)
    models = model_table.models_table(*zip(*made, strict=True), toy.cards)
    attacks = fimba_table.fimba_table(toy.fimba(), toy.cards)

    table = model_table.seeds_table(models, attacks)

    (clean,) = (row for _, row in table[table["measure"] == "accuracy"].iterrows())
    accuracies = [1, 49 / 50, 48 / 50]
    assert clean[["n_seeds", "min", "max"]].tolist() == [3, 48 / 50, 1]
    assert clean["mean"] == pytest.approx(np.mean(accuracies))
    assert clean["sd"] == pytest.approx(np.std(accuracies, ddof=1))
    wanted = attacks.query("features == 'shap' and targets == 'error' and k == n_genes")
    (found,) = (
        row for _, row in table.query(
            "features == 'shap' and targets == 'error' and k == 'all'"
            " and measure == 'attacked_accuracy'"
        ).iterrows()
    )  # fmt: skip
    assert found["mean"] == pytest.approx(wanted["attacked_accuracy"].mean())
    assert found["sd"] == pytest.approx(wanted["attacked_accuracy"].std())


def test_one_seed_has_no_deviation(tmp_path: Path) -> None:
    metrics, described = model_files(tmp_path, 0, fp=2, fn=3)
    models = model_table.models_table([metrics], [described], cards("tcga"))

    table = model_table.seeds_table(models, fimba_table.fimba_table([], Cards({})))

    assert set(table["n_seeds"]) == {0, 1} and table["sd"].isna().all()


# Importance -------------------------------------------------------------------------


def importance(root: Path, *by_seed: list[float], **options: Any) -> pd.DataFrame:
    paths = [
        put(root, importance_rows(found, **options), "importance.parquet", seed=seed)
        for seed, found in enumerate(by_seed)
    ]
    table = importance_table.importance_table(paths, cards("tcga", seeds=range(len(by_seed))))
    return table[table["k"] == 10].reset_index(drop=True)


def test_overlap_and_correlation_of_seeds_are_means_over_pairs(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    found = [generator.exponential(size=30).tolist() for _ in range(3)]

    (_, row), *none = importance(tmp_path, *found).iterrows()

    assert not none and row["compared"] == "seeds" and row["status"] == "compared"
    tops = [set(np.argsort(-np.array(values))[:10]) for values in found]
    overlaps = [len(a & b) / len(a | b) for a, b in combinations(tops, 2)]
    correlations = [spearmanr(a, b).statistic for a, b in combinations(found, 2)]
    assert row["n_seeds"] == row["n_pairs"] == 3
    assert row["overlap"] == pytest.approx(np.mean(overlaps))
    assert row["overlap_sd"] == pytest.approx(np.std(overlaps, ddof=1))
    assert row["rank_correlation"] == pytest.approx(np.mean(correlations))


def test_chance_overlap_is_that_of_random_sets(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    # The first has 18 genes of which 12 are also among the other's 15; 8 and 10 are important.
    names = [f"G{i}" for i in range(21)]
    first, second = np.zeros(18), np.zeros(15)
    first[:8], second[:10] = 1.0, 1.0
    one, two = names[:18], names[6:]
    ranks = [
        importance_table.Ranking(
            importance_table.Place("d", "m", 0), "shap", pd.Series(v, index=n), 1, 0
        )
        for v, n in ((first, one), (second, two))
    ]
    drawn = []
    for _ in range(20000):
        a, b = set(generator.choice(18, 8, replace=False)), generator.choice(15, 10, replace=False)
        shared = len(a & set(b + 6))
        drawn.append(shared / (18 - shared))

    assert importance_table.by_chance(*ranks, 10) == pytest.approx(np.mean(drawn), abs=0.003)


def test_genes_without_importance_are_in_no_top(tmp_path: Path) -> None:
    first, second = np.zeros(40), np.zeros(40)
    first[[30, 31]], second[[31, 32]] = (2, 1), (2, 1)

    row = importance(tmp_path, first.tolist(), second.tolist()).iloc[0]

    assert row["overlap"] == pytest.approx(1 / 3)
    assert row["n_important"] == 2
    assert row["top_genes"].split("; ") == ["G031", "G030", "G032"]


def test_one_seed_has_no_stability_and_few_genes_no_top(tmp_path: Path) -> None:
    row = importance(tmp_path, np.arange(30.0).tolist(), n_queries=77).iloc[0]
    assert row["status"] == "one seed" and row["n_queries"] == 77
    assert np.isnan(row["overlap"]) and np.isnan(row["rank_correlation"])
    assert row["top_genes"].startswith("G029; G028")

    few = importance(tmp_path, [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]).iloc[0]
    assert few["status"] == "k_exceeds_features" and np.isnan(few["overlap"])
    assert few["rank_correlation"] == pytest.approx(1)


def test_models_and_methods_are_compared_at_equal_seeds(tmp_path: Path) -> None:
    toy = Simulated(tmp_path, datasets=("tcga",), models=("a", "b"), seeds=(0, 1))
    table = importance_table.importance_table(toy.importance(), toy.cards)
    ranks = {
        (r.place.model, r.place.seed, r.method): r
        for r in importance_table.rankings(toy.importance())
    }

    models = table.query("compared == 'models' and method == 'shap' and k == 50").iloc[0]
    methods = table.query("compared == 'methods' and model == 'b' and k == 50").iloc[0]

    assert (models["model"], models["other"], models["n_pairs"]) == ("a", "b", 2)
    expected = [
        importance_table.overlap(ranks["a", seed, "shap"], ranks["b", seed, "shap"], 50)
        for seed in (0, 1)
    ]
    assert models["overlap"] == pytest.approx(np.mean(expected))
    assert (methods["method"], methods["other"], methods["n_pairs"]) == ("permutation", "shap", 2)
    assert len(table) == 3 * (4 + 2 + 2)


# Smallest k -------------------------------------------------------------------------


def smallest(root: Path, found: list[float], n_genes: int = 20, **options: Any) -> "pd.Series[Any]":
    correct = options.pop("correct", [True] * len(found))
    rows = smallest_k_rows(found, correct, tried_to=options.pop("tried_to", 10), **options)
    path = put(root, rows, "smallest_k.parquet")
    made = smallest_k_table.smallest_k_table([path], cards("tcga", n_genes=n_genes))
    (row,) = (row for _, row in made.iterrows())
    return row


def test_median_of_the_smallest_k(tmp_path: Path) -> None:
    found = [1, 2, 3, 4, 5, 6, 7, np.nan, np.nan]
    row = smallest(tmp_path, [*found, 1], correct=[True] * 9 + [False])

    assert row[["n", "n_attacked", "n_flipped", "tried_to"]].tolist() == [10, 9, 7, 10]
    assert values(row, "flipped") == pytest.approx([7 / 9, *wilson_interval(7, 9)])
    assert row["median"] == "5" and row["median_k"] == 5
    # P(B ≤ 1) = .0195 for nine coins: the second smallest and the second largest.
    assert (row["median_k_low"], row["median_k_high"]) == (2, np.inf)
    assert row["median_share_of_genes"] == 5 / 20
    assert (row["lower_quartile"], row["upper_quartile"]) == (3, 7)
    assert row["status"] == "attacked"


def test_a_median_beyond_what_was_tried_says_so(tmp_path: Path) -> None:
    row = smallest(tmp_path, [1.0, 2.0, np.nan, np.nan, np.nan, np.nan])

    assert row["median"] == "more than 10" and row["median_k"] == np.inf
    assert row["median_k_low"] == 1


def test_nobody_to_attack_is_a_status(tmp_path: Path) -> None:
    row = smallest(tmp_path, [1.0, 1.0], correct=[False, False])
    assert row["status"] == "skipped_misclassified" and row["n_attacked"] == 0

    row = smallest(tmp_path, [np.nan, np.nan], status="no_targets", tried_to=0)
    assert row["status"] == "no_targets" and row["median"] == ""

    row = smallest(tmp_path, [1.0, np.nan, 2.0], status=["attacked", "no_targets", "attacked"])
    assert row["status"] == "attacked; no_targets" and row["n_attacked"] == 2


@given(st.integers(1, 80))
@settings(max_examples=40, deadline=None)
def test_the_interval_of_a_median_holds_its_level_and_no_more(n: int) -> None:
    found = smallest_k_table.median_interval(np.arange(1.0, n + 1))

    if n < 6:
        assert np.isnan(found).all()
        return
    # The median lies outside with this chance, whatever the distribution.
    outside = [2 * binom.cdf(rank - 1, n, 0.5) for rank in (found.low, found.low + 1)]
    assert outside[0] <= 0.05 < outside[1]
    assert found.high == n + 1 - found.low


# Poisoning --------------------------------------------------------------------------


def test_poison_is_compared_with_the_clean_model_pair_by_pair(tmp_path: Path) -> None:
    clean = np.arange(40) < 38
    worse, other = np.arange(40) < 30, np.arange(40) >= 2
    rows = [
        poisoning_rows("none", 0, 0.0, clean), poisoning_rows("vae", 10, 1.0, other),
        poisoning_rows("vae", 10, 5.0, worse), poisoning_rows("label_flip", 0, 5.0, clean),
    ]  # fmt: skip
    path = put(tmp_path, pd.concat(rows).sample(frac=1, random_state=1), "poisoning.parquet")

    table = poisoning_table.poisoning_table([path], cards("tcga"))
    by = table.set_index(["kind", "rate"])

    row = by.loc[("vae", 5.0)]
    expected = mcnemar(clean, worse)
    assert values(row, "accuracy_lost") == pytest.approx([8 / 40, *expected.interval])
    assert row[["n_worse", "n_better", "n"]].tolist() == [8, 0, 40]
    assert row[["n_poison", "n_poison_wrong"]].tolist() == [45, 15]
    assert values(row, "accuracy") == pytest.approx([30 / 40, *wilson_interval(30, 40)])
    labels = np.arange(40) % 3 > 0
    assert row["balanced_accuracy"] == pytest.approx(
        (worse[labels].mean() + worse[~labels].mean()) / 2
    )
    tested = table[table["status"] == "retrained"]
    assert tested["p_adjusted"].tolist() == pytest.approx(holm(tested["p"]).tolist())
    assert by.loc[("label_flip", 5.0), "p"] == 1
    baseline = by.loc[("none", 0.0)]
    assert baseline["status"] == "baseline" and np.isnan(baseline["p_adjusted"])


def test_a_model_that_no_poison_was_made_for_is_not_compared(tmp_path: Path) -> None:
    rows = [poisoning_rows("none", 0, 0.0, [True] * 9), poisoning_rows("vae", 10, 1.0, [True] * 9)]
    rows[1] = rows[1].assign(status="no_targets", n_poison=0, n_poison_wrong=0)
    path = put(tmp_path, pd.concat(rows), "poisoning.parquet")

    row = poisoning_table.poisoning_table([path], cards("tcga")).set_index("kind").loc["vae"]

    assert row["status"] == "no_targets" and row["accuracy"] == 1
    assert row[["accuracy_lost", "p", "p_adjusted"]].isna().all()


@pytest.mark.parametrize("spoil", ["no baseline", "other samples"])
def test_poison_without_its_baseline_is_refused(spoil: str, tmp_path: Path) -> None:
    rows = [poisoning_rows("vae", 10, 1.0, [True] * 4)]
    if spoil == "other samples":
        rows.append(poisoning_rows("none", 0, 0.0, [True] * 5))
    path = put(tmp_path, pd.concat(rows), "poisoning.parquet")

    assert path in refusal(poisoning_table.poisoning_table, [path], cards("tcga"))


# Hardening --------------------------------------------------------------------------


def hardened(root: Path, *tables: pd.DataFrame) -> pd.DataFrame:
    rows = pd.concat(tables).sample(frac=1, random_state=2)
    path = put(root, rows, "hardening.parquet")
    return hardening_table.hardening_table([path], cards("tcga"))


def test_rounds_are_compared_with_the_baseline_and_the_control(tmp_path: Path) -> None:
    before, noise, after = (np.arange(30) < n for n in (10, 14, 25))
    tables = [
        hardening_rows(defence, number, "fimba", 5, last if number == 2 else before)
        for defence, last in (("fimba", after), ("random_noise", noise)) for number in range(3)
    ]  # fmt: skip
    tables += [
        hardening_rows(defence, number, "clean", 0, np.arange(30) < 29)
        for defence in ("fimba", "random_noise") for number in range(3)
    ]  # fmt: skip

    table = hardened(tmp_path, *tables)
    by = table.set_index(["defence", "attack", "round"])

    row = by.loc[("fimba", "fimba", 2)]
    assert values(row, "accuracy") == pytest.approx([25 / 30, *wilson_interval(25, 30)])
    gain, over = mcnemar(after, before), mcnemar(after, noise)
    assert values(row, "gain") == pytest.approx([15 / 30, *gain.interval])
    assert values(row, "gain_over_noise") == pytest.approx([11 / 30, *over.interval])
    assert row["gain_p"] == pytest.approx(gain.p) and row["is_last"]
    # Two defences under two attacks are tested for a gain, one of them against the other.
    ps = [gain.p, 1.0, mcnemar(noise, before).p, 1.0]
    assert row["gain_p_adjusted"] == pytest.approx(holm(ps)[0])
    assert row["gain_over_noise_p_adjusted"] == pytest.approx(holm([over.p, 1.0])[0])
    middle = by.loc[("fimba", "fimba", 1)]
    assert middle["gain"] == 0 and np.isnan(middle["gain_p"]) and middle["n_added"] == 40
    assert np.isnan(by.loc[("random_noise", "fimba", 2), "gain_over_noise"])
    assert np.isnan(by.loc[("fimba", "fimba", 0), "gain"])
    assert by.loc[("fimba", "clean", 2), "n_attacked"] == 0


def test_random_sets_are_averaged_before_they_are_compared(tmp_path: Path) -> None:
    generator = np.random.default_rng(6)
    sets = {number: generator.random((3, 24)) < 0.5 + 0.2 * number for number in (0, 1)}
    tables = [
        hardening_rows("fimba", number, "random", 5, correct)
        for number, found in sets.items() for correct in found
    ]  # fmt: skip

    row = hardened(tmp_path, *tables).set_index("round").loc[1]

    difference = (sets[1].mean(axis=0) - sets[0].mean(axis=0)).mean()
    assert row["n"] == 24 and row["accuracy"] == pytest.approx(sets[1].mean())
    assert row["gain"] == pytest.approx(difference)
    assert row["gain_low"] < difference < row["gain_high"]
    assert 0 <= row["gain_p"] <= 1


def test_k_above_the_number_of_features_is_not_compared(tmp_path: Path) -> None:
    lost: dict[str, Any] = {"p_true": np.nan, "status": "k_exceeds_features"}
    tables = [hardening_rows("fimba", n, "fimba", 99, [False] * 9, **lost) for n in (0, 1)]

    table = hardened(tmp_path, *tables)

    assert set(table["status"]) == {"k_exceeds_features"}
    assert table[["accuracy", "gain", "gain_p"]].isna().all(axis=None)


def test_rounds_without_a_baseline_are_refused(tmp_path: Path) -> None:
    rows = hardening_rows("fimba", 1, "fimba", 5, [True] * 4)

    assert "round 0" in refusal(hardened, tmp_path, rows)


# Comparison -------------------------------------------------------------------------


def test_attacks_are_counted_over_correct_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    correct = np.arange(20) >= 4
    flipped = np.arange(20) >= 10
    rows = comparison_rows("zoo", correct, flipped, rng)
    path = put(
        tmp_path, pd.concat([rows, comparison_rows("lowprofool", correct, flipped, rng, False),
                             comparison_rows("hopskipjump", ~correct & correct, flipped, rng)]),
        "comparison.parquet",
    )  # fmt: skip

    table = comparison_table.comparison_table([path], cards("tcga")).set_index("attack")

    zoo = table.loc["zoo"]
    assert zoo[["n", "n_attacked", "n_flips", "budget"]].tolist() == [20, 16, 10, 1000]
    assert values(zoo, "flip_rate") == pytest.approx([10 / 16, *wilson_interval(10, 16)])
    assert zoo["median_queries"] == np.median(rows["n_queries"][4:])
    assert zoo["median_l2"] == pytest.approx(np.median(rows["l2"][10:]))
    assert zoo["median_l0"] == np.median(rows["l0"][10:].astype(float))
    assert table.loc["lowprofool", "status"] == "not_applicable"
    assert table.loc["hopskipjump", "status"] == "nothing to attack"
    assert np.isnan(table.loc["lowprofool", "flip_rate"])
