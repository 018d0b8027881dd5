"""How tests call the workflow.

A module of its own: `conftest` is also the name of what the unit tests share.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent


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
    # As in the default profile, which another working directory has not.
    command += ["--rerun-triggers", "mtime", "params", "input", "software-env"]
    command += ["--max-checksum-file-size", "100000000"]
    # Snakemake ends with a timespan: a minute of the profile would be one of waiting.
    command += ["--max-jobs-per-timespan", "1000/2s"]
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
