"""A published model on its own task: what other attacks on it were measured against."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from calling import run_workflow

from genosiege import files

pytestmark = pytest.mark.real

FOLDER = "results/tf0_mistral/sequence/{task}/mistral_dna_tf0/seed0/baseline"
BENCHMARK = (
    "results/tf0_mistral/benchmarks/attack/"
    "tf_0_shared.mistral_dna_tf0.seed0.baseline.genetic.test.shard0.tsv"
)
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
    run_workflow(folder, config(shared), base="results/tf0_mistral.yaml", check=True)
    return folder


@pytest.fixture(scope="module")
def correct(folder: Path) -> pd.DataFrame:
    """The attack's rows of all sequences that the model classifies correctly."""
    baseline = folder / FOLDER.format(task="tf_0_shared")
    table = pd.read_parquet(baseline / "attacks/genetic/test.parquet")
    return table[table["correct_before"]]


def test_the_published_model_is_as_good_as_published(folder):
    metrics = files.read_json(folder / FOLDER.format(task="tf_0_shared") / "metrics.json")

    assert metrics["n"] == 1000
    assert metrics["mcc"] == pytest.approx(0.507, abs=0.01)


def test_the_genetic_attack_flips_nearly_every_sequence_with_few_queries(folder, correct):
    queries = correct["n_queries_unique"].median()
    seconds = float(pd.read_csv(folder / BENCHMARK, sep="\t")["s"].iloc[0]) / len(correct)
    print(
        f"genetic: {correct['success_flip'].sum()} of {len(correct)} flipped, median {queries:.0f} "
        f"unique queries, {seconds:.3f} s per attacked sequence"
    )

    assert len(correct) == 749
    assert (correct["n_edits"] <= 5).all()
    assert correct["success_flip"].mean() >= 0.98
    assert queries <= 120


def test_the_published_search_flips_half_of_the_first_forty(folder, shared, correct):
    first = correct.head(40)[["original", "label"]].set_axis(["sequence", "label"], axis=1)
    (folder / "first_forty").mkdir()
    for split in SPLITS:
        first.to_csv(folder / f"first_forty/{split}.csv", index=False)
    overlay = config(shared, run={"tasks": ["first_forty"], "attacks": ["published_code"]})
    source = {"kind": "path", "path": "first_forty/{split}.csv"}
    overlay["tasks"]["first_forty"] = {"source": source}
    # One run of forty is off by 3 flips either way by chance; eight are off by one.
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
