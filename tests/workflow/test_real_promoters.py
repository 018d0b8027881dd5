"""Real promoters end to end, with the encoder that trains in minutes."""

import time
from pathlib import Path

import pandas as pd
import pytest
from calling import run_workflow

from genosiege import files

pytestmark = pytest.mark.real

BASELINE = "results/promoters_cnn/sequence/prom_300_all_shared/cnn/seed0/baseline"


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which `config/results/promoters_cnn.yaml` has been run."""
    folder = tmp_path_factory.mktemp("promoters")
    source = {"kind": "path", "path": str(shared / "data/gue/prom_300_all/{split}.csv")}
    config = {"tasks": {"prom_300_all_shared": {"source": source}}}
    start = time.monotonic()
    run_workflow(folder, config, base="results/promoters_cnn.yaml", check=True, timeout=3600)
    print(f"promoters, everything: {time.monotonic() - start:.0f} s on two cores")
    return folder


def test_the_cnn_beats_a_regression_on_kmers(folder):
    metrics = files.read_json(folder / BASELINE / "metrics.json")
    print(f"promoters: accuracy {metrics['accuracy']:.3f}, MCC {metrics['mcc']:.3f}")

    assert metrics["n"] == 5920
    assert metrics["accuracy"] >= 0.88


def test_a_hundred_test_sequences_are_attacked_under_the_default_constraints(folder):
    table = pd.read_parquet(folder / BASELINE / "attacks/genetic/test.parquet")
    correct = table[table["correct_before"]]
    print(
        f"promoters: {correct['success_flip'].sum()} of {len(correct)} flipped, median "
        f"{correct.loc[correct['success_flip'], 'n_edits'].median():.0f} edits and "
        f"{correct['n_queries_unique'].median():.0f} unique queries"
    )

    assert len(table) == 100
    assert (table["gc_shift"].abs() <= 0.05).all()
    assert (table["n_edits"] <= 10).all()
    assert (correct["success_flip"].mean()) > 0.5
    assert (folder / "results/promoters_cnn/tables/attacks.csv").is_file()
    assert (folder / "results/promoters_cnn/figures/edit_positions.svg").is_file()
