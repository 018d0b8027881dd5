"""Calls as a user types them at the root of a checkout, and what they made."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import Cluster, ClusterError

Checkout = Callable[[str], Path]
"""Makes a copy of what a run needs, in a folder of this name."""

SOON = ("--max-jobs-per-timespan", "1000/2s")
"""Snakemake ends with a timespan: a minute of the profile would be one of waiting."""
POLL = ("--slurm-init-seconds-before-status-checks", "5", *SOON)
"""A user's default is 40 s; jobs here take seconds."""
NO_CONDA = ("--sdm", "env-modules")
"""There is no conda channel here: every rule runs in the environment of the tests."""


def started(folder: Path, accounting: bool = True) -> Cluster:
    """Start a cluster; where that is not possible skip, on a CI machine fail."""
    cluster = Cluster(folder, accounting)
    try:
        cluster.start()
    except ClusterError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no SLURM here: {error}")
    return cluster


def command(folder: Path, config: Mapping[str, Any], *arguments: str, base: str = "") -> list[str]:
    """Write the overlay and give a command line to type at a checkout's root."""
    (folder / "overlay.yaml").write_text(yaml.safe_dump(dict(config), sort_keys=False))
    files = ["config/config.yaml", *([f"config/{base}"] if base else []), "overlay.yaml"]
    return [sys.executable, "-m", "snakemake", *arguments, "--configfile", *files]


def on_slurm(
    cluster: Cluster, folder: Path, config: Mapping[str, Any], *arguments: str, base: str = ""
) -> subprocess.CompletedProcess[str]:
    """Call `snakemake --profile slurm` to its end."""
    return subprocess.run(
        command(folder, config, *arguments, "--profile", "slurm", *NO_CONDA, *POLL, base=base),
        cwd=folder,
        env=cluster.env,
        capture_output=True,
        text=True,
        timeout=1500,
    )


def on_this_machine(
    folder: Path, config: Mapping[str, Any], *arguments: str, base: str = ""
) -> subprocess.CompletedProcess[str]:
    """Call `snakemake --cores 2` to its end."""
    return subprocess.run(
        command(folder, config, *arguments, "--cores", "2", *SOON, base=base),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1500,
    )


def assert_success(run: subprocess.CompletedProcess[str]) -> None:
    """Fail with the end of what a call said unless it ended well."""
    assert run.returncode == 0, f"{run.stdout[-4000:]}\n{run.stderr[-8000:]}"


def result_tables(folder: Path) -> dict[str, bytes]:
    """Read all tables and metrics of a checkout's run: what must not depend on how it ran."""
    results = folder / "results"
    # Which neither logs nor times are.
    found = [
        path
        for pattern in ("*.parquet", "*.csv", "metrics.json", "card.json")
        for path in results.rglob(pattern)
        if not {"logs", "benchmarks"} & set(path.parts)
    ]
    return {str(path.relative_to(results)): path.read_bytes() for path in sorted(found)}
