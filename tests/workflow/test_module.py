"""The workflow as a module of another one, where nothing of ours is installed."""

import copy
import os
import random
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml
from calling import REPOSITORY, run_workflow

NAME, TASK = "included", "mine"
CONFIG: dict[str, Any] = copy.deepcopy(tiny.CONFIG)
CONFIG["run"] |= {
    "name": NAME,
    "seeds": [0],
    "tasks": [TASK],
    "encoders": [tiny.CNN],
    "attacks": ["genetic"],
    "defences": ["adversarial_only"],
}
# A user's own file: where the user says, whatever the prefix.
CONFIG["tasks"] = {TASK: {"source": {"kind": "path", "path": "mine/{split}.csv"}}}
CONFIG["sampling"] = {"attack_samples": 8}
CONFIG["certify"] = {"max_edits": 0}
CONFIG["hardening"] = {
    "rounds": 1,
    "train_attack_samples": 12,
    "examples_per_round": 4,
    "convergence_threshold": 0.01,
}
DEFENCE = f"results/{NAME}/sequence/{TASK}/{tiny.CNN}/seed0/adversarial_only"
ROUNDS = f"{DEFENCE}/rounds.parquet"

OUTER = """\
configfile: "genosiege/config/config.yaml"
configfile: "overlay.yaml"

module genosiege:
    snakefile: {snakefile}
    config: config
    prefix: "sub"

use rule * from genosiege as gs_*

rule all:
    default_target: True
    input: rules.gs_all.input

onstart:
    print("the outer workflow begins")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with all packages but ours."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    inside = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    # Of the folder that is named so, no `.pth` is read: ours is one.
    (folder / inside / "others.pth").write_text(sysconfig.get_path("purelib"))
    command = [folder / "bin/python", "-E", "-c", "import genosiege"]
    found = subprocess.run(command, capture_output=True)
    assert b"ModuleNotFoundError" in found.stderr
    return folder / "bin/python"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workflow that includes a copy of this one."""
    for part in ("workflow", "config", "envs"):
        shutil.copytree(REPOSITORY / part, tmp_path / "genosiege" / part)
    (tmp_path / "Snakefile").write_text(OUTER.format(snakefile='"genosiege/workflow/Snakefile"'))
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(CONFIG))
    tables(tmp_path)
    return tmp_path


def tables(folder: Path) -> None:
    """Make a user's own task of what can be learned at once."""
    (folder / "mine").mkdir()
    rng = random.Random(0)
    for split, n in (("train", 60), ("dev", 20), ("test", 20)):
        rows = []
        for at in range(n):
            bases = "".join(rng.choices("ACGT", k=42))
            rows.append(f"{bases}{'TATAAATATAAA' if at % 2 else 'GGCCGCGGCCGC'},{at % 2}")
        (folder / f"mine/{split}.csv").write_text("\n".join(["sequence,label", *rows]) + "\n")


def call(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-m", "snakemake", "--cores", "2", "--max-jobs-per-timespan", "1000/2s"]
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=600
    )


def test_a_module_with_a_prefix_makes_the_same_table(python, folder, tmp_path):
    done = call(python, folder, f"sub/{ROUNDS}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "the outer workflow begins" in done.stdout + done.stderr
    assert (folder / ".snakemake/genosiege.call").is_file()
    assert (folder / f"sub/results/{NAME}/config.json").is_file()
    assert not (folder / "results").exists() and not (folder / "resources").exists()
    # The checkpoint was read: a round has been decided on, and made.
    assert (folder / "sub" / DEFENCE / "round1/model.json").is_file()
    again = call(python, folder, f"sub/{ROUNDS}")
    assert "Nothing to be done" in again.stdout + again.stderr

    alone = tmp_path / "alone"
    alone.mkdir()
    tables(alone)
    run_workflow(alone, CONFIG, ROUNDS, check=True)
    assert (alone / ROUNDS).read_bytes() == (folder / "sub" / ROUNDS).read_bytes()


def test_all_of_a_module_can_be_planned(python, folder):
    planned = call(python, folder, "--dry-run", "--quiet", "rules")

    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "gs_tell_findings" in planned.stdout


def test_single_files_of_a_repository_are_refused_in_one_line(python, folder):
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "x")):
        subprocess.run([*git, *arguments], cwd=folder / "genosiege", check=True)
    commit = subprocess.check_output(
        ["git", "rev-parse", "HEAD"], cwd=folder / "genosiege", text=True
    ).strip()
    place = folder / "genosiege"
    fetched = f'gitfile("{place}", path="workflow/Snakefile", commit="{commit}")'
    (folder / "Snakefile").write_text(OUTER.format(snakefile=fetched))

    refused = call(python, folder, "--dry-run")

    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("Error:")]
    assert "clone the whole repository" in line
