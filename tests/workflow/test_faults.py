"""An attack that is stopped or killed goes on where it stood, and ends with the same table."""

import copy
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from calling import REPOSITORY, run_workflow, snakemake
from endings import half_written

TABLE = tiny.attack_table(tiny.CNN)
STATE = TABLE.replace(".parquet", "/search.state")
LOG = f"results/{tiny.NAME}/logs/attack/{tiny.TASK}.{tiny.CNN}.seed0.baseline.genetic.test.log"
# Searches that succeed seldom, since few positions may be edited, and that are patient: enough
# time to disturb them.
CONFIG = copy.deepcopy(tiny.CONFIG)
CONFIG["run"] |= {"encoders": [tiny.CNN], "seeds": [0]}
CONFIG["sampling"] |= {"attack_samples": 16}
CONFIG["compute"] |= {"shard_size": 100}
CONFIG["constraints"] = {"edit_mask": {"editable": [[0, 9]]}}
CONFIG["attacks"]["genetic"] = {"population": 50, "generations": 150, "patience": 150}


INTERVAL = "every: float = 20.0"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workflow that saves an attack's state each half second, not each 20 s."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("workflow", "config", "envs"):
        shutil.copytree(REPOSITORY / part, folder / part)
    journal = folder / "workflow/scripts/genosiege/sequence/journal.py"
    assert INTERVAL in journal.read_text()
    journal.write_text(journal.read_text().replace(INTERVAL, "every: float = 0.5"))
    return folder


@pytest.fixture(scope="module")
def trained(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which everything before the attack is done."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    run_workflow(folder, CONFIG, TABLE, "--omit-from", "attack", root=checkout, check=True)
    return folder


@pytest.fixture(scope="module")
def undisturbed(checkout: Path, trained: Path) -> bytes:
    """The table of an attack that nothing disturbs."""
    # Beside the others, so that the code lies at the same relative path.
    folder = trained.with_name("undisturbed")
    shutil.copytree(trained, folder)
    run_workflow(folder, CONFIG, TABLE, root=checkout, check=True)
    return (folder / TABLE).read_bytes()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until a running call has got somewhere; fail if it ends before."""
    end = time.monotonic() + 180
    while not condition():
        assert process.poll() is None, "the call ended before it could be disturbed"
        assert time.monotonic() < end, "waited for three minutes"
        time.sleep(0.1)


def start(folder: Path, checkout: Path) -> subprocess.Popen[bytes]:
    """Begin a call in a process group of its own, which its jobs belong to."""
    return subprocess.Popen(
        snakemake(folder, CONFIG, TABLE, root=checkout),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(checkout / "workflow/scripts")},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def stop(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    os.killpg(process.pid, number)
    process.wait(timeout=60)
    # Snakemake may be gone before its job is.
    end = time.monotonic() + 30
    while alive(process.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not alive(process.pid)


def resumed(folder: Path) -> tuple[int, int]:
    """Read from the log how many searches and answers the last attempt began with."""
    found = re.search(r"resuming: (\d+) searches are finished, (\d+) answers", log(folder))
    assert found, log(folder)
    return int(found[1]), int(found[2])


def log(folder: Path) -> str:
    return (folder / LOG).read_text() if (folder / LOG).is_file() else ""


def saved(folder: Path) -> set[Path]:
    return {path for path in (folder / STATE).rglob("[!.]*") if path.is_file()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_disturbed_attack_goes_on_and_ends_as_if_undisturbed(
    checkout, trained, undisturbed, number
):
    folder = trained.with_name(number.name)
    shutil.copytree(trained, folder)
    process = start(folder, checkout)
    # The third saving: some searches have ended, one is under way.
    wait_for(lambda: len({path.stem for path in saved(folder)}) >= 3, process)
    stop(process, number)
    assert saved(folder)
    assert not (folder / TABLE).exists()

    run_workflow(folder, CONFIG, "--unlock", root=checkout, check=True)
    run_workflow(folder, CONFIG, TABLE, root=checkout, check=True)

    finished, answers = resumed(folder)
    assert finished > 0
    assert answers > 0
    assert (folder / TABLE).read_bytes() == undisturbed
    assert not (folder / STATE).exists()
    assert half_written(folder) == []


def test_a_stopped_attack_saves_at_once(checkout, trained):
    folder = trained.with_name("stopped")
    shutil.copytree(trained, folder)
    journal = checkout / "workflow/scripts/genosiege/sequence/journal.py"
    often = journal.read_text()
    journal.write_text(often.replace("every: float = 0.5", "every: float = 900.0"))
    try:
        process = start(folder, checkout)
        # The second oracle is that of the searches.
        wait_for(lambda: log(folder).count("per_sequence") >= 2, process)
        time.sleep(2)
        before = saved(folder)
        stop(process, signal.SIGTERM)
    finally:
        journal.write_text(often)

    assert not before
    assert saved(folder)
    assert "stopped by signal 15" in log(folder)


def test_a_job_left_over_from_a_killed_call_does_not_write_into_the_next(checkout, trained):
    folder = trained.with_name("left_over")
    shutil.copytree(trained, folder)
    process = start(folder, checkout)
    wait_for(lambda: bool(saved(folder)), process)
    process.kill()
    process.wait(timeout=60)
    assert alive(process.pid), "its job should go on without it"

    # Another search, which ends first.
    other = copy.deepcopy(CONFIG)
    other["attacks"]["genetic"] |= {"generations": 1}
    run_workflow(folder, other, "--unlock", root=checkout, check=True)
    run_workflow(folder, other, TABLE, root=checkout, check=True)
    table = (folder / TABLE).read_bytes()

    end = time.monotonic() + 180
    while alive(process.pid) and time.monotonic() < end:
        time.sleep(0.5)
    assert not alive(process.pid)
    assert (folder / TABLE).read_bytes() == table
    run = run_workflow(folder, other, TABLE, root=checkout, check=True)
    assert "Nothing to be done" in run.stdout + run.stderr
    assert half_written(folder) == []
