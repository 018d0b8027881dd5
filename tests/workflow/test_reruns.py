"""The library beside the Snakefile is what runs, and an edit of it reruns what imports it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

OVERLAY = """
run: {tasks: [tiny], encoders: [cnn]}
tasks:
  tiny:
    source: {kind: simulate, n_train: 8, n_dev: 4, n_test: 4, length: 60, tss_index: 9}
"""


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    """A copy of the workflow whose modules a test may edit."""
    for part in ("workflow", "config", "profiles", "envs"):
        shutil.copytree(repository / part, tmp_path / part)
    (tmp_path / "overlay.yaml").write_text(OVERLAY)
    return tmp_path


def run(checkout: Path, target: str = "resources/tasks/tiny/train.csv") -> str:
    # Nothing but the workflow itself may say which library runs.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", target]
    command += ["--max-jobs-per-timespan", "1000/2s"]
    command += ["--configfile", "config/config.yaml", "overlay.yaml"]
    finished = subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, timeout=120, env=env
    )
    output = finished.stdout + finished.stderr
    assert finished.returncode == 0, output
    return output


def edit(checkout: Path, module: str, text: str = "\n_EDITED = 1\n") -> None:
    path = checkout / "workflow/scripts/genosiege" / module
    path.write_text(path.read_text() + text)


def test_an_edited_module_reruns_its_dependents_alone(checkout):
    assert "rule download_task" in run(checkout)
    assert "Nothing to be done" in run(checkout)

    edit(checkout, "statistics.py")
    edit(checkout, "data/simulate.py", "\n# edited\n")
    (checkout / "workflow/scripts/download_task.py").touch()
    assert "Nothing to be done" in run(checkout)

    edit(checkout, "data/simulate.py")
    assert "rule download_task" in run(checkout)


def test_settings_that_change_places_are_other_settings(checkout):
    table = "results/main/data/tiny/train.parquet"
    for places, n_train in (("{train_samples: 6, eval_samples: 4}", 6),
                            ("{train_samples: 4, eval_samples: 6}", 4)):  # fmt: skip
        (checkout / "overlay.yaml").write_text(f"{OVERLAY}sampling: {places}\n")
        assert "rule prepare_task" in run(checkout, table)
        assert len(pd.read_parquet(checkout / table)) == n_train


def test_the_jobs_of_a_copy_import_the_library_of_the_copy(checkout):
    # Another copy is installed in the environment that the jobs run in.
    module = checkout / "workflow/scripts/genosiege/data/simulate.py"
    module.write_text(module.read_text().replace("(BASES.encode()", "(BASES.lower().encode()"))

    run(checkout)

    row = (checkout / "resources/tasks/tiny/train.csv").read_text().splitlines()[1]
    assert set(row.split(",")[0]) == set("acgt")
