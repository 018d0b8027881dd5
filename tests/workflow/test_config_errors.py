"""A user's mistakes in the configuration, through a real snakemake: one line, nothing left."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from calling import REPOSITORY, snakemake
from endings import assert_one_line, files_in

LOCAL_TASK = {"source": {"kind": "path", "path": "promoters/{split}.csv"}}
LOCAL_ENCODER = {"kind": "hf", "source": {"kind": "path", "path": "checkpoints/none"}}

MISTAKES: dict[str, tuple[Mapping[str, Any], str]] = {
    "unknown section": (
        {"defenses": {}},
        'config, "defenses": there is no such key; did you mean defences? The keys here are: ',
    ),
    "unknown section beyond guessing": (
        {"armour": {}},
        'config, "armour": there is no such key; the keys here are: ',
    ),
    "unknown kind of defence": (
        {"defences": {"prayer": {"kind": "prayer"}}},
        'config, defences/prayer/kind, "prayer": there is no such choice; take one of: adversarial',
    ),
    "more examples than are attacked": (
        {"hardening": {"examples_per_round": 999}},
        "config, hardening/examples_per_round, 999: only 200 sequences are attacked for training;",
    ),
    "unknown key": (
        {"run": {"encoder": ["cnn"]}},
        'config, run, "encoder": there is no such key; did you mean encoders?',
    ),
    "unknown option of an attack": (
        {"attacks": {"genetic": {"populaton": 5}}},
        'config, attacks/genetic, "populaton": there is no such key; did you mean population?',
    ),
    "unknown kind of attack": (
        {"attacks": {"annealing": {"kind": "annealing"}}},
        'config, attacks/annealing/kind, "annealing": there is no such choice; take one of: ',
    ),
    "negative budget": (
        {"attacks": {"genetic": {"query_budget": -5}}},
        "config, attacks/genetic/query_budget, -5: this has to be at least 1;",
    ),
    "negative sample": (
        {"sampling": {"attack_samples": -1}},
        "config, sampling/attack_samples, -1: this has to be at least 1;",
    ),
    "text for a number": (
        {"sampling": {"attack_samples": "all"}},
        'config, sampling/attack_samples, "all": this has to be a whole number or null;',
    ),
    "whole number with a point": (
        {"hardening": {"rounds": 2.0}},
        "config, hardening/rounds, 2.0: this has to be a whole number; correct it (write 2, ",
    ),
    "labels that YAML took for others": (
        {
            "run": {"tasks": ["mine"]},
            "tasks": {"mine": {"source": {"kind": "simulate"}, "labels": {True: 1, "no": 0}}},
        },
        "config, tasks/mine/labels, true: a label is text (YAML reads a bare yes, no, on or off",
    ),
    "list for a section": (
        {"constraints": {"motifs": ["tata_box"]}},
        'config, constraints/motifs, ["tata_box"]: this has to be a section with keys;',
    ),
    "nothing for a section": (
        {"fimba": None},
        "config, fimba: nothing stands here; fill it in or leave the key out.",
    ),
    "task not in the catalogue": (
        {"run": {"tasks": ["prom_300"]}},
        'config, run/tasks[0], "prom_300": `tasks` has no such entry; add it there or take one of: '
        "emp_H3, ",
    ),
    "encoder not in the catalogue": (
        {"run": {"encoders": ["bert"]}},
        'config, run/encoders[0], "bert": `encoders` has no such entry; ',
    ),
    "attack not in the catalogue": (
        {"run": {"attacks": ["genetics"]}},
        'config, run/attacks[0], "genetics": `attacks` has no such entry; ',
    ),
    "option of another attack": (
        {"attacks": {"greedy": {"population": 5}}},
        'config, attacks/greedy, "population": there is no such key; the keys here are: beam, '
        "kind, max_edits, query_budget.",
    ),
    "missing file of variants": (
        {
            "run": {"attacks": ["known"]},
            "attacks": {"known": {"kind": "variants", "path": "known.vcf"}},
        },
        'config, attacks/known/path, "known.vcf": there is no such file of variants;',
    ),
    "transfer of an attack outside DNA space": (
        {"run": {"attacks": ["transfer"]}, "attacks": {"transfer": {"attack": "latent_pgd"}}},
        'config, attacks/transfer/attack, "latent_pgd": only an attack in DNA space has ',
    ),
    "transfer of variants without a file": (
        {
            "run": {"attacks": ["transfer"]},
            "attacks": {
                "known": {"kind": "variants", "path": "known.vcf"},
                "transfer": {"attack": "known"},
            },
        },
        'config, attacks/known/path, "known.vcf": there is no such file of variants;',
    ),
    "download without all digests": (
        {
            "tasks": {
                "mine": {"source": {"kind": "url", "url": "http://x/{split}.csv", "sha256": {}}}
            }
        },
        'config, tasks/mine/source/sha256, "train": this key is missing; add it.',
    ),
    "attack named as something else": (
        {"run": {"attacks": ["certify"]}, "attacks": {"certify": {"kind": "greedy"}}},
        "config, attacks/certify: this is what a row of the table worst_case is called",
    ),
    "pairs and more": (
        {"certify": {"max_edits": 3}},
        "config, certify/max_edits, 3: this has to be at most 2;",
    ),
    "genetic code that does not exist": (
        {"constraints": {"stop_codons": {"table": 7}}},
        "config, constraints/stop_codons/table, 7: there is no such choice; take one of: 1, 2, ",
    ),
    "missing checkpoint": (
        {"run": {"encoders": ["mine"]}, "encoders": {"mine": LOCAL_ENCODER}},
        'config, encoders/mine/source/path, "checkpoints/none": there is no such folder',
    ),
    "missing split": (
        {"run": {"tasks": ["mine"]}, "tasks": {"mine": LOCAL_TASK}},
        'config, tasks/mine/source/path, "promoters/test.csv": the split test has no such file;',
    ),
    "path of a task without its split": (
        {"tasks": {"mine": {"source": {"kind": "path", "path": "promoters.csv"}}}},
        'config, tasks/mine/source/path, "promoters.csv": {split} has to stand where',
    ),
    "encoder with neither source nor architecture": (
        {"encoders": {"mine": {"kind": "dnabert2"}}},
        'config, encoders/mine, "source": this key is missing; add it, or architecture and ',
    ),
    "encoder with source and architecture": (
        {"encoders": {"dnabert2": {"architecture": {}, "pretraining": {}}}},
        'config, encoders/dnabert2, "source": an encoder has a source or is trained from scratch',
    ),
    "name that is no folder": (
        {"run": {"name": "../elsewhere"}},
        'config, run/name, "../elsewhere": a name has letters, digits, hyphens',
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with two of the three splits of a local task."""
    folder = tmp_path / "work"
    (folder / "promoters").mkdir(parents=True)
    for split in ("train", "dev"):
        (folder / f"promoters/{split}.csv").write_text("sequence,label\nACGT,0\nTTTT,1\n")
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_in_one_line_that_names_its_place(workflow, folder, mistake):
    config, line = MISTAKES[mistake]
    before = files_in(folder)

    run = workflow(config, "--quiet", "all", directory=folder)

    assert_one_line(run, line)
    assert files_in(folder) == before
    assert not (folder / "results").exists()


