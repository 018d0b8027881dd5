"""Detection in both arms as a small real run: what it makes, and what a change of it runs again."""

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
from calling import run_workflow
from endings import assert_one_line, half_written

NAME = "detection"
MODELS = ("random_forest", "xgboost")
DATASET = tiny.DATASET
TABLES = ("make_detection_tables", "draw_detection", *tiny.FRONT_PAGE)

CONFIG: dict[str, Any] = {
    "run": {
        "name": NAME,
        "seeds": [0],
        "tasks": [tiny.TASK],
        "encoders": [tiny.CNN, tiny.DNABERT2],
        "attacks": ["genetic"],
        "defences": [],
        "datasets": [DATASET],
        "models": list(MODELS),
    },
    "sampling": {"attack_samples": tiny.ATTACKED, "attack_seeds": [0]},
    "compute": tiny.CONFIG["compute"],
    "certify": {"max_edits": 0},
    "fimba": {"k": [2, "all"], "random_sets": 1, "folds": 2, "explain_samples": 20,
              "smallest_k": None},
    "vae": {"fractions": [100], "widths": [8], "latent": 2, "epochs": 2, "learning_rate": 0.001},
    "poisoning": {"rates": []},
    "expression_hardening": {"models": []},
    "comparison": {"attacks": []},
    "detection": {
        "trees": 10,
        "mutants": 1,
        "kmer": 2,
        "ssim": {"draws": 4, "permutations": 9, "max_samples": 4},
        "adaptive": {
            "samples": 6,
            "detectors": ["mahalanobis", "kmer"],
            "penalties": [0, 1],
            "k": [2, "all"],
            "t": [0.5, 1.0],
            "query_budget": 40,
        },
    },
    "tasks": tiny.CONFIG["tasks"],
    "encoders": tiny.CONFIG["encoders"],
    "attacks": tiny.CONFIG["attacks"],
    **tiny.EXPRESSION,
}  # fmt: skip


