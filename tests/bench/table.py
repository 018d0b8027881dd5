"""One table of all benchmarks: a row for each figure, beside what it is measured against.

Each script of this folder measures something, and merges its rows into one file. A figure never
fails: whether a target is met stands in the row, with the load of the machine at the time.

Run: `python tests/bench/table.py`; prints what the file holds.
"""

import argparse
import cProfile
import os
import pstats
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from genosiege import files, runtime
from genosiege.errors import InputError

DEFAULT = "results/bench/bench.json"
_HEADS = ("", "figure", "against", "ratio", "target", "met", "load", "remark")
_RIGHT = (1, 3)


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes
    ----------
    name : str
        What is measured; begins with the number that the table is sorted by.
    figure : float or None
        None where nothing could be measured; the remark says why.
    unit : str
        Of the figure.
    against : str
        Limit or rival, the latter measured in the same run.
    ratio : float or None
        What the target is about: of the figure and what it is measured against.
    target : str
        What the ratio should be; empty where the figure is for information.
    met : bool or None
        Whether it is; None where nothing was measured or there is no target.
    remark : str
        Sizes, and what is needed to read the figure.
    """

    name: str
    figure: float | None
    unit: str
    against: str
    ratio: float | None
    target: str
    met: bool | None
    remark: str = ""


def compared(
    name: str,
    figure: float | None,
    unit: str,
    against: str,
    ratio: float | None,
    *,
    least: float | None = None,
    most: float | None = None,
    percent: bool = False,
    remark: str = "",
) -> Row:
    """Make a row whose ratio should be `least` at least, or `most` at most; or neither."""
    target, met = "", None
    bound = least if least is not None else most
    if bound is not None:
        sign = "≥" if least is not None else "≤"
        target = f"{sign} {bound:.0%}" if percent else f"{sign} {bound:g}×"
        if ratio is not None:
            met = bool(ratio >= bound if least is not None else ratio <= bound)
    return Row(name, _rounded(figure), unit, against, _rounded(ratio), target, met, remark)


def limited(
    name: str, figure: float | None, unit: str, limit: float, *, against: str = "", remark: str = ""
) -> Row:
    """Make a row whose figure should be `limit` at most; the ratio is the share of it."""
    ratio = None if figure is None else figure / limit
    met = None if ratio is None else bool(ratio <= 1)
    return Row(
        name, _rounded(figure), unit, against or f"limit {limit:g} {unit}", _rounded(ratio),
        f"≤ {limit:g} {unit}", met, remark,
    )  # fmt: skip


def missing(name: str, unit: str, target: str, why: str) -> Row:
    """Make a row of what could not be measured here."""
    return Row(name, None, unit, "", None, target, None, why)


def _rounded(value: float | None) -> float | None:
    """Keep four digits of what was measured, and all of what was counted."""
    return value if value is None or isinstance(value, int) else float(f"{value:.4g}")


def profile(work: Callable[[], object], path: str) -> None:
    """Do some work, and write where its time goes."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    write_profile(profiler, path)


def write_profile(profiled: cProfile.Profile | str, path: str) -> None:
    """Write a profile, or a file with one: by a function's own time, then with all it calls."""
    installed = sorted((f"{folder}/" for folder in sys.path if folder), key=len, reverse=True)
    with files.whole(path) as temporary:
        with temporary.open("w", encoding="utf-8") as lines:
            statistics: Any = pstats.Stats(profiled, stream=lines)
            statistics.files = []
            for order in ("tottime", "cumulative"):
                statistics.sort_stats(order).print_stats(40)
        text = temporary.read_text(encoding="utf-8")
        # No path of this machine, but one below the repository or the name of a package.
        for folder in (f"{Path(__file__).resolve().parents[2]}/", *installed):
            text = text.replace(folder, "")
        temporary.write_text(text, encoding="utf-8")


# The file -----------------------------------------------------------------------------


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the table is."""
    parser.add_argument("--table", default=DEFAULT, help="the file that all rows are merged into")


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Give the rows of a table, each with script, machine, cores and load; none of a missing file.

    Raises
    ------
    InputError
        If the file is no table.
    """
    if not Path(path).is_file():
        return []
    content = files.read_json(path)
    rows = content.get("rows") if isinstance(content, dict) else None
    names = {field.name for field in fields(Row)}
    if not isinstance(rows, list) or any(names - set(row) for row in rows):
        raise InputError(f"{path}: this is no table of benchmarks; remove it.")
    return rows


def merge(script: str, rows: Sequence[Row], path: str | os.PathLike[str] = DEFAULT) -> None:
    """Put the rows of a script in the place of its former ones, and print them.

    Parameters
    ----------
    script : str
        Path of the script; its stem tells whose rows they are.
    rows : sequence of Row
        What it has measured.
    path : path-like
        The table.
    """
    stem = Path(script).stem
    found = {
        "script": stem,
        "machine": runtime.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }
    new = [asdict(row) | found for row in rows]
    others = [row for row in read(path) if row.get("script") != stem]
    merged = sorted([*others, *new], key=lambda row: row["name"])
    files.write_json({"rows": merged}, path)
    print(text(new), flush=True)


def text(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows as an aligned table."""
    lines = [_HEADS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    figure = "–" if row["figure"] is None else f"{row['figure']:,g} {row['unit']}"
    share = row["target"].endswith("%")
    ratio = "–" if row["ratio"] is None else f"{row['ratio']:{'.1%' if share else ',g'}}"
    met = {True: "yes", False: "NO", None: "–"}[row["met"]]
    load = f"{row['load']:.1f}" if "load" in row else ""
    return row["name"], figure, row["against"], ratio, row["target"], met, load, row["remark"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_option(parser)
    arguments = parser.parse_args()

    rows = read(arguments.table)
    machines = sorted({f"{row['cores']} cores of {row['machine']}" for row in rows})
    sheet = Path(arguments.table).with_suffix(".csv")
    with files.whole(sheet) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")
    print("\n".join(machines), text(rows), f"Written: {arguments.table}, {sheet}", sep="\n")


if __name__ == "__main__":
    main()
