"""A user's mistakes in data and checkpoints, through a real snakemake: one line, nothing left."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import run_workflow
from endings import assert_one_line, files_in, half_written
from safetensors.numpy import load_file, save_file

from genosiege import files

GOOD = "sequence,label\n" + "ACGTTGCAACGT,0\nTTTTGGGGCCAA,1\n" * 4
FOLDER = "resources/encoders/mine"
MODEL = "results/main/sequence/mine/small/seed0/baseline/model.safetensors"

# The content of test.csv, and what is said of it.
TABLES: dict[str, tuple[str, str, str]] = {
    "missing column": ("sequence,class\nACGT,0\n", "line 1, header 'sequence,class'", "label"),
    "empty file": ("", "line 1: ", "the file is empty"),
    "header only": ("sequence,label\n", "line 2: ", "no row"),
    "label that is no number": ("sequence,label\nACGT,0\nACGA,x\n", "line 3, label 'x'", "0 to 1"),
    "label out of range": ("sequence,label\nACGT,2\n", "line 2, label '2'", "0 to 1"),
    "no nucleotide": (
        "sequence,label\nACGT,0\nACZT,1\n",
        "line 3, character 'Z' at position 3",
        "no nucleotide",
    ),
    "sequence of length 0": ("sequence,label\nACGT,0\n,1\n", "line 3, sequence ''", "no value"),
}

SMALL_CNN = {
    "kind": "cnn",
    "architecture": {"channels": 4, "blocks": 1},
    "training": {"epochs": 1},
}


def config(encoder: dict[str, Any] | None = None, **task: Any) -> dict[str, Any]:
    """Write an overlay for the local files of `folder`."""
    source = {"kind": "path", "path": "promoters/{split}.csv"}
    name = "mine" if encoder else "small"
    return {
        "run": {
            "tasks": ["mine"],
            "encoders": [name],
            "seeds": [0],
            "defences": [],
            "datasets": [],
        },
        "tasks": {"mine": {"source": source, **task}},
        "encoders": {name: encoder or SMALL_CNN},
    }


def checkpoint(folder: Path) -> dict[str, Any]:
    """Make a checkpoint of one tensor; give the entry of an encoder that is fetched from it."""
    folder.mkdir()
    save_file({"embeddings.weight": np.ones((4, 4), np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    return {"kind": "dnabert2", "source": {"kind": "path", "path": folder.name}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with the three splits of a local task."""
    folder = tmp_path / "work"
    (folder / "promoters").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / f"promoters/{split}.csv").write_text(GOOD)
    return folder


def assert_nothing_made(folder: Path, *unwanted: str) -> None:
    """Fail if an output stands there, or a part of one."""
    assert half_written(folder) == []
    assert [name for name in unwanted if (folder / name).exists()] == []


@pytest.mark.parametrize("mistake", TABLES)
def test_a_bad_table_is_named_with_line_and_value(folder, mistake):
    content, place, what = TABLES[mistake]
    (folder / "promoters/test.csv").write_text(content)

    run = run_workflow(folder, config(), "--until", "prepare_task")

    assert_one_line(run, f"promoters/test.csv, {place}", what)
    assert_nothing_made(folder, "results/main/data")
    logged = (folder / "results/main/logs/prepare_task/mine.log").read_text()
    assert f"Error: promoters/test.csv, {place}" in logged


def test_a_wrong_number_of_rows_is_named_and_the_copy_not_kept(folder):
    overlay = config(rows={"train": 8, "dev": 8, "test": 9})

    run = run_workflow(folder, overlay, "resources/tasks/mine/test.csv")

    assert_one_line(run, "promoters/test.csv: the file has 8 rows, 9 are expected")
    assert_nothing_made(folder, "resources/tasks/mine/test.csv")


def test_a_split_that_disappears_is_named(folder):
    overlay = config()
    run_workflow(folder, overlay, "--until", "download_task", check=True)
    (folder / "promoters/dev.csv").unlink()

    run = run_workflow(folder, overlay, "--until", "prepare_task")

    assert_one_line(run, "config, tasks/mine/source/path", '"promoters/dev.csv"', "split dev")
    assert_nothing_made(folder, "results/main/data")


