"""The expression arm as a small real run: what it makes, and what a change of it runs again."""

import copy
import gzip
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
from calling import run_workflow
from endings import assert_one_line, half_written

NAME = "expression"
MODELS = ("random_forest", "xgboost")
CHAIN = ("train_expression_model", "rank_features", "fimba", "evade", "poison")
TABLES = ("make_expression_tables", "draw_expression_figures", *tiny.FRONT_PAGE)
HARD = tiny.DATASET

CONFIG: dict[str, Any] = {
    "run": {
        "name": NAME,
        "seeds": [0],
        "tasks": [],
        "encoders": [],
        "attacks": [],
        "defences": [],
        "datasets": [HARD],
        "models": list(MODELS),
    },
    "fimba": {
        "k": [2, 200, "all"],
        "random_sets": 2,
        "folds": 2,
        "explain_samples": 20,
        "smallest_k": {"samples": 10, "max": 20},
    },
    "vae": {"fractions": [100], "widths": [8], "latent": 2, "epochs": 2, "learning_rate": 0.001},
    "poisoning": {"kinds": ["vae", "label_flip"], "rates": [10]},
    "expression_hardening": {
        "models": ["random_forest"],
        "rounds": 1,
        "k": 5,
        "evaluate_k": [5],
        "random_sets": 1,
        "explain_samples": 10,
    },
    "comparison": {"models": ["random_forest"], "attacks": ["zoo"], "budget": 40, "samples": 2},
    "detection": {"models": []},
    **tiny.EXPRESSION,
}