EMPTY = "Config file must be given as JSON or YAML with keys at top level."


def with_overlay(folder: Path, overlay: str) -> subprocess.CompletedProcess[str]:
    """Run with an overlay of these very lines."""
    (folder / "mine.yaml").write_text(overlay)
    command = [*snakemake(folder, None), "mine.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_key_that_stands_twice_in_an_overlay_is_refused_with_its_line(folder):
    run = with_overlay(folder, "run:\n  name: a\nrun:\n  seeds: [1]\n")

    assert_one_line(run, "mine.yaml, line 3, 'run': this key stands in line 1 already, ")
    assert not (folder / "results").exists()


@pytest.mark.parametrize("overlay", ["", "# run: {name: mine}\n"])
def test_an_empty_overlay_ends_the_call_at_once(folder, overlay):
    run = with_overlay(folder, overlay)

    # Snakemake reads it before any line of ours; config/README.md says what its words mean.
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert "Traceback" not in said
    assert said.splitlines()[-1] == EMPTY
    assert EMPTY in (REPOSITORY / "config/README.md").read_text()
    assert not (folder / "results").exists()


@pytest.mark.parametrize("occupied", ["results", "results/main"])
def test_a_file_in_the_place_of_the_results_is_named_and_kept(workflow, folder, occupied):
    (folder / occupied).parent.mkdir(exist_ok=True)
    (folder / occupied).write_text("mine")

    run = workflow({"run": {"encoders": ["cnn"]}}, "--quiet", "all", directory=folder)

    assert_one_line(
        run, f'config, run/name, "main": the results go to results/main, but {occupied}'
    )
    assert (folder / occupied).read_text() == "mine"


def test_a_constraint_switched_off_without_quotes_is_off(workflow, folder):
    # YAML reads a bare `off` as false; so does the overlay that is written here.
    config = {"constraints": {"motifs": {"mode": False}}, "run": {"encoders": ["cnn"]}}

    run = workflow(config, "--lint", directory=folder)

    assert "Error:" not in run.stdout + run.stderr
    assert run.returncode == 0
