"""What the tests on a cluster share: the cluster, and checkouts to call from."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import long_search
import pytest
from calling import REPOSITORY
from cluster import Cluster
from submitting import Checkout, started


# One for each file: there may be only one at a time, and one file's has no database.
@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running SLURM with a database."""
    cluster = started(tmp_path_factory.mktemp("slurm"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Make a copy of what a run needs, in which a call is typed at the root."""

    def copy(name: str) -> Path:
        folder = tmp_path_factory.mktemp("checkouts") / name
        for part in ("workflow", "config", "envs", "profiles"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
        (folder / "slurm").symlink_to("profiles/slurm")
        return folder

    return copy


@pytest.fixture
def start(cluster: Cluster) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a call of `long_search` in a folder; it does not outlive the test."""
    calls = []
    folders = set()

    def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
        folders.add(folder)
        calls.append(long_search.started(cluster, folder, *arguments))
        return calls[-1]

    yield start
    for call in calls:
        if call.poll() is None:
            call.kill()
            call.wait(timeout=60)
    for folder in folders:
        long_search.end_processes_of(folder)
