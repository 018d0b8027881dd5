"""What all tests share: a call of the workflow in a folder of its own."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from calling import REPOSITORY, run_workflow

SHARED = REPOSITORY.parent / "shared"

Workflow = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and reference values; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared with real data is not here")
    return SHARED


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    """Run Snakemake on this workflow in `tmp_path`.

    `workflow({"run": {...}}, "--dry-run", base="demo.yaml")` merges the mapping over
    `config/config.yaml` and the named files of `config/`, and gives the finished process.
    Give `directory=` to run elsewhere, `check=True` to fail the test if the run fails.
    """

    def run(
        config: Mapping[str, Any] | None = None,
        *arguments: str | Path,
        base: str | None = None,
        directory: Path = tmp_path,
        cores: int = 2,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float = 900,
    ) -> subprocess.CompletedProcess[str]:
        return run_workflow(
            directory, config, *arguments, base=base, cores=cores, check=check, env=env,
            timeout=timeout,
        )  # fmt: skip

    return run
