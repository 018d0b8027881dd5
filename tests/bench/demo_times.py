"""What the last `make demo` took, from the benchmarks that it left; nothing is run again.

Wall time is from the start of the first job to the end of the last, as the benchmark files tell:
only where that can be, which it is not where files were copied or made in several calls. CPU
time is the sum, memory that of the largest job.

Run: `python tests/bench/demo_times.py`; merges its rows into results/bench/bench.json.
"""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import table

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_MINUTES, MOST_GIB = 8.0, 4.0


class Times(NamedTuple):
    """Minutes on the clock, of all jobs and of the processor; GiB of the largest job."""

    wall: float
    jobs: float
    cpu: float
    gib: float
    n_jobs: int


def read(folder: Path) -> Times | None:
    """Add up the benchmarks under a folder; None where there is none."""
    paths = sorted(folder.rglob("*.tsv"))
    if not paths:
        return None
    tables = [pd.read_csv(path, sep="\t", na_values="-") for path in paths]
    ends = [path.stat().st_mtime for path in paths]
    seconds = [float(one["s"].sum()) for one in tables]
    starts = [end - taken for end, taken in zip(ends, seconds, strict=True)]
    return Times(
        (max(ends) - min(starts)) / 60,
        sum(seconds) / 60,
        float(sum(one["cpu_time"].sum() for one in tables)) / 60,
        float(max(one["max_rss"].max() for one in tables)) / 1024,
        len(paths),
    )


def rows_of(times: Times | None, complete: bool) -> list[table.Row]:
    """Give the rows of the table."""
    names = ("11 demo, wall", "11 demo, CPU", "11 demo, largest job")
    if times is None or not complete:
        why = "results/demo is not complete: make demo"
        targets = (f"≤ {MOST_MINUTES:g} min", "", f"≤ {MOST_GIB:g} GiB")
        units = ("min", "min", "GiB")
        return [table.missing(*row, why) for row in zip(names, units, targets, strict=True)]
    remark = f"{times.n_jobs} jobs with a benchmark, together {times.jobs:.1f} min"
    cores = len(os.sched_getaffinity(0))
    one_call = 0.8 * times.jobs / cores <= times.wall <= 2 * times.jobs
    wall = table.limited(names[0], times.wall, "min", MOST_MINUTES, remark=remark)
    if not one_call:
        why = f"copied, or made in several calls; {remark}"
        wall = table.missing(names[0], "min", wall.target, why)
    cpu = table.compared(names[1], times.cpu, "min", "", None, remark=remark)
    return [wall, cpu, table.limited(names[2], times.gib, "GiB", MOST_GIB)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "demo")
    table.add_option(parser)
    arguments = parser.parse_args()

    complete = (arguments.results / "tables" / "verdict.csv").is_file()
    rows = rows_of(read(arguments.results / "benchmarks"), complete)
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
