"""What all tests share: a call of the workflow in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
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


def snakemake(
    directory: Path,
    config: Mapping[str, Any] | None,
    *arguments: str | Path,
    base: str | None = None,
    cores: int = 2,
    root: Path = REPOSITORY,
) -> list[str]:
    """Write the overlay and give the command line, for a test that starts it itself."""
    directory.mkdir(parents=True, exist_ok=True)
    files = [root / "config" / "config.yaml"]
    if base is not None:
        files.append(root / "config" / base)
    if config is not None:
        overlay = directory / ".overlay.yaml"
        overlay.write_text(yaml.safe_dump(dict(config), sort_keys=False))
        files.append(overlay)
    command = [sys.executable, "-m", "snakemake", "--snakefile", root / "workflow/Snakefile"]
    command += ["--rerun-triggers", "mtime", "params", "input", "software-env"]
    # Last an option without values: targets may follow.
    command += ["--directory", directory, "--cores", cores, "--rerun-incomplete"]
    command += [*arguments, "--configfile", *files]
    return [str(part) for part in command]


def run_workflow(
    directory: Path,
    config: Mapping[str, Any] | None,
    *arguments: str | Path,
    base: str | None = None,
    cores: int = 2,
    check: bool = False,
    env: Mapping[str, str] | None = None,
    timeout: float = 900,
    root: Path = REPOSITORY,
) -> subprocess.CompletedProcess[str]:
    """Do what the fixture `workflow` says; for fixtures of a wider scope.

    `root=` is the checkout to run, where a test has a copy of its own to edit.
    """
    finished = subprocess.run(
        snakemake(directory, config, *arguments, base=base, cores=cores, root=root),
        capture_output=True,
        text=True,
        cwd=directory,
        env={**os.environ, **(env or {})},
        timeout=timeout,
    )
    if check and finished.returncode != 0:
        pytest.fail(f"snakemake failed\n{finished.stdout[-4000:]}\n{finished.stderr[-8000:]}")
    return finished
