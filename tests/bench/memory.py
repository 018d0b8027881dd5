"""Memory of the largest jobs: an attack in lockstep, and the preparation of a task.

Under `lockstep` many searches are at work at once, each with all candidates that it has asked
about. A genetic attack on 300 bp, population 100, whose model never flips, so that each search
goes on to its budget, is measured with as many sequences as are ever attacked at once and two small
budgets. The line through both peaks tells what the default budget would take, however many
sequences a split has.

The preparation reads three tables of 59,200 sequences together (see `leakage_groups.py`), finds
their leakage, and writes what the workflow writes.

Each measurement is a fresh process, and its peak the resident memory, libraries included.
Run: `python tests/bench/memory.py`; merges its rows into results/bench/bench.json.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pandas as pd
import table
from leakage_groups import promoters

from genosiege import files, runtime
from genosiege.data import gue

SPLIT, POPULATION = 5920, 100
BUDGETS = (200, 1200)
ROWS = {"train": 47_360, "dev": 5_920, "test": 5_920}
ATTACK_GIB, PREPARATION_GIB = 6.0, 1.0
GIB = 2**30


def attack_in_lockstep(budget: int) -> int:
    """Attack as many sequences as are attacked at once; give the number of candidates."""
    # Here, so that a preparation is measured without torch.
    import torch
    from overhead import attack, make_tokenizer, unbeatable

    from genosiege.sequence.oracle import MOST_AT_ONCE, Oracle

    runtime.use(threads=1)
    model = unbeatable(make_tokenizer())
    oracle = Oracle(model, batching="lockstep", device=torch.device("cpu"))
    return attack(oracle, model, MOST_AT_ONCE, budget, population=POPULATION)


def write_task(folder: Path) -> None:
    """Write the three tables of a task."""
    rng = np.random.default_rng(0)
    sequences = promoters(rng)
    sequences += promoters(rng)[: sum(ROWS.values()) - len(sequences)]
    rows = pd.DataFrame({"sequence": sequences, "label": rng.integers(2, size=len(sequences))})
    start = 0
    for split, n in ROWS.items():
        rows[start : start + n].to_csv(folder / f"{split}.csv", index=False)
        start += n


def prepare(folder: Path) -> int:
    """Prepare the task as the workflow does; give the number of its rows."""
    prepared = gue.prepare({split: str(folder / f"{split}.csv") for split in ROWS})
    for split, rows in prepared.tables.items():
        files.write_parquet(rows, folder / f"{split}.parquet")
    return sum(map(len, prepared.tables.values()))


def peak_of(*job: str) -> tuple[int, int]:
    """Run a job in a fresh process; give the bytes of its peak, and how much it did."""
    command = [sys.executable, __file__, "--job", *job]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    peak, done = run.stdout.split()
    return int(peak), int(done)


def run_job(kind: str, argument: str) -> None:
    """Do a job in this process, and print its peak and how much it did."""
    done = prepare(Path(argument)) if kind == "prepare" else attack_in_lockstep(int(argument))
    # Not what `resource` tells: that begins at the peak of the process that started this one.
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), flags=re.M)
    assert peak is not None
    print(1024 * int(peak[1]), done)


def attack_row() -> table.Row:
    """Measure both attacks, and extend the line through them to the default budget."""
    from genosiege.sequence.attacks.genetic import Options
    from genosiege.sequence.oracle import MOST_AT_ONCE

    default = Options().query_budget
    (small, few), (large, many) = (peak_of("attack", str(budget)) for budget in BUDGETS)
    each = (large - small) / (many - few)
    most = small + each * (MOST_AT_ONCE * default - few)
    return table.limited(
        f"11 attack on {SPLIT} sequences, population {POPULATION}",
        most / GIB,
        "GiB",
        ATTACK_GIB,
        remark=f"{MOST_AT_ONCE} searches at once, each with {default} candidates of "
        f"{each:.0f} bytes; from peaks of {small / GIB:.2f} and {large / GIB:.2f} GiB with {few} "
        f"and {many} candidates",
    )


def preparation_row() -> table.Row:
    """Measure the preparation of a task."""
    with TemporaryDirectory() as folder:
        write_task(Path(folder))
        peak, n = peak_of("prepare", folder)
    return table.limited(
        f"11 preparing {n} sequences", peak / GIB, "GiB", PREPARATION_GIB, remark="with leakage"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    table.add_option(parser)
    arguments = parser.parse_args()
    if arguments.job:
        run_job(*arguments.job)
        return
    table.merge(__file__, [attack_row(), preparation_row()], arguments.table)


if __name__ == "__main__":
    main()
