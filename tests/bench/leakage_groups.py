"""Time and memory of the leakage of a task of 59,196 rows, as large as prom_300_all.

Groups of relatives, the rows with a relative in another split by the labels of both, and the
pairs of relatives as far as they are counted.

The rows are the real ones of ../shared/data/gue/prom_300_all where they are there, filled up with
simulated promoters and background, of which a third are relatives of other rows: chimeras that keep
8 of 20 aligned blocks of a known parent, shifted copies, and shifted copies of the other strand.
Then the same for three tasks that would make an enumeration of pairs explode: one repeat
in every row, all rows variants of one sequence, and every row shifted copies of few others.

Each measurement is a fresh process on one core; the peak is its resident memory, with rows and
libraries. Run: `python tests/bench/leakage_groups.py [task …]`; merges its rows into
results/bench/bench.json.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import table

from genosiege import files
from genosiege.data import leakage, relatives, simulate

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "gue" / "prom_300_all"
N_ROWS, LENGTH, BLOCK = 59_196, 300, 15
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def random_rows(rng: np.random.Generator, n: int, length: int = LENGTH) -> list[str]:
    """Draw n sequences."""
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(4, size=(n, length))]
    return [row.tobytes().decode() for row in letters]


def chimera(rng: np.random.Generator, parent: str) -> str:
    """Keep 8 aligned blocks of a parent, and replace the others."""
    blocks = random_rows(rng, LENGTH // BLOCK, BLOCK)
    for place in rng.permutation(LENGTH // BLOCK)[:8]:
        blocks[place] = parent[BLOCK * place : BLOCK * (place + 1)]
    return "".join(blocks)


def promoters(rng: np.random.Generator) -> list[str]:
    """Give real rows, simulated ones and relatives of both."""
    rows = []
    for split in ("train", "dev", "test"):
        if (path := REAL / f"{split}.csv").is_file():
            rows += pd.read_csv(path)["sequence"].str.upper().tolist()
    n_relatives = (N_ROWS - len(rows)) // 3
    n_simulated = N_ROWS - len(rows) - n_relatives
    rows += simulate.simulate(simulate.Parameters(), n_simulated, rng)["sequence"].tolist()
    for number, parent in enumerate(rng.choice(len(rows), n_relatives, replace=False)):
        text = rows[parent] if number % 3 < 2 else rows[parent][::-1].translate(COMPLEMENT)
        shift = int(rng.integers(1, LENGTH - 60))
        shifted = text[shift:] + random_rows(rng, 1, shift)[0]
        rows.append(chimera(rng, text) if number % 3 == 0 else shifted)
    return rows


def repeat(rng: np.random.Generator) -> list[str]:
    """Put the same seven blocks, one too few, into every row, apart so that no 60-mer is shared."""
    rows = np.array(random_rows(rng, N_ROWS), dtype=f"S{LENGTH}").view("S1").reshape(N_ROWS, LENGTH)
    for place in range(0, 7 * 2 * BLOCK, 2 * BLOCK):
        rows[:, place : place + BLOCK] = rows[0, place : place + BLOCK]
    return [row.tobytes().decode() for row in rows]


def variants(rng: np.random.Generator) -> list[str]:
    """Change three bases of one sequence, in each row others, as a mutational scan does."""
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    rows = np.tile(rng.integers(4, size=LENGTH), (N_ROWS, 1))
    places = rng.integers(LENGTH, size=(N_ROWS, 3))
    rows[np.arange(N_ROWS)[:, None], places] += rng.integers(1, 4, size=places.shape)
    return [letters[row % 4].tobytes().decode() for row in rows]


def shifted(rng: np.random.Generator) -> list[str]:
    """Cut all rows out of few sequences, so that each shares nearly all of its 60-mers."""
    texts = random_rows(rng, 600, 900)
    starts = rng.integers(600, size=N_ROWS)
    return [texts[row % 600][start : start + LENGTH] for row, start in enumerate(starts)]


TASKS = {task.__name__: task for task in (promoters, repeat, variants, shifted)}


def measure(task: str, path: Path) -> None:
    """Print and write what one task takes, in this process."""
    rng = np.random.default_rng(0)
    rows = TASKS[task](rng)
    splits = rng.choice(3, p=[0.8, 0.1, 0.1], size=len(rows))
    labels = rng.integers(2, size=len(rows))
    started = time.perf_counter()
    relations = leakage.find(rows)
    groups = relations.groups()
    grouped = time.perf_counter()
    known = relatives.Rows(labels, groups, splits, splits)
    found = relatives.agreement(relations, known.parts, labels)
    reached = time.perf_counter()
    pairs = relatives.describe_pairs(relations, splits, labels)["pairs"]
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    leaked = np.mean(found["any"].codes(relatives.USED_TRAIN)[splits == 2] > 0)
    print(
        f"{task:10} {len(rows)} rows, {groups.max() + 1} groups, largest "
        f"{np.bincount(groups).max()}: groups {grouped - started:.1f} s, leakage by label "
        f"{reached - grouped:.1f} s, pairs {done - reached:.1f} s, peak {peak:.2f} GiB; "
        f"{leaked:.1%} of test rows have a relative in train; {pairs['pairs'] or pairs['reason']}"
    )
    spent = {"groups": grouped - started, "leakage": done - grouped, "peak": peak}
    files.write_json(spent, path)


def rows_of(folder: Path, tasks: list[str]) -> list[table.Row]:
    """Give the rows of what was measured; there is neither limit nor rival."""
    rows = []
    for task in tasks:
        found = files.read_json(folder / f"{task}.json")
        remark = f"{N_ROWS} rows; groups {found['groups']:.1f} s; peak {found['peak']:.2f} GiB"
        spent = found["groups"] + found["leakage"]
        rows.append(table.compared(f"12 leakage, {task}", spent, "s", "", None, remark=remark))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; default all")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    table.add_option(parser)
    arguments = parser.parse_args()
    tasks = arguments.tasks or list(TASKS)
    if set(tasks) - set(TASKS):
        parser.error(f"choose among {', '.join(TASKS)}")
    if arguments.measure:
        measure(tasks[0], Path(arguments.measure))
        return

    with tempfile.TemporaryDirectory() as name:
        for task in tasks:
            into = Path(name) / f"{task}.json"
            subprocess.run([sys.executable, __file__, task, "--measure", into], check=True)
        table.merge(__file__, rows_of(Path(name), tasks), arguments.table)


if __name__ == "__main__":
    main()
