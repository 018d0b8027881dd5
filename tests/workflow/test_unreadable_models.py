"""Models that cannot read their input, through a real snakemake: one line, nothing trained.

Each of them once ended with "robust accuracy …, exact: every edit was tried".
"""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple

import numpy as np
import pytest
from calling import run_workflow
from checkpoints import ENGLISH, kmers, write_bert
from endings import files_in, half_written

LETTERS = [*"ACGT", "##A", "##C", "##G", "##T"]
RESULTS = "results/main/sequence/promoters"


class Unreadable(NamedTuple):
    """Words of a vocabulary, what else the model is made with, its options, what is said."""

    words: list[str] | None
    sizes: dict[str, int]
    entry: dict[str, Any]
    said: tuple[str, ...]


UNKNOWN = "A, C, G and T are unknown to its tokenizer"
MODELS = {
    "six_mers": Unreadable(
        kmers(6), {}, {}, (UNKNOWN, "add tokens: {kmer: 6} to encoders/six_mers")
    ),
    "no_tokenizer": Unreadable(
        None, {}, {}, ("save the tokenizer that the model was trained with beside its weights",)
    ),
    "lower_case": Unreadable(
        [word.lower() for word in LETTERS],
        {},
        {"train": "head", "frozen": False},
        (UNKNOWN, "add tokens: {case: lower} to encoders/lower_case"),
    ),
    "english": Unreadable(ENGLISH, {}, {"train": "head"}, (UNKNOWN, "use a model of the genome")),
    "too_short": Unreadable(
        LETTERS,
        {"max_position_embeddings": 17},
        {},
        ("row train:0 has 18 tokens, the model takes at most 17",),
    ),
    "equal_tokens": Unreadable(
        [word for word in kmers(6) if word not in ("TTTTTA", "TTTTTC")],
        {},
        {"tokens": {"kmer": 6}},
        ("rows train:1 and test:7 have different bases, and the same tokens",),
    ),
}
READABLE = "readable"


def write_task(folder: Path) -> None:
    """Write 60 rows of 16 bases for each split; two of them differ in their last base."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, row, last in (("train", 1, "A"), ("dev", 0, ""), ("test", 7, "C")):
        rows = ["".join(rng.choice(list("ACGT"), 16)) for _ in range(60)]
        if last:
            rows[row] = f"ACGTTGCAACTTTTT{last}"
        lines = [f"{sequence},{i % 2}\n" for i, sequence in enumerate(rows)]
        (folder / f"{split}.csv").write_text("sequence,label\n" + "".join(lines))


def overlay() -> dict[str, Any]:
    """Ask for all models."""
    run = {"tasks": ["promoters"], "encoders": [*MODELS, READABLE], "seeds": [0]}
    entries = {name: one.entry for name, one in MODELS.items()} | {READABLE: {}}
    return {
        "run": {**run, "defences": [], "datasets": []},
        "tasks": {"promoters": {"source": {"kind": "path", "path": "promoters/{split}.csv"}}},
        "encoders": {
            name: {"kind": "hf", "source": {"kind": "path", "path": name}, "train": "none"} | entry
            for name, entry in entries.items()
        },
    }


def model(name: str) -> str:
    """Name the file of a trained model."""
    return f"{RESULTS}/{name}/seed0/baseline/model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the task and all checkpoints."""
    folder = tmp_path_factory.mktemp("unreadable") / "work"
    write_task(folder / "promoters")
    for name, (words, sizes, _, _) in MODELS.items():
        write_bert(folder / name, words, **sizes)
    write_bert(folder / READABLE, LETTERS)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> CompletedProcess[str]:
    """Ask for all models in one call, which goes on where one of them ends."""
    return run_workflow(folder, overlay(), "--keep-going", *map(model, [*MODELS, READABLE]))


def test_a_model_that_reads_its_task_says_so(folder, run):
    report = json.loads((folder / RESULTS / READABLE / "input_check.json").read_text())

    assert (folder / model(READABLE)).exists()
    assert report["position_limit"] == 64
    assert [split["unknown_share"] for split in report["splits"].values()] == [0, 0, 0]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_cannot_read_its_task_ends_in_one_line(folder, run, name):
    lines = (run.stdout + run.stderr).splitlines()
    ours = [line for line in lines if line.startswith(f"Error: encoder {name}, ")]

    assert run.returncode != 0
    assert "Traceback" not in run.stderr, run.stderr
    assert len(ours) == 1, run.stderr
    assert ours[0].startswith(f"Error: encoder {name}, task promoters: ")
    assert not [part for part in MODELS[name].said if part not in ours[0]], ours[0]
    assert not (folder / RESULTS / name).exists() or not files_in(folder / RESULTS / name)


def test_there_is_a_line_for_each_and_nothing_half_written(folder, run):
    lines = (run.stdout + run.stderr).splitlines()

    assert len([line for line in lines if line.startswith("Error:")]) == len(MODELS)
    assert half_written(folder) == []
