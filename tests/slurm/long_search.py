"""A small run with searches long enough to disturb, and how to catch them at work."""

import contextlib
import copy
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster import Cluster
from submitting import NO_CONDA, POLL, Checkout, command

SETTINGS: dict[str, Any] = {
    "run": {
        "name": "searching",
        "seeds": [0],
        "tasks": ["simulated"],
        "encoders": ["small_cnn"],
        "attacks": ["genetic"],
        "defences": [],
        "datasets": [],
    },
    "sampling": {"attack_samples": 16},
    "compute": {"shard_size": 8, "precision": "fp32", "batching": "per_sequence", "device": "cpu"},
    "certify": {"max_edits": 0},
    # Few positions may be edited, so that searches succeed seldom; they are patient.
    "constraints": {"edit_mask": {"editable": [[0, 9]]}},
    "attacks": {"genetic": {"population": 50, "generations": 150, "patience": 150}},
    "detection": {"models": [], "sequence": []},
    "tasks": {
        "simulated": {
            "source": {
                "kind": "simulate",
                "n_train": 120,
                "n_dev": 40,
                "n_test": 40,
                "length": 80,
                "tss_index": 59,
            }
        }
    },
    "encoders": {
        "small_cnn": {
            "kind": "cnn",
            "architecture": {"channels": 8, "blocks": 1},
            "training": {"epochs": 3, "batch_size": 16, "learning_rate": 0.01},
        }
    },
}
SEARCH = "results/searching/sequence/simulated/small_cnn/seed0/baseline/attacks/genetic/test"
LOGS = "results/searching/logs/attack"
INTERVAL = "every: float = 20.0"


def settings(**genetic: Any) -> dict[str, Any]:
    """Give the settings with some of the search's changed."""
    changed = copy.deepcopy(SETTINGS)
    changed["attacks"]["genetic"] |= genetic
    return changed


def saving_often(checkout: Checkout, name: str) -> Path:
    """Copy a checkout whose searches save their state each half second, not each 20 s."""
    folder = checkout(name)
    journal = folder / "workflow/scripts/genosiege/sequence/journal.py"
    assert INTERVAL in journal.read_text()
    journal.write_text(journal.read_text().replace(INTERVAL, "every: float = 0.5"))
    return folder


def started(cluster: Cluster, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Call `snakemake --profile slurm` and go on."""
    with open(folder / "call.log", "ab") as log:
        return subprocess.Popen(
            command(folder, SETTINGS, *arguments, "--profile", "slurm", *NO_CONDA, *POLL),
            cwd=folder,
            env=cluster.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def wait_for(what: Callable[[], Any], seconds: float = 240) -> Any:
    """Wait until something is true, and give it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"waited for {seconds} seconds"
        time.sleep(0.2)
    return found


def search_at_work(cluster: Cluster, folder: Path) -> str:
    """Wait until a search has saved something, and give the id of its running job."""

    def job() -> str:
        if not any(folder.glob(f"{SEARCH}/shard0.state/*/[!.]*")):
            return ""
        rows = cluster.call("squeue", "--noheader", "--format=%i %T %k", "--sort=i").splitlines()
        running = (row.split(" ", 2) for row in rows)
        # A job's comment is its rule and its wildcards, the shard last.
        searches = (row for row in running if "attack_shard" in row[2] and row[2].endswith("_0"))
        return next((row[0] for row in searches if row[1] == "RUNNING"), "")

    return wait_for(job)


def logs(folder: Path) -> str:
    """Read the logs of all searches."""
    return "\n".join(path.read_text() for path in sorted((folder / LOGS).glob("*.log")))


def ended(call: subprocess.Popen[bytes], folder: Path) -> str:
    """Wait for the end of a call, a good one, and give what it said."""
    code = call.wait(timeout=600)
    said = (folder / "call.log").read_text()
    assert code == 0, said[-8000:]
    return said


def end_processes_of(folder: Path) -> None:
    """Kill what still works for a checkout: a node that was set down does not end its jobs."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if str(folder).encode() in entry.read_bytes():
                os.kill(int(entry.parent.name), signal.SIGKILL)