def changed(**options: Any) -> dict[str, Any]:
    """Give the configuration with some options of `detection` replaced, two levels deep."""
    config = copy.deepcopy(CONFIG)
    for key, value in options.items():
        old = config["detection"].get(key)
        config["detection"][key] = {**old, **value} if isinstance(old, dict) else value
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole small run was made."""
    folder = tmp_path_factory.mktemp("detection")
    run_workflow(folder, CONFIG, "--quiet", "rules", check=True)
    return folder


def plan(folder: Path, /, **options: Any) -> Counter[str]:
    """Count the jobs that a changed section would run in the finished folder."""
    output = run_workflow(folder, changed(**options), "--dry-run", "--quiet", "rules", check=True)
    return Counter(tiny.planned(output.stdout))


def table(run: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(run / f"results/{NAME}/tables/{name}.csv", keep_default_na=True)


def of_model(run: Path, file: str, model: str = "random_forest") -> pd.DataFrame:
    folder = run / f"results/{NAME}/expression/{DATASET}/{model}/seed0"
    return pd.read_parquet(folder / file)


def of_encoder(run: Path, file: str, encoder: str = tiny.CNN) -> pd.DataFrame:
    folder = run / f"results/{NAME}/sequence/{tiny.TASK}/{encoder}/seed0/baseline"
    return pd.read_parquet(folder / file)


def test_every_table_holds_both_arms(run):
    for name in ("detection", "best_detector", "adaptive", "roc", "spectra"):
        shown = table(run, name)
        assert set(shown["arm"]) == {"expression", "sequence"}, name
        assert set(shown["model"]) == {*MODELS, tiny.CNN, tiny.DNABERT2}, name
    assert set(table(run, "ssim")["model"]) == set(MODELS)
    assert half_written(run) == []


def test_a_second_call_does_nothing(run):
    assert plan(run) == {}


def test_attacked_expression_is_what_fimba_made(run):
    scored = of_model(run, "detection.parquet")
    scored = scored[scored["attack"] == "fimba"]
    made = of_model(run, "fimba.parquet")
    made = made[made["status"] == "attacked"]
    keys = ["targets", "importance", "features", "feature_set", "values", "k", "id"]

    together = scored.merge(made, on=keys, how="outer", indicator=True)

    # Moving all features is the same in any order: it may stand there once.
    assert set(together.loc[together["k"] == 2, "_merge"]) == {"both"}
    both = together[together["_merge"] == "both"]
    assert (both["moved"].astype(bool) == (both["l0"] > 0)).all()
    wrong_after = both["correct_before_y"].astype(bool) & ~both["correct_after"].astype(bool)
    assert (both["flipped"].astype(bool) == wrong_after).all()


def test_natural_parts_are_the_dev_and_test_splits(run):
    scored = of_model(run, "detection.parquet")
    data = run / f"results/{NAME}/data/{DATASET}/seed0"

    for part, split in (("validation", "dev"), ("natural", "test")):
        ids = pd.read_parquet(data / f"{split}.parquet", columns=["id"])["id"]
        assert sorted(scored.loc[scored["part"] == part, "id"]) == sorted(ids)


def test_mutants_have_as_many_edits_as_their_adversaries(run):
    scored = of_encoder(run, "detection.parquet")
    keys = ["attack", "attack_seed", "id"]
    adversaries = scored[scored["part"] == "adversary"].set_index(keys)["n_edits"]
    mutants = scored[scored["part"] == "mutant"].set_index(keys)["n_edits"]

    assert len(mutants)
    assert (mutants == adversaries.reindex(mutants.index)).all()


def test_an_adaptive_attacker_is_less_suspicious_or_flips_less(run):
    adaptive = table(run, "adaptive")
    adaptive = adaptive[adaptive["detector"] == "mahalanobis"]
    plain, careful = (
        adaptive[adaptive["penalty"] == penalty].set_index(["arm", "model"]) for penalty in (0, 1)
    )

    assert (careful["success"] <= plain["success"].reindex(careful.index)).all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"adaptive": {"query_budget": 41}}, Counter(evade_sequence_detectors=2)),
        ({"mutants": 2}, Counter(detect_sequence=2, evade_sequence_detectors=2)),
        ({"models": ["xgboost"]}, Counter()),
    ],
)
def test_other_settings_rerun_what_they_touch(run, options, expected):
    assert plan(run, **options) == expected + Counter(TABLES)


def test_options_of_fimba_rerun_the_jobs_that_read_them(run):
    config = copy.deepcopy(CONFIG)
    config["fimba"]["neighbours"] = 7
    output = run_workflow(run, config, "--dry-run", "--quiet", "rules", check=True)
    planned = Counter(tiny.planned(output.stdout))

    assert planned["evade_expression_detectors"] == 2
    assert not planned["detect_expression"] + planned["compare_spectra"]


def test_an_arm_can_be_left_out(run):
    only_sequence = plan(run, models=[])

    assert only_sequence == Counter(TABLES)
    assert plan(run, models=[], sequence=[]) == Counter(tiny.FRONT_PAGE)


def test_a_classifier_without_errors_has_no_natural_error_to_be_compared_with(tmp_path):
    # Classes far apart, genes that vary on their own.
    values = np.random.default_rng(0).normal(50 * (np.arange(60) % 2)[:, None], 1, (60, 8)).round(3)
    rows = [f"{i % 2}," + ",".join(map(str, row)) for i, row in enumerate(values)]
    (tmp_path / "mine.csv").write_text("\n".join(["label," + ",".join("ABCDEFGH"), *rows]) + "\n")
    config = changed(sequence=[], adaptive={"penalties": []})
    config["run"] |= {"tasks": [], "encoders": [], "datasets": ["mine"], "models": [MODELS[0]]}
    config["datasets"] = {"mine": {"format": "csv", "matrix": {"kind": "path", "path": "mine.csv"}}}

    run_workflow(tmp_path, config, "--quiet", "rules", check=True)

    shown = table(tmp_path, "ssim")
    assert "too few samples" in set(shown["reading"])
    assert set(table(tmp_path, "detection")["arm"]) == {"expression"}
    assert not len(table(tmp_path, "adaptive"))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"models": ["cnn"]}, ("config, detection/models[0]", "cnn", "random_forest, xgboost")),
        ({"attacks": ["greedy"]}, ("config, detection/attacks[0]", "greedy", "genetic")),
        ({"expression": ["mahalanobi"]}, ("config, detection/expression", "mahalanobis")),
        ({"adaptive": {"penalties": [float("nan")]}}, ("config, detection/adaptive/penalties[0]",)),
        ({"adaptive": {"k": ["every"]}}, ("config, detection/adaptive/k[0]", "every", "all")),
        (
            {"expression": ["spectral"], "sequence": ["kmer"]},
            ("config, detection/adaptive/detectors[0]", "mahalanobis"),
        ),
    ],
)
def test_a_mistake_in_the_configuration_ends_with_one_line(workflow, options, parts):
    finished = workflow(changed(**options), "--dry-run", "--quiet", "all")

    assert_one_line(finished, *parts)
