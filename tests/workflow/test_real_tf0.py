"""A published model on its own task: what other attacks on it were measured against."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from calling import run_workflow

from genosiege import files

pytestmark = pytest.mark.real

FOLDER = "results/tf0_mistral/sequence/{task}/mistral_dna_tf0/seed0/baseline"
SPLITS = ("train", "dev", "test")
N_REPLAYS = 8


def config(shared: Path, **changes: dict[str, Any]) -> dict[str, Any]:
    """Lay absolute paths over `config/results/tf0_mistral.yaml`, whose own are relative."""
    task = {"kind": "path", "path": str(shared / "data/gue/tf_0/{split}.csv")}
    encoder = {"kind": "path", "path": str(shared / "models/mistral_dna_tf0")}
    return {
        "tasks": {"tf_0_shared": {"source": task}},
        "encoders": {"mistral_dna_tf0": {"source": encoder}},
        **changes,
    }


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which the experiment has been run."""
    folder = tmp_path_factory.mktemp("tf0")
    run_workflow(folder, config(shared), base="results/tf0_mistral.yaml", check=True, timeout=3600)
    return folder


@pytest.fixture(scope="module")
def attacks(folder: Path) -> pd.DataFrame:
    """The table of attacks, one row each."""
    table = pd.read_csv(folder / "results/tf0_mistral/tables/attacks.csv").set_index("attack")
    print(table[["n_flips", "median_edits", "median_queries_unique"]].to_string())
    return table


def rows_of(folder: Path, attack: str) -> pd.DataFrame:
    """Read the rows of all sequences that the model classifies correctly."""
    baseline = folder / FOLDER.format(task="tf_0_shared")
    table = pd.read_parquet(baseline / f"attacks/{attack}/test.parquet")
    return table[table["correct_before"]]


def test_the_published_model_is_as_good_as_published(folder):
    metrics = files.read_json(folder / FOLDER.format(task="tf_0_shared") / "metrics.json")

    assert metrics["n"] == 1000
    assert metrics["mcc"] == pytest.approx(0.507, abs=0.01)


def test_one_edit_flips_exactly_346_sequences(folder):
    certificate = pd.read_parquet(folder / FOLDER.format(task="tf_0_shared") / "certify.parquet")

    status = certificate["status"].value_counts().to_dict()
    assert status == {"flipped": 346, "robust": 749 - 346, "skipped_misclassified": 251}


def test_every_attack_flips_as_many_as_was_measured_before(folder, attacks):
    assert (attacks["n_correct"] == 749).all()
    assert attacks.loc["greedy", "n_flips"] == pytest.approx(727, abs=2)
    # Wilson's interval around 625 of 749, the reference's own count.
    assert 603 <= attacks.loc["random", "n_flips"] <= 645
    assert attacks.loc["genetic", "n_flips"] >= 740
    assert attacks.loc["genetic_pareto", "n_flips"] >= 735
    assert attacks.loc["gradient", "n_flips"] >= 740
    assert attacks.loc["natural", "n_flips"] < attacks.loc["random", "n_flips"]
    assert attacks.loc["genetic", "median_queries_unique"] <= 120
    assert (attacks["flips_lost_on_rescoring"] == 0).all()


def test_greedy_and_pareto_find_the_flips_by_one_edit_that_exist(folder):
    certificate = pd.read_parquet(folder / FOLDER.format(task="tf_0_shared") / "certify.parquet")
    exact = set(certificate.loc[certificate["status"] == "flipped", "id"])

    found = {}
    for attack in ("greedy", "genetic_pareto"):
        rows = rows_of(folder, attack)
        found[attack] = set(rows.loc[rows["success_flip"] & (rows["n_edits"] == 1), "id"])

    assert found["greedy"] == exact
    assert found["genetic_pareto"] <= exact
    assert len(found["genetic_pareto"]) >= 0.95 * len(exact)


def test_the_worst_case_is_never_above_any_attack(folder):
    table = pd.read_csv(folder / "results/tf0_mistral/tables/worst_case.csv")
    curves = table.pivot(index="edit_budget", columns="attack", values="robust_accuracy")
    edits = table.pivot(index="edit_budget", columns="attack", values="median_edits")

    assert list(curves.index) == list(range(6))
    others = curves.drop(columns="worst_case")
    assert {"certify", "genetic", "greedy", "gradient", "random", "natural"} <= set(others)
    assert (others.min(axis=1) >= curves["worst_case"]).all()
    # One edit: exact.
    assert curves.loc[1, "worst_case"] == curves.loc[1, "certify"] == (749 - 346) / 1000
    assert edits.loc[5].drop("certify").notna().all()


def test_the_published_search_flips_half_of_the_first_forty(folder, shared):
    first = (
        rows_of(folder, "genetic")
        .head(40)[["original", "label"]]
        .set_axis(["sequence", "label"], axis=1)
    )
    (folder / "first_forty").mkdir()
    for split in SPLITS:
        first.to_csv(folder / f"first_forty/{split}.csv", index=False)
    overlay = config(shared, run={"tasks": ["first_forty"], "attacks": ["published_code"]})
    source = {"kind": "path", "path": "first_forty/{split}.csv"}
    overlay["tasks"]["first_forty"] = {"source": source}
    # One run of forty is off by 3 flips either way by chance; eight are off by one.
    overlay["certify"] = {"max_edits": 0}
    overlay["sampling"] = {"attack_samples": None, "attack_seeds": list(range(N_REPLAYS))}
    table = f"{FOLDER.format(task='first_forty')}/attacks/published_code/test.parquet"

    run_workflow(folder, overlay, table, base="results/tf0_mistral.yaml", check=True)

    attacked = pd.read_parquet(folder / table)
    rate = attacked["flipped"].mean()
    flips = attacked.groupby("attack_seed")["flipped"].sum().tolist()
    print(
        f"published_code: {flips} of 40 flipped, {rate:.3f} in all, median "
        f"{attacked['n_queries'].median():.0f} queries, "
        f"{attacked['n_queries_unique'].median():.0f} unique"
    )
    assert attacked["correct_before"].all()
    assert len(attacked) == 40 * N_REPLAYS
    assert 0.33 <= rate <= 0.65
