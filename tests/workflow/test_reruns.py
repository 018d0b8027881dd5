"""A changed module of the library reruns what imports it, and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

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


def run(checkout: Path) -> str:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "resources/tasks/tiny/train.csv"]
    command += ["--configfile", "config/config.yaml", "overlay.yaml"]
    finished = subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, timeout=120, env=dict(os.environ)
    )
    output = finished.stdout + finished.stderr
    assert finished.returncode == 0, output
    return output


def edit(checkout: Path, module: str) -> None:
    path = checkout / "workflow/scripts/genosiege" / module
    path.write_text(path.read_text() + "\n# edited\n")


def test_an_edited_module_reruns_its_dependents_alone(checkout):
    assert "rule download_task" in run(checkout)
    assert "Nothing to be done" in run(checkout)

    edit(checkout, "statistics.py")
    (checkout / "workflow/scripts/download_task.py").touch()
    assert "Nothing to be done" in run(checkout)

    edit(checkout, "data/simulate.py")
    assert "rule download_task" in run(checkout)