def damage(weights: Path, how: str) -> None:
    """Spoil a safetensors file."""
    content = weights.read_bytes()
    if how == "cut short":
        weights.write_bytes(content[: len(content) // 2])
    elif how == "no safetensors":
        weights.write_bytes(b"<html>404</html>")
    else:
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("how", ["cut short", "no safetensors"])
def test_a_corrupt_checkpoint_of_an_encoder_is_named_and_not_taken_over(folder, how):
    overlay = config(checkpoint(folder / "theirs"))
    damage(folder / "theirs/model.safetensors", how)

    run = run_workflow(folder, overlay, FOLDER)

    assert_one_line(run, "theirs, model.safetensors: this is no whole safetensors file")
    assert_nothing_made(folder, FOLDER)


def test_an_encoder_without_weights_is_named(folder):
    overlay = config(checkpoint(folder / "theirs"))
    (folder / "theirs/model.safetensors").unlink()

    run = run_workflow(folder, overlay, FOLDER)

    assert_one_line(run, "theirs: there is neither model.safetensors nor pytorch_model.bin")
    assert_nothing_made(folder, FOLDER)


def test_a_fetched_checkpoint_that_disappears_is_named(folder):
    overlay = config(checkpoint(folder / "theirs"))
    run_workflow(folder, overlay, FOLDER, check=True)
    (folder / FOLDER / "model.safetensors").unlink()

    run = run_workflow(folder, overlay, "--until", "tokenize_task")

    assert_one_line(run, f"{FOLDER}/model.safetensors: there is no such checkpoint")
    assert_nothing_made(folder, "results/main/sequence/mine/mine/tokens")


def test_a_damaged_model_of_ours_is_named_and_not_measured(folder):
    run_workflow(folder, config(), MODEL, check=True)
    whole = (folder / MODEL).read_bytes()
    metrics = MODEL.replace("model.safetensors", "metrics.json")

    for how in ("cut short", "one bit"):
        (folder / MODEL).write_bytes(whole)
        damage(folder / MODEL, how)
        before = files_in(folder / "results/main/sequence")

        run = run_workflow(folder, config(), metrics)

        assert_one_line(run, f"{MODEL}: ")
        assert files_in(folder / "results/main/sequence") == before
        assert_nothing_made(folder, metrics)


# The folders of their logs.
ASKING = ("evaluate", "attack", "certify", "latent_attack", "evade_sequence_detectors")


def break_answers(model: Path) -> None:
    """Put NaN in place of a model's last weights, and its right digest beside them."""
    weights = load_file(model)
    last = max(name for name in weights if name.startswith("head."))
    weights[last] = np.full_like(weights[last], np.nan)
    save_file(weights, model)
    beside = model.with_name("model.json")
    files.write_json(files.read_json(beside) | {"weights_sha256": files.sha256(model)}, beside)


def test_a_model_without_finite_answers_stops_every_job_and_no_table_is_made(folder):
    overlay = config()
    overlay["run"]["attacks"] = ["greedy", "latent_fgsm"]
    run_workflow(folder, overlay, MODEL, check=True)
    break_answers(folder / MODEL)

    run = run_workflow(folder, overlay, "--keep-going")

    output = run.stdout + run.stderr
    assert run.returncode != 0, output
    assert "Traceback" not in output, output
    said = [line for line in output.splitlines() if line.startswith("Error:")]
    # As many as there are jobs that ask it, and nothing of others.
    assert len(said) == len(ASKING), output
    for line in said:
        assert line.startswith(f"Error: {MODEL}: its answer to sequence "), output
        assert " is not finite: " in line
    for job in ASKING:
        logs = [path.read_text() for path in (folder / "results/main/logs" / job).rglob("*.log")]
        assert [log.count("Error: ") for log in logs] == [1], job
    assert list((folder / "results/main/tables").glob("*.csv")) == []
    assert half_written(folder) == []
