"""A disk that is full and a folder that is taken stop a call, and spoil nothing."""

import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from calling import REPOSITORY, run_workflow, snakemake
from endings import half_written

NAME = "disturbed"
CONFIG: dict[str, Any] = copy.deepcopy(tiny.CONFIG | tiny.EXPRESSION)
CONFIG["run"] |= {
    "name": NAME,
    "seeds": [0],
    "encoders": [tiny.CNN],
    "attacks": ["genetic"],
    "datasets": [tiny.DATASET],
    "models": ["random_forest"],
}
CONFIG["certify"] = {"max_edits": 0}
CONFIG["fimba"] = {
    "features": ["random"],
    "k": [2, "all"],
    "random_sets": 2,
    "folds": 2,
    "smallest_k": {"samples": 10, "max": 20},
}
CONFIG["vae"] = {"fractions": []}
CONFIG["poisoning"] = {"rates": []}
CONFIG["expression_hardening"] = {"models": []}
CONFIG["comparison"] = {"attacks": []}
SHARES = (0.15, 0.5, 0.85)
"""Sizes of disks that are too small, in what the whole run takes."""

# The beginning of the run: a few short jobs.
SAMPLE = f"results/{NAME}/sequence/{tiny.TASK}/{tiny.CNN}/samples/test.parquet"
LOCKED = "Directory cannot be locked"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory of the whole run, on a disk that is large enough."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    run_workflow(folder, CONFIG, check=True)
    return folder


Resize = Callable[[int], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Resize]]:
    """A folder that is a disk of its own, in memory, and a function that gives it a size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or error
        pytest.skip(f"no small disk can be made here, mount needs root: {said}")

    def resize(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    yield folder, resize
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def taken(folder: Path) -> int:
    """Count the bytes of memory that the files of a folder take as a disk."""
    page = os.sysconf("SC_PAGE_SIZE")
    sizes = (path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    return sum(-(-size // page) * page for size in sizes)


def made(folder: Path) -> dict[Path, bytes]:
    """Read all that a run has made, but for logs and the times that jobs took."""
    paths = (path for part in ("resources", "results") for path in (folder / part).rglob("*"))
    return {
        path.relative_to(folder): path.read_bytes()
        for path in paths
        if path.is_file() and not {"logs", "benchmarks"} & {*path.relative_to(folder).parts}
    }


def is_state(path: Path) -> bool:
    """Tell whether a file lets a search that was stopped go on; it goes when the search ends."""
    return any(part.endswith(".state") for part in path.parts)


def test_a_full_disk_stops_the_run_and_a_larger_one_ends_it(undisturbed, disk):
    folder, resize = disk
    whole, needed = made(undisturbed), taken(undisturbed)
    n_made = [0]
    for share in SHARES:
        resize(int(share * needed))

        run = run_workflow(folder, CONFIG)

        said = run.stdout + run.stderr
        assert run.returncode != 0, share
        assert "No space left on device" in said, said[-4000:]
        assert half_written(folder) == [], share
        found = made(folder)
        ended = {path for path in found if not is_state(path)}
        assert [path for path in ended if found[path] != whole.get(path)] == [], share
        n_made.append(len(ended))
    assert not any(is_state(path) for path in whole)
    assert n_made == sorted(set(n_made)), "each disk has room for more than the one before"

    resize(4 * needed)
    run_workflow(folder, CONFIG, check=True)

    assert made(folder) == whole
    assert half_written(folder) == []


def start(folder: Path, *arguments: str, root: Path = REPOSITORY) -> subprocess.Popen[bytes]:
    """Begin a call in a process group of its own, and wait until it has the lock."""
    process = subprocess.Popen(
        snakemake(folder, CONFIG, *arguments, root=root),
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 120
    while not locks(folder):
        assert process.poll() is None, "the call ended before it had a lock"
        assert time.monotonic() < end, "waited for two minutes"
        time.sleep(0.02)
    return process


def locks(folder: Path) -> list[Path]:
    return list((folder / ".snakemake/locks").glob("*.output.lock"))


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)


def test_a_second_call_in_a_folder_stops_and_the_first_goes_on(undisturbed, tmp_path):
    folder = tmp_path / "shared"
    first = start(folder)
    try:
        second = run_workflow(folder, CONFIG)

        assert first.poll() is None, "the first call ended before the second"
        assert second.returncode != 0
        assert LOCKED in second.stdout + second.stderr
        assert first.wait(timeout=600) == 0
    finally:
        if first.poll() is None:
            kill(first)
    assert made(folder) == made(undisturbed)
    assert not locks(folder)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository, with this environment as its own; its own working directory."""
    folder = tmp_path / "checkout"
    for part in ("workflow", "config", "envs", "profiles"):
        shutil.copytree(REPOSITORY / part, folder / part)
    for part in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(REPOSITORY / part, folder / part)
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(Path(sys.executable).parent)
    # Newer than what it depends on: nothing is to be installed.
    (folder / ".venv/.installed").touch()
    return folder


@pytest.mark.parametrize("repair", ["make unlock", "snakemake --unlock --cores 1"])
def test_the_lock_of_a_killed_call_says_what_to_do_and_goes(checkout, repair):
    kill(start(checkout, SAMPLE, root=checkout))

    stopped = run_workflow(checkout, CONFIG, SAMPLE, root=checkout)

    said = stopped.stdout + stopped.stderr
    assert stopped.returncode != 0
    assert LOCKED in said
    assert "--unlock" in said
    search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(repair.split(), cwd=checkout, env=os.environ | {"PATH": search}, check=True)
    assert not locks(checkout)
    run_workflow(checkout, CONFIG, SAMPLE, root=checkout, check=True)
    assert (checkout / SAMPLE).is_file()
    assert half_written(checkout) == []
