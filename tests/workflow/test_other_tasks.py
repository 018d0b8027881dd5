"""Tasks that are no promoters run through the same graph of jobs."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny

from genosiege import files

ATTACKS = ["random", "natural", "greedy", "genetic", "gradient", "known"]


def config(name: str, source: dict[str, Any], **task: Any) -> dict[str, Any]:
    """Lay a task of one's own over the tiny run, with the cnn and all attacks in DNA space."""
    overlay = copy.deepcopy(tiny.CONFIG)
    overlay["run"] |= {"tasks": [name], "encoders": [tiny.CNN], "seeds": [0], "attacks": ATTACKS}
    overlay["tasks"] = {name: {"source": source, **task}}
    overlay["sampling"] = {"attack_samples": 6}
    overlay["compute"]["shard_size"] = 1000
    overlay["attacks"] |= {
        "random": {"query_budget": 60},
        "natural": {"draws": 40},
        "gradient": {"query_budget": 200, "verified": 8},
        "known": {"kind": "variants", "path": "known.tsv"},
    }
    return overlay


def write_variants(table: pd.DataFrame, path: Path) -> None:
    """List for every third base of each sequence its transition."""
    transitions = str.maketrans("ACGT", "GTAC")
    rows = [
        (f"test:{row}", position, sequence[position], sequence[position].translate(transitions))
        for row, sequence in enumerate(table["sequence"])
        for position in range(0, len(sequence), 3)
        if sequence[position] in "ACGT"
    ]
    columns = ["id", "position", "ref", "alt"]
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)


def attacked(folder: Path, task: str, attack: str) -> pd.DataFrame:
    baseline = f"results/{tiny.NAME}/sequence/{task}/{tiny.CNN}/seed0/baseline"
    return pd.read_parquet(folder / baseline / f"attacks/{attack}/test.parquet")


def assert_suite_ran(folder: Path, task: str, variants: pd.DataFrame) -> None:
    table = pd.read_csv(folder / f"results/{tiny.NAME}/tables/attacks.csv")
    assert sorted(table["attack"]) == sorted(ATTACKS)
    allowed = set(zip(variants["id"], variants["position"], variants["alt"], strict=True))
    for row in attacked(folder, task, "known").itertuples():
        for edit in filter(None, row.edits.split(";")):
            position, change = edit.split(":")
            assert (row.id, int(position), change[-1]) in allowed
    gradients = attacked(folder, task, "gradient")
    assert (gradients.loc[gradients["correct_before"], "n_gradients"] > 0).all()


@pytest.fixture
def enhancers(tmp_path: Path) -> Path:
    """Enhancers that are rich in GC, of various lengths, as genomic_benchmarks keeps them."""
    rng = np.random.default_rng(0)
    composition = {"negative": [0.3, 0.2, 0.2, 0.3], "positive": [0.1, 0.4, 0.4, 0.1]}
    for split, n in (("train", 60), ("test", 12)):
        for label, shares in composition.items():
            folder = tmp_path / "enhancers" / split / label
            folder.mkdir(parents=True)
            for i in range(n):
                letters = rng.choice(list("ACGT"), rng.integers(60, 120), p=shares)
                (folder / f"{i}.txt").write_text("".join(letters))
    return tmp_path


def test_enhancers_of_various_lengths_run_through_the_whole_suite(workflow, enhancers):
    source = {"kind": "path", "path": "enhancers", "layout": "class_folders"}
    overlay = config("enhancers", source)
    table = f"results/{tiny.NAME}/data/enhancers/test.parquet"
    (enhancers / "known.tsv").write_text("id\tposition\tref\talt\n")
    workflow(overlay, table, check=True)
    write_variants(pd.read_parquet(enhancers / table), enhancers / "known.tsv")

    workflow(overlay, check=True)

    card = files.read_json(enhancers / f"results/{tiny.NAME}/data/enhancers/card.json")
    assert {name: split["rows"]["official"] for name, split in card["splits"].items()} == {
        "train": 108, "dev": 12, "test": 24,
    }  # fmt: skip
    variants = pd.read_csv(enhancers / "known.tsv", sep="\t")
    assert_suite_ran(enhancers, "enhancers", variants)


@pytest.mark.real
def test_splice_sites_of_three_classes_run_through_the_whole_suite(workflow, shared, tmp_path):
    # The official train split is not at hand: dev is divided in its place.
    folder = shared / "data/gue/splice_reconstructed"
    dev, test = pd.read_csv(folder / "dev.csv"), pd.read_csv(folder / "test.csv")
    (tmp_path / "splice").mkdir()
    dev.iloc[600:].to_csv(tmp_path / "splice/train.csv", index=False)
    dev.iloc[:600].to_csv(tmp_path / "splice/dev.csv", index=False)
    test.iloc[:600].to_csv(tmp_path / "splice/test.csv", index=False)
    source = {"kind": "path", "path": "splice/{split}.csv"}
    overlay = config("splice", source, n_classes=3)
    write_variants(test.iloc[:600], tmp_path / "known.tsv")

    workflow(overlay, check=True)

    assert set(attacked(tmp_path, "splice", "genetic")["label"]) == {0, 1, 2}
    assert_suite_ran(tmp_path, "splice", pd.read_csv(tmp_path / "known.tsv", sep="\t"))
