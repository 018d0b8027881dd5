"""A run that is killed again and again ends as if nobody had touched it.

The calls die by SIGKILL at random moments: every other one with all its jobs, the others alone, so
that their jobs live on beside those of the next call.
"""

import contextlib
import copy
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import tiny
from calling import REPOSITORY, run_workflow, snakemake
from endings import half_written

KILLS = 20
SEED = 0
EARLIEST, LATEST = 0.7, 3.2
"""When a call is killed, in times that a call takes until its first job begins."""

NAME = "killed"
CONFIG: dict[str, Any] = copy.deepcopy(tiny.CONFIG | tiny.EXPRESSION)
CONFIG["run"] |= {
    "name": NAME,
    "seeds": [0],
    "encoders": [tiny.CNN],
    "attacks": ["genetic"],
    "defences": ["adversarial_only"],
    "datasets": [tiny.DATASET],
    "models": ["random_forest"],
}
CONFIG["certify"] = {"max_edits": 1}
CONFIG["hardening"] = {
    "rounds": 1,
    "train_attack_samples": 8,
    "examples_per_round": 8,
    "epochs": 2,
    "learning_rate": 0.02,
}
# Searches that succeed seldom: seconds of them in each shard.
CONFIG["constraints"] = {"edit_mask": {"editable": [[0, 9]]}}
CONFIG["attacks"]["genetic"] = {"population": 20, "generations": 25, "patience": 25}
CONFIG["fimba"] = {
    "features": ["permutation", "random"],
    "k": [2, "all"],
    "random_sets": 2,
    "folds": 2,
    "permutation_repeats": 2,
    "smallest_k": {"samples": 10, "max": 20},
}
CONFIG["vae"] = {"fractions": []}
CONFIG["poisoning"] = {"rates": []}
CONFIG["expression_hardening"] = {"models": []}
CONFIG["comparison"] = {"attacks": []}

# What a job writes is small: without a pause, hardly a kill would ever hit it writing.
WRITTEN = "        yield temporary\n"
PAUSE = '        __import__("time").sleep(0.3 * (target.suffix in (".parquet", ".safetensors")))\n'
LONG_PAUSE = '        __import__("time").sleep(60)\n'
EDITS = {
    "files.py": (WRITTEN, WRITTEN + PAUSE),
    "sequence/journal.py": ("every: float = 20.0", "every: float = 0.5"),
}

# The first job of all.
TABLE = f"resources/tasks/{tiny.TASK}/train.csv"


class Kill(NamedTuple):
    """One kill, for the message of a failure."""

    number: int
    victim: str
    seconds: float
    jobs: int

    def __str__(self) -> str:
        return f"{self.number}: {self.victim} after {self.seconds:.1f} s, {self.jobs} jobs at work"


class Undisturbed(NamedTuple):
    """What a run makes that nobody kills, and how long it takes until its first job begins."""

    made: dict[Path, bytes]
    starting: float


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workflow that takes its time over each file, and saves its state often."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("workflow", "config", "envs"):
        shutil.copytree(REPOSITORY / part, folder / part)
    for name, (before, after) in EDITS.items():
        module = folder / "workflow/scripts/genosiege" / name
        assert module.read_text().count(before) == 1
        module.write_text(module.read_text().replace(before, after))
    return folder


@pytest.fixture(scope="module")
def undisturbed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The same run, left alone."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    started = time.monotonic()
    process = start(folder, checkout)
    while not jobs(process) and process.poll() is None:
        time.sleep(0.05)
    starting = time.monotonic() - started
    assert process.wait(timeout=600) == 0, output(folder)
    return Undisturbed(made(folder), starting)


@pytest.fixture
def folder(undisturbed: Undisturbed, tmp_path: Path) -> Iterator[Path]:
    """A working directory, with nobody at work in it afterwards."""
    yield tmp_path / "killed"
    for process in processes(tmp_path / "killed"):
        process.kill()


def start(folder: Path, checkout: Path, *targets: str) -> subprocess.Popen[bytes]:
    """Begin a call in a process group of its own, which its jobs belong to."""
    command = snakemake(folder, CONFIG, *targets, root=checkout)
    with open(folder / ".output", "ab") as handle:
        return subprocess.Popen(
            command, cwd=folder, start_new_session=True, stdout=handle, stderr=handle
        )


