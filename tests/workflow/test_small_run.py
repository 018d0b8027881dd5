"""A whole run of a few sequences: its files, and what it reruns after a change."""

import copy
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest
import tiny
from calling import REPOSITORY, run_workflow
from safetensors.numpy import load_file

from genosiege import files
from genosiege.input_checks import PASSED, PHRASES
from genosiege.sequence import known_truth, tables

RESULTS = f"results/{tiny.NAME}"
N_MODELS = 2 * len(tiny.SEEDS)
SPLITS = {"train": 120, "dev": 40, "test": 40}
MODELS = [(encoder, seed) for encoder in (tiny.CNN, tiny.DNABERT2) for seed in tiny.SEEDS]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workflow in which the tiny run is done; its own working directory."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("workflow", "config", "envs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
    run_workflow(folder, tiny.CONFIG, root=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def results(checkout: Path) -> Path:
    return checkout / RESULTS


Plan = Callable[..., dict[str, int]]


@pytest.fixture
def plan(checkout: Path) -> Plan:
    """What a dry run would do, with some options changed."""

    def dry_run(**sections: dict[str, Any]) -> dict[str, int]:
        config = copy.deepcopy(tiny.CONFIG)
        for section, change in sections.items():
            for key, value in change.items():
                old = config.setdefault(section, {}).get(key)
                config[section][key] = {**old, **value} if isinstance(old, dict) else value
        run = run_workflow(checkout, config, "--dry-run", root=checkout, check=True)
        return tiny.planned(run.stdout + run.stderr)

    return dry_run


def test_the_configuration_that_a_run_keeps_asks_for_nothing_else(checkout):
    kept = files.read_json(checkout / RESULTS / "config.json")

    plan = run_workflow(checkout, kept, "--dry-run", root=checkout, check=True)

    assert "Nothing to be done" in plan.stdout + plan.stderr


def test_prepared_data_have_the_columns_of_the_contract(results):
    for split, n in SPLITS.items():
        table = pd.read_parquet(results / f"data/{tiny.TASK}/{split}.parquet")
        assert list(table) == ["id", "sequence", "label", "group", "relative_labels"]
        assert list(table["id"]) == [f"{split}:{row}" for row in range(n)]
        assert table["sequence"].str.fullmatch("[ACGTN]{80}").all()
        assert table["label"].dtype == table["group"].dtype == "int64"
    assert files.read_json(results / f"data/{tiny.TASK}/card.json")["task"] == tiny.TASK


def test_tokens_and_features_have_a_row_for_each_sequence(results):
    folder = results / "sequence" / tiny.TASK / tiny.DNABERT2
    for split, n in SPLITS.items():
        tokens = load_file(folder / f"tokens/{split}.safetensors")
        features = load_file(folder / f"embeddings/{split}.safetensors")["features"]
        assert tokens["input_ids"].shape == (n, tokens["lengths"].max())
        assert tokens["input_ids"].dtype == "int32"
        assert features.shape == (n, 24)
        assert features.dtype == "float32"
    for name in ("encoder.safetensors", "encoder.json", "tokenizer.json"):
        assert (folder / name).is_file()


@pytest.mark.parametrize(("encoder", "seed"), MODELS)
def test_a_model_comes_with_its_description_and_metrics(results, encoder, seed):
    folder = results / f"sequence/{tiny.TASK}/{encoder}/seed{seed}/baseline"
    description = files.read_json(folder / "model.json")
    metrics = files.read_json(folder / "metrics.json")

    weights = load_file(folder / "model.safetensors")
    if encoder == tiny.DNABERT2:
        encoder_file = folder.parents[1] / "encoder.safetensors"
        assert description["encoder_sha256"] == files.sha256(encoder_file)
        assert all(name.startswith("head.") for name in weights)
    else:
        assert description["encoder_sha256"] is None
        assert metrics["parameters"]["frozen"] == 0
    wanted = {"task": tiny.TASK, "encoder": encoder, "seed": seed, "stage": "baseline", "n": 40}
    assert {key: metrics[key] for key in wanted} == wanted
    assert set(metrics) > {"accuracy", "mcc", "f1", "auroc", "ece", "mean_margin", "parameters"}
    assert set(metrics["accuracy_interval"]) == set(metrics["mcc_interval"]) == {"low", "high"}
    assert metrics["mcc_interval"]["low"] <= metrics["mcc"] <= metrics["mcc_interval"]["high"]
    assert metrics["input_check"] in {PASSED, *PHRASES}
    assert sum(map(sum, metrics["confusion_matrix"])) == 40


@pytest.mark.parametrize("attack", tiny.SEARCHES)
@pytest.mark.parametrize(("encoder", "seed"), MODELS)
def test_an_attack_table_has_a_row_for_each_sequence_and_attack_seed(
    results, encoder, seed, attack
):
    path = results.parents[1] / tiny.attack_table(encoder, seed, attack)
    table = pd.read_parquet(path)
    sample = pd.read_parquet(results / f"sequence/{tiny.TASK}/{encoder}/samples/test.parquet")

    # pandas 2 and 3 name the kind of text differently.
    kinds = {name: str(kind).replace("object", "str") for name, kind in table.dtypes.items()}
    assert list(kinds.items()) == list((tables.ATTACK_COLUMNS | known_truth.ROWS).items())
    assert list(sample) == ["id", "sequence", "label"]
    assert list(table["id"]) == list(sample["id"]) * len(tiny.ATTACK_SEEDS)
    assert list(table["attack_seed"]) == [s for s in tiny.ATTACK_SEEDS for _ in range(12)]
    assert ((table["status"] == "success") == table["success_flip"]).all()
    assert set(table["pruned"]) <= {"", "complete", "cut"}
    assert (table["pruned"][table["n_edits_before_pruning"] < 2] == "").all()
    assert ((table["status"] == "skipped_misclassified") == ~table["correct_before"]).all()
    budget = tiny.CONFIG["attacks"][attack]["query_budget"]
    assert (table["n_queries_unique"] <= budget).all()
    schema = pyarrow.parquet.read_schema(path)
    assert int(schema.metadata[b"search_flips_lost"]) >= 0
    assert schema.metadata[b"precision"] == b"fp32"
    assert schema.metadata[b"batching"] == b"per_sequence"


def test_the_tables_sum_up_every_model(results):
    baseline = pd.read_csv(results / "tables/baseline.csv")
    attacks = pd.read_csv(results / "tables/attacks.csv")
    data = pd.read_csv(results / "tables/data.csv")

    assert list(zip(baseline["encoder"], baseline["seed"], strict=True)) == MODELS
    key = ["encoder", "seed", "attack"]
    expected = [(*model, attack) for model in MODELS for attack in tiny.SEARCHES]
    assert list(attacks[key].itertuples(index=False, name=None)) == expected
    assert list(data["split"]) == list(SPLITS)
    by_class = pd.read_csv(results / "tables/by_class.csv")
    assert list(by_class.groupby(["encoder", "seed"])["n_test"].sum()) == [40] * N_MODELS
    assert list(by_class.groupby(["encoder", "seed"])["n_sequences"].sum()) == [12] * N_MODELS
    for row in attacks.itertuples():
        path = results.parents[1] / tiny.attack_table(row.encoder, row.seed, row.attack)
        assert row.n_flips == pd.read_parquet(path)["success_flip"].sum()
    assert not [name for table in (baseline, attacks) for name in table if "seconds" in name]


def test_heavy_jobs_leave_their_times_and_no_job_leaves_its_state(checkout, results):
    kinds = {path.name for path in (results / "benchmarks").iterdir()}
    assert {"attack", "certify", "embed", "fine_tune", "latent_attack", "train_encoder"} <= kinds
    n_jobs = N_MODELS * len(tiny.SEARCHES) * (tiny.SHARDS + 1)
    assert len(list((results / "benchmarks/attack").iterdir())) == n_jobs
    assert not list(checkout.glob("results/**/*.state"))
    assert not list(checkout.glob("results/**/.*"))
    assert not list(checkout.glob("resources/**/.*"))


def test_a_second_call_finds_nothing_to_do(checkout):
    run = run_workflow(checkout, tiny.CONFIG, root=checkout, check=True)

    assert "Nothing to be done" in run.stdout + run.stderr


def test_files_that_only_look_newer_rerun_nothing(checkout, plan):
    for pattern in ("workflow/**/*", "resources/**/*.csv", "results/**/*.*"):
        for path in checkout.glob(pattern):
            os.utime(path)

    assert plan() == {}


def test_an_edited_module_reruns_its_dependents_and_an_edit_taken_back_nothing(checkout, plan):
    path = checkout / "workflow/scripts/genosiege/sequence/certificates.py"
    before = path.read_text()
    path.write_text(before + "\n_EDITED = 1\n")
    edited = plan()
    path.write_text(before)

    reports = {
        "make_audit_tables": 1, "interpret": 1, "draw_figures": 1, "draw_interactive": 1,
        "tell_findings": 1, "sum_up_times": 1,
    }  # fmt: skip
    assert edited == {"certify": N_MODELS, **reports}
    # The file is newer than all results; its content is as it was.
    assert plan() == {}


def test_a_deleted_model_is_made_again_as_it_was(checkout):
    model = checkout / RESULTS / f"sequence/{tiny.TASK}/{tiny.CNN}/seed1/baseline/model.safetensors"
    digest = files.sha256(model)
    table = (checkout / tiny.attack_table(tiny.CNN, 1)).read_bytes()
    model.unlink()

    run = run_workflow(checkout, tiny.CONFIG, root=checkout, check=True)

    assert tiny.planned(run.stdout + run.stderr)["fine_tune"] == 1
    assert "train_encoder" not in tiny.planned(run.stdout + run.stderr)
    assert files.sha256(model) == digest
    assert (checkout / tiny.attack_table(tiny.CNN, 1)).read_bytes() == table


def test_the_report_holds_tables_figures_and_captions(checkout):
    run_workflow(
        checkout, tiny.CONFIG, "--report", f"{RESULTS}/report.html", root=checkout, check=True
    )
    page = (checkout / RESULTS / "report.html").read_text()

    for caption in ("How the models withstand each attack", "How well each model classifies"):
        assert caption in page
    for result in ("attacks.csv", "baseline.csv", "edits_per_success.svg", "confidence.svg"):
        assert result in page
    assert "How robust are models of the genome" in page
    assert "What came out" in page


def test_two_reports_of_one_run_are_equal(checkout):
    one, other = (checkout / RESULTS / f"report{number}.html" for number in (1, 2))
    for path in (one, other):
        run_workflow(checkout, tiny.CONFIG, "--report", str(path), root=checkout, check=True)

    assert blanked(one.read_text()) == blanked(other.read_text())


def blanked(report: str) -> str:
    """Take out when the report was made."""
    return re.sub(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "", report)


def test_a_large_run_is_reported_as_an_archive(checkout):
    archive = checkout / RESULTS / "report.zip"
    run_workflow(checkout, tiny.CONFIG, "--report", str(archive), root=checkout, check=True)

    with zipfile.ZipFile(archive) as report:
        names = [Path(name).name for name in report.namelist()]
    assert {"report.html", "attacks.csv", "edit_explorer.html"} <= set(names)
