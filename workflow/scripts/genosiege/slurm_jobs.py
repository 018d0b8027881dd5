"""The workflow's jobs in SLURM: those that an earlier call left, and those that make room."""

import logging
import os
import subprocess
import time
from pathlib import Path

log = logging.getLogger(__name__)

NAME_PREFIX = "genosiege"
"""What the names of all jobs begin with; the profile sets it."""


def listed(folder: Path) -> list[str]:
    """List the ids of this user's jobs that work in a folder.

    Parameters
    ----------
    folder : Path
        The working directory that the jobs were submitted from.

    Returns
    -------
    list of str
        Ids of jobs that wait, run or are about to end; none where SLURM does not answer.
    """
    # The working directory may hold anything and so comes last.
    rows = [line.split(" ", 2) for line in _queue("--me", "--format=%i %j %Z")]
    return [
        row[0]
        for row in rows
        if len(row) == 3 and row[1].startswith(f"{NAME_PREFIX}_") and row[2] == str(folder)
    ]


def cancel_left_over(folder: Path, patience: float = 120.0) -> None:
    """Cancel all jobs that work in a folder, and wait until they have ended.

    Parameters
    ----------
    folder : Path
        The working directory of a call that has its lock and no jobs of its own yet: whatever is
        in the queue is left over from one that was killed.
    patience : float
        Seconds to wait at most. Jobs that save their state, or whose node does not answer, take
        their time.
    """
    left_over = listed(folder)
    if not left_over:
        return
    log.warning("cancelling %d jobs that an earlier call left over", len(left_over))
    subprocess.run(["scancel", *left_over], capture_output=True, timeout=60)
    end = time.monotonic() + patience
    while listed(folder) and time.monotonic() < end:
        time.sleep(1)


def requeue_if_preempted() -> None:
    """Send this process's job back into the queue if it has to make room for another.

    To be called when it has been asked to stop and has saved what it had. SLURM requeues a
    preempted job only if it is still there when its grace time is over: one that stops by itself
    counts as failed, and each preemption as one of its attempts.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    # One that somebody cancelled, or whose time is up, is not running any more. An interactive
    # job in which the workflow was called by hand has another name.
    for line in _queue(f"--jobs={job}", "--format=%T %j"):
        state, _, name = line.partition(" ")
        if state == "RUNNING" and name.startswith(f"{NAME_PREFIX}_"):
            log.info("preempted: back into the queue")
            subprocess.run(["scontrol", "requeue", job], capture_output=True, timeout=60)


def _queue(*arguments: str) -> list[str]:
    """Give the lines that squeue answers with; none where it does not."""
    command = ["squeue", "--noheader", *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.splitlines()
