"""No result is of other settings or other code than the last call's, whatever came between."""

import copy
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
from calling import REPOSITORY, run_workflow, snakemake
from endings import assert_one_line

NAME = "provenance"
CONFIG: dict[str, Any] = copy.deepcopy(tiny.CONFIG)
CONFIG["run"] |= {"name": NAME, "seeds": [0], "encoders": [tiny.CNN], "attacks": ["genetic"]}
CONFIG["sampling"] = {"attack_samples": tiny.ATTACKED}
# Searches that succeed seldom, and take their time.
CONFIG["constraints"] = {"edit_mask": {"editable": [[0, 9]]}}
LONG = {"population": 20, "generations": 25, "patience": 25, "query_budget": 2000}
SHORT = {"population": 10, "generations": 3}

STAGE = f"results/{NAME}/sequence/{tiny.TASK}/{tiny.CNN}/seed0/baseline"
TABLE = f"{STAGE}/attacks/genetic/test.parquet"
LOG = f"results/{NAME}/logs/attack"


def config(genetic: Mapping[str, Any]) -> dict[str, Any]:
    return CONFIG | {"attacks": CONFIG["attacks"] | {"genetic": dict(genetic)}}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workflow whose modules a test may edit."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("workflow", "config", "envs"):
        shutil.copytree(REPOSITORY / part, folder / part)
    return folder


@pytest.fixture(scope="module")
def fresh(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which nothing came between."""
    folder = tmp_path_factory.mktemp("runs") / "fresh"
    run_workflow(folder, config(SHORT), TABLE, root=checkout, check=True)
    return folder


def begun(folder: Path, checkout: Path, genetic: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Begin a call, and wait until its attack is at work."""
    command = snakemake(folder, config(genetic), TABLE, root=checkout)
    with open(folder / ".output", "ab") as handle:
        call = subprocess.Popen(command, cwd=folder, stdout=handle, stderr=handle)
    while not list((folder / LOG).glob("**/*.log")):
        assert call.poll() is None, (folder / ".output").read_text()
        time.sleep(0.05)
    return call


def at_work(folder: Path) -> list[psutil.Process]:
    return [found for found in psutil.process_iter(["cwd"]) if found.info["cwd"] == str(folder)]


def call(folder: Path, checkout: Path, *arguments: str) -> tuple[int, str]:
    """Call with the short search; give how it ended, and what it said."""
    run = run_workflow(folder, config(SHORT), *arguments, TABLE, root=checkout)
    return run.returncode, run.stdout + run.stderr


def test_what_a_killed_call_left_is_made_again_under_new_settings(checkout, fresh, tmp_path):
    folder = tmp_path / "killed"
    process = begun(folder, checkout, LONG)
    process.kill()
    process.wait(timeout=60)
    while at_work(folder):
        time.sleep(0.1)
    assert (folder / STAGE / "attacks/genetic/test/shard0.parquet").is_file()

    # A job on a cluster takes its mark away when it ends; only the call would write the record.
    shutil.rmtree(folder / ".snakemake/incomplete")

    assert "files have no record" in call(folder, checkout, "--dry-run")[1]
    assert not list((folder / ".snakemake/incomplete").glob("*"))
    run_workflow(folder, config(SHORT), "--unlock", root=checkout, check=True)
    _, planned = call(folder, checkout, "--dry-run")
    ended, said = call(folder, checkout)

    assert "files have no record" in planned
    assert "rule attack_shard" in planned
    assert ended == 0, said
    assert (folder / TABLE).read_bytes() == (fresh / TABLE).read_bytes()
    assert "Nothing to be done" in call(folder, checkout)[1]


def test_an_edit_in_flight_fails_the_job_and_the_next_call_is_right(checkout, fresh, tmp_path):
    folder = tmp_path / "edited"
    module = checkout / "workflow/scripts/genosiege/sequence/oracle.py"
    before = module.read_text()
    process = begun(folder, checkout, SHORT | {"query_budget": 199})
    try:
        module.write_text(before + "\n_EDITED = 1\n")
        assert process.wait(timeout=120) == 1
    finally:
        module.write_text(before)
    output = (folder / ".output").read_text()
    ours = {line for line in output.splitlines() if line.startswith("Error:")}
    assert ours == {
        "Error: genosiege/sequence/oracle.py: this code has changed since the workflow was called, "
        "and the job may have run a part of each; call the workflow again."
    }
    assert not (folder / STAGE / "attacks/genetic/test/shard0.parquet").exists()

    ended, said = call(folder, checkout)

    assert ended == 0, said
    assert (folder / TABLE).read_bytes() == (fresh / TABLE).read_bytes()


def test_results_without_their_records_are_neither_taken_nor_made_anew(checkout, fresh, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(fresh, folder, ignore=shutil.ignore_patterns(".snakemake"))
    before = (folder / TABLE).stat()

    for arguments in ((), ("--dry-run",)):
        run = run_workflow(folder, config(SHORT), *arguments, TABLE, root=checkout)
        assert_one_line(run, f"results/{NAME}: it was brought here", "--forceall", "--touch")
    assert (folder / TABLE).stat() == before

    shutil.copytree(fresh / ".snakemake", folder / ".snakemake", dirs_exist_ok=True)
    assert "Nothing to be done" in call(folder, checkout)[1]


def test_edits_are_named_and_comments_are_none(checkout, fresh):
    module = checkout / "workflow/scripts/genosiege/sequence/oracle.py"
    before = module.read_text()
    try:
        module.write_text(before + "\n# why\n")
        _, commented = call(fresh, checkout, "--dry-run")
        module.write_text(before + "\n_EDITED = 1\n")
        _, edited = call(fresh, checkout, "--dry-run")
    finally:
        module.write_text(before)

    assert "Code changed" not in commented
    assert "Nothing to be done" in commented
    assert "in genosiege/sequence/oracle.py: jobs that import it run again" in edited
    assert "rule attack_shard" in edited