def output(folder: Path) -> str:
    return (folder / ".output").read_text()[-4000:]


def processes(folder: Path) -> list[psutil.Process]:
    """List who works in a folder."""
    return [found for found in psutil.process_iter(["cwd"]) if found.info["cwd"] == str(folder)]


def jobs(call: subprocess.Popen[bytes]) -> int:
    """Count the jobs of a call that are at work: its children that run a script."""
    lines = []
    for child in psutil.Process(call.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            lines.append(child.cmdline())
    return sum(any(".snakemake/scripts/" in word for word in line) for line in lines)


def made(folder: Path) -> dict[Path, bytes]:
    """Read all that a run has made, but for logs and the times that jobs took."""
    found = {}
    for part in ("resources", "results"):
        for place, _, names in os.walk(folder / part):
            inside = Path(place).relative_to(folder)
            for name in names if not {"logs", "benchmarks"} & {*inside.parts} else ():
                with contextlib.suppress(FileNotFoundError):  # a job has just renamed or removed it
                    found[inside / name] = (folder / inside / name).read_bytes()
    return found


def finished(path: Path) -> bool:
    """Tell whether a file has its final name, and is no part of an attack's state."""
    return not any(part.startswith(".") or part.endswith(".state") for part in path.parts)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_files(checkout, undisturbed, folder):
    rng = random.Random(SEED)
    kills: list[Kill] = []

    def story() -> str:
        return f"seed {SEED}; kills:\n" + "\n".join(map(str, kills)) + "\n" + output(folder)

    def differing() -> list[Path]:
        return [p for p, content in made(folder).items() if content != undisturbed.made.get(p)]

    while len(kills) < KILLS:
        call = start(folder, checkout)
        seconds = undisturbed.starting * rng.uniform(EARLIEST, LATEST)
        try:
            call.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            victim = "call with its jobs" if len(kills) % 2 == 0 else "call alone"
            kills.append(Kill(len(kills), victim, seconds, jobs(call)))
            if victim == "call alone":
                call.kill()
            else:
                os.killpg(call.pid, signal.SIGKILL)
            call.wait(timeout=60)
            # What has its name is whole, also while jobs that were left over go on.
            assert list(filter(finished, differing())) == [], story()
            run_workflow(folder, CONFIG, "--unlock", root=checkout, check=True)
        else:
            assert call.returncode == 0, story()
            assert differing() == [], story()
            shutil.rmtree(folder / "results")  # all done before the last kill: once more

    last = start(folder, checkout)
    assert last.wait(timeout=600) == 0, story()
    end = time.monotonic() + 120
    while processes(folder) and time.monotonic() < end:
        time.sleep(0.5)
    assert not processes(folder), story()

    assert half_written(folder) == [], story()
    assert list((folder / "results").rglob("*.state")) == [], story()
    assert differing() == [], story()
    assert made(folder).keys() == undisturbed.made.keys(), story()
    again = run_workflow(folder, CONFIG, root=checkout, check=True)
    assert "Nothing to be done" in again.stdout + again.stderr, story()
    assert sum(kill.jobs > 0 for kill in kills) >= KILLS / 2, story()


def test_what_a_killed_job_was_writing_is_gone_in_the_end(checkout, tmp_path):
    folder = tmp_path / "writing"
    module = checkout / "workflow/scripts/genosiege/files.py"
    before = module.read_text()
    module.write_text(before.replace(PAUSE, LONG_PAUSE))
    try:
        call = start(folder, checkout, TABLE)
        while not half_written(folder):
            assert call.poll() is None, output(folder)
            time.sleep(0.05)
        os.killpg(call.pid, signal.SIGKILL)
        call.wait(timeout=60)
    finally:
        module.write_text(before)
    assert not (folder / TABLE).exists()

    run_workflow(folder, CONFIG, "--unlock", root=checkout, check=True)
    run_workflow(folder, CONFIG, TABLE, root=checkout, check=True)

    assert (folder / TABLE).is_file()
    assert half_written(folder) == []
