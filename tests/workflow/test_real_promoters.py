"""Real promoters end to end, with the encoder that trains in minutes."""

import time
from pathlib import Path

import pandas as pd
import pytest
from calling import run_workflow

from genosiege import files

pytestmark = pytest.mark.real

N_ATTACKED = 40
BASELINE = "results/promoters_cnn/sequence/prom_300_all_shared/cnn/seed0/baseline"


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which `config/results/promoters_cnn.yaml` has been run."""
    folder = tmp_path_factory.mktemp("promoters")
    source = {"kind": "path", "path": str(shared / "data/gue/prom_300_all/{split}.csv")}
    # All that the experiment has, on a part of its sample.
    config = {
        "tasks": {"prom_300_all_shared": {"source": source}},
        "sampling": {"attack_samples": N_ATTACKED},
    }
    start = time.monotonic()
    run_workflow(folder, config, base="results/promoters_cnn.yaml", check=True, timeout=3600)
    print(f"promoters, everything: {time.monotonic() - start:.0f} s on two cores")
    return folder


def test_the_cnn_beats_a_regression_on_kmers(folder):
    metrics = files.read_json(folder / BASELINE / "metrics.json")
    print(f"promoters: accuracy {metrics['accuracy']:.3f}, MCC {metrics['mcc']:.3f}")

    assert metrics["n"] == 5920
    assert metrics["accuracy"] >= 0.88


@pytest.mark.parametrize("attack", ["random", "natural", "greedy", "genetic", "gradient"])
def test_attacks_keep_the_default_constraints_and_the_budget(folder, attack):
    table = pd.read_parquet(folder / BASELINE / f"attacks/{attack}/test.parquet")
    correct = table[table["correct_before"]]
    print(
        f"promoters, {attack}: {correct['success_flip'].sum()} of {len(correct)} flipped, median "
        f"{correct.loc[correct['success_flip'], 'n_edits'].median():.0f} edits and "
        f"{correct['n_queries_unique'].median():.0f} unique queries"
    )

    assert len(table) == N_ATTACKED
    assert (table["gc_shift"].abs() <= 0.05).all()
    assert (table["n_edits"] <= 10).all()
    assert (table["n_queries_unique"] <= 2000).all()


def test_directed_attacks_flip_most_promoters_and_nature_few(folder):
    table = pd.read_csv(folder / "results/promoters_cnn/tables/attacks.csv").set_index("attack")

    assert table.loc["genetic", "flip_rate"] > 0.8
    assert table.loc["gradient", "flip_rate"] > 0.8
    assert table.loc["natural", "flip_rate"] < table.loc["genetic", "flip_rate"]


def test_the_card_tells_of_leakage(folder):
    table = pd.read_csv(folder / "results/promoters_cnn/tables/data.csv").set_index("split")

    assert table.loc["test", "leaked_train"] == 1055


def test_edits_fall_where_mutagenesis_sees_importance(folder):
    table = pd.read_csv(folder / "results/promoters_cnn/tables/interpretability.csv")
    agreement = table[(table["feature"] == "mutagenesis_agreement") & (table["attack"] == "greedy")]

    assert (agreement["low"] > agreement["null_high"]).all()
