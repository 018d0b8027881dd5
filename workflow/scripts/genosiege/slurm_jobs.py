"""Jobs that an earlier call of the workflow left in a SLURM cluster's queue."""

import logging
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
    # %i: id, %j: name, %Z: working directory, which may hold anything and so comes last.
    command = ["squeue", "--me", "--noheader", "--format=%i %j %Z"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(" ", 2) for line in answer.stdout.splitlines()]
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
