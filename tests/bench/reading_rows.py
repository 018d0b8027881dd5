"""Time and memory of reading a task of 60,000 rows of 300 bp, beside a reader with fewer checks.

That reader is the one GenoSiege had before tables were told by their form: Python's csv module,
labels, characters and the digest, and neither separators, encodings, packed files nor missing
values. Both read the same file, each in a fresh process on one core: processor time, best of five,
and the peak of resident memory, with libraries. Beside it stand the same rows with tabs, packed.

Run: `python tests/bench/reading_rows.py [rows]`; merges its rows into results/bench/bench.json.
"""

import argparse
import csv
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import table

from genosiege import files
from genosiege.data import gue
from genosiege.errors import InputError

ROWS, LENGTH, REPEATS = 60_000, 300, 5
MOST = 1.5
"""How much longer the reader may take than the one before."""


def before(path: Path) -> pd.DataFrame:
    """Read as GenoSiege did."""
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.reader(handle)
        header = [column.strip() for column in next(reader, [])]
        numbered = [(reader.line_num, row) for row in reader if row]
    for line, row in numbered:
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: {len(row)} fields.")
    at = [header.index(column) for column in gue.COLUMNS]
    places = [f"{path}, line {line}" for line, _ in numbered]
    rows = [(row[at[0]], row[at[1]]) for _, row in numbered]
    found = pd.DataFrame(rows, columns=list(gue.COLUMNS))
    labels = found["label"].str.strip().map({"0": 0, "1": 1})
    found["label"] = labels.to_numpy(dtype=np.int64)
    found["sequence"] = found["sequence"].str.strip().str.upper()
    gue._check_characters(found["sequence"], places, "error")
    files.sha256(path)
    return found


READERS: dict[str, tuple[Callable[[Path], pd.DataFrame], str]] = {
    "before": (before, "task.csv"),
    "now": (lambda path: gue.read(path).table, "task.csv"),
    "packed": (lambda path: gue.read(path).table, "task.tsv.gz"),
}


def make(folder: Path, n_rows: int) -> None:
    """Write the rows with commas, and with tabs and packed."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(4, size=(n_rows, LENGTH))]
    lines = [f"{row.tobytes().decode()},{at % 2}\n" for at, row in enumerate(letters)]
    text = "".join(["sequence,label\n", *lines]).encode()
    (folder / "task.csv").write_bytes(text)
    (folder / "task.tsv.gz").write_bytes(gzip.compress(text.replace(b",", b"\t"), 1))


def measure(reader: str, folder: Path) -> None:
    """Write what one reader takes, in this process."""
    read, name = READERS[reader]
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        n = len(read(folder / name))
        seconds.append(time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{reader:8} {n} rows: {min(seconds):.2f} s, peak {peak:.2f} GiB")
    files.write_json({"seconds": min(seconds), "peak": peak}, folder / f"{reader}.json")


def rows_of(folder: Path, n_rows: int) -> list[table.Row]:
    """Give the rows of what was measured."""
    found = {reader: files.read_json(folder / f"{reader}.json") for reader in READERS}
    old = found["before"]
    rows = []
    for reader, what in [("now", "reading a task"), ("packed", "reading it packed")]:
        new = found[reader]
        remark = f"{n_rows} rows; peak {new['peak']:.2f} GiB, before {old['peak']:.2f}"
        ratio, most = new["seconds"] / old["seconds"], MOST if reader == "now" else None
        against = f"before {old['seconds']:.2f} s"
        rows.append(
            table.compared(
                f"12 {what}", new["seconds"], "s", against, ratio, most=most, remark=remark
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="?", type=int, default=ROWS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    table.add_option(parser)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], Path(arguments.measure[1]))
        return

    with tempfile.TemporaryDirectory() as name:
        make(Path(name), arguments.rows)
        for reader in READERS:
            subprocess.run([sys.executable, __file__, "--measure", reader, name], check=True)
        table.merge(__file__, rows_of(Path(name), arguments.rows), arguments.table)


if __name__ == "__main__":
    main()