def changed(**sections: Any) -> dict[str, Any]:
    """Give the configuration with some keys of its sections replaced, two levels deep."""
    config = copy.deepcopy(CONFIG)
    for section, entries in sections.items():
        for key, value in entries.items():
            if isinstance(value, dict):
                config[section][key] = {**config[section].get(key, {}), **value}
            else:
                config[section][key] = value
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole small run was made."""
    folder = tmp_path_factory.mktemp("expression")
    run_workflow(folder, CONFIG, "--quiet", "rules", check=True)
    return folder


def plan(folder: Path, /, **sections: Any) -> Counter[str]:
    """Count the jobs that a changed configuration would run in the finished folder."""
    output = run_workflow(folder, changed(**sections), "--dry-run", "--quiet", "rules", check=True)
    return Counter(tiny.planned(output.stdout))


def of_model(run: Path, model: str, file: str) -> Path:
    return run / f"results/{NAME}/expression/{HARD}/{model}/seed0/{file}"


def test_a_run_of_the_expression_arm_alone_makes_every_table(run):
    tables = {path.stem: pd.read_csv(path) for path in run.glob(f"results/{NAME}/tables/*.csv")}

    assert {"fimba", "smallest_k", "ablation", "poisoning", "comparison"} <= set(tables)
    assert {"expression_data", "expression_models", "importance", "vae"} <= set(tables)
    assert all(len(table) for table in tables.values())
    assert set(tables["fimba"]["model"]) == set(MODELS)
    assert set(tables["expression_hardening"]["model"]) == {"random_forest"}
    assert half_written(run) == []


def test_a_second_call_does_nothing(run):
    assert plan(run) == {}


def test_more_features_than_there_are_stand_in_the_table_with_a_status(run):
    table = pd.read_csv(run / f"results/{NAME}/tables/fimba.csv")
    n_genes = pd.read_parquet(run / f"results/{NAME}/data/{HARD}/seed0/genes.parquet").shape[0]
    status = table.set_index("k")["status"]

    assert set(status.loc[[200]]) == {"k_exceeds_features"}
    assert "k_exceeds_features" not in set(status.loc[[2, n_genes]])


def test_random_features_are_the_same_for_all_models(run):
    tables = [pd.read_parquet(of_model(run, model, "fimba.parquet")) for model in MODELS]
    keys = ["targets", "feature_set", "values", "k", "t", "id"]
    forest, boosting = (
        table[(table["features"] == "random") & (table["values"] == "uniform")].set_index(keys)
        for table in tables
    )

    assert len(forest)
    pd.testing.assert_series_equal(forest["l2"], boosting["l2"])


def csv(rows: list[str]) -> str:
    return "\n".join(rows) + "\n"


def good_rows(n: int = 40) -> list[str]:
    rng = np.random.default_rng(0)
    values = rng.integers(1, 50, (n, 4))
    lines = [f"{i % 2}," + ",".join(map(str, row)) for i, row in enumerate(values)]
    return ["label,A,B,C,D", *lines]


BROKEN = {
    "label column missing": ([row.split(",", 1)[1] for row in good_rows()], {}, "label"),
    "a negative count": ([*good_rows(), "0,1,-2,3,4"], {"values": "counts"}, "-2"),
    "fewer samples than folds": (good_rows(8), {"split": "folds"}, "fold"),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_in_a_table_ends_with_one_line(tmp_path, mistake):
    rows, more, part = BROKEN[mistake]
    (tmp_path / "mine.csv").write_text(csv(rows))
    entry = {"format": "csv", "matrix": {"kind": "path", "path": "mine.csv"}, **more}
    config = changed(run={"datasets": ["mine"]}) | {"datasets": {"mine": entry}}
    target = f"results/{NAME}/data/mine/seed0/card.json"

    finished = run_workflow(tmp_path, config, target, "--quiet", "all")

    assert_one_line(finished, "", part)
    assert half_written(tmp_path) == []
    assert not (tmp_path / target).exists()


def test_a_truncated_gzip_ends_with_one_line(tmp_path):
    whole = gzip.compress(csv(good_rows()).encode())
    (tmp_path / "mine.csv.gz").write_bytes(whole[: len(whole) // 2])
    entry = {"format": "csv", "matrix": {"kind": "path", "path": "mine.csv.gz"}}
    config = changed(run={"datasets": ["mine"]}) | {"datasets": {"mine": entry}}

    finished = run_workflow(tmp_path, config, "--quiet", "all")

    assert_one_line(finished, "mine.csv.gz")


def test_a_users_own_table_is_read_where_it_lies_and_again_when_it_changes(tmp_path):
    (tmp_path / "mine.csv").write_text(csv(good_rows()))
    entry = {"format": "csv", "matrix": {"kind": "path", "path": "mine.csv"}}
    config = changed(run={"datasets": ["mine"]}) | {"datasets": {"mine": entry}}
    target = f"results/{NAME}/data/mine/seed0/card.json"

    run_workflow(tmp_path, config, target, "--quiet", "all", check=True)
    quiet = run_workflow(tmp_path, config, target, "--dry-run", check=True)
    (tmp_path / "mine.csv").write_text(csv(good_rows(42)))
    again = run_workflow(tmp_path, config, target, "--dry-run", check=True)

    assert "Nothing to be done" in quiet.stdout + quiet.stderr
    assert "rule prepare_expression" in again.stdout
    assert not (tmp_path / "resources/datasets").exists()
    shutil.rmtree(tmp_path / "results")


def test_a_classifier_without_errors_has_a_status_and_no_crash(tmp_path):
    rows = [f"{i % 2}," + ",".join([str(50 * (i % 2) + i / 100)] * 4) for i in range(60)]
    (tmp_path / "mine.csv").write_text(csv(["label,A,B,C,D", *rows]))
    entry = {"format": "csv", "matrix": {"kind": "path", "path": "mine.csv"}}
    config = changed(
        run={"datasets": ["mine"], "models": ["random_forest"]},
        vae={"fractions": []},
        poisoning={"rates": []},
        expression_hardening={"models": []},
        comparison={"attacks": []},
    )
    config["datasets"] = {"mine": entry}
    target = f"results/{NAME}/expression/mine/random_forest/seed0"

    run_workflow(tmp_path, config, "--quiet", "rules", check=True)

    out_of_fold = pd.read_parquet(tmp_path / target / "out_of_fold.parquet")
    rows = pd.read_parquet(tmp_path / target / "fimba.parquet")
    table = pd.read_csv(tmp_path / f"results/{NAME}/tables/fimba.csv")
    assert out_of_fold["correct"].all()
    assert set(rows[rows["targets"] == "error"]["status"]) <= {"no_targets", "k_exceeds_features"}
    shown = table[(table["targets"] == "error") & (table["k"] == 2)]
    assert len(shown)
    assert set(shown["status"]) == {"no_targets"}


def test_a_mistake_in_the_configuration_ends_with_one_line(workflow):
    run = workflow(changed(models={"xgboost": {"tree": 5}}), "--dry-run", "--quiet", "all")

    assert_one_line(run, "config, models/xgboost", "trees")
