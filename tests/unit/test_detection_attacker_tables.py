"""Tables of who knows the detector, of the best detector and of ROC curves, by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_detection_tables import (
    adaptive,
    adaptive_file,
    attacked_expression,
    only,
    put,
    sequence_file,
    simulated,
    tabulate,
    tabulate_adaptive,
    toy,
)
from toy_expression_tables import cards

from genosiege.detection.options import UPPER
from genosiege.detection.tables import (
    adaptive_table,
    best_table,
    detection_table,
    measures,
    roc_table,
)
from genosiege.detection.tables.best_table import best_detector
from genosiege.expression.tables.intervals import columns


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "N_RESAMPLES", 200)


# Adaptive ---------------------------------------------------------------------------


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
