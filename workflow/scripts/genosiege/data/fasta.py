"""Read a task that is kept as FASTA: one file per split, or one per split and class.

A record is a line that begins with `>` and the lines of its sequence. Its label is what stands
behind the last `|` of the first line; or, where the path has `{class}`, what stands there in the
file's path. Files are plain or gzip. Empty lines are skipped.
"""

import csv
import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from genosiege.data import tables
from genosiege.data.tables import shown
from genosiege.errors import InputError

CLASS = "{class}"


class Record(NamedTuple):
    """A sequence, its label as written, and where it stands."""

    sequence: str
    label: str
    place: str


def class_files(path: str, split: str) -> list[tuple[str, str]]:
    """List the files of a split and the class of each, sorted; "" where records name theirs.

    Parameters
    ----------
    path : str
        `{split}` in it stands for `split`, `{class}` for any text without a slash.
    split : str
        `train`, `dev` or `test`.
    """
    path = path.replace("{split}", split)
    if CLASS not in path:
        return [(path, "")] if Path(path).is_file() else []
    before, *others = map(re.escape, path.split(CLASS))
    pattern = re.compile(before + "(?P<name>[^/]+)" + "(?P=name)".join(others))
    # Only the classes' places are patterns, whatever else is in a path, which may be absolute.
    candidates = sorted(glob.glob(glob.escape(path).replace(CLASS, "*")))  # noqa: PTH207
    matches = ((found, pattern.fullmatch(found)) for found in candidates)
    return [(found, match["name"]) for found, match in matches if match and Path(found).is_file()]


def write(
    path: str, split: str, target: str | os.PathLike[str], encoding: str | None = None
) -> None:
    """Write a split as CSV with the columns sequence, label and file.

    Parameters
    ----------
    path : str
        See `class_files`.
    split : str
        `train`, `dev` or `test`.
    target : path-like
        The file to be made; `file` is the file and line that a row comes from.
    encoding : str or None
        See `tables.Form`.

    Raises
    ------
    InputError
        If there is no file, one is no FASTA or has no record, or a record lacks its label or its
        sequence.
    """
    files = class_files(path, split)
    if not files:
        raise InputError(
            f"{path.replace('{split}', split)}: there is no such file; supply it or correct the "
            "path."
        )
    found = (records(file, file, label, encoding) for file, label in files)
    _write(itertools.chain.from_iterable(found), target)


def convert(
    path: str | os.PathLike[str],
    name: str,
    target: str | os.PathLike[str],
    encoding: str | None = None,
) -> None:
    """Write one file, called `name` in errors, as `write` does."""
    _write(records(path, name, encoding=encoding), target)


def _write(found: Iterable[Record], target: str | os.PathLike[str]) -> None:
    with open(target, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["sequence", "label", "file"])
        writer.writerows(found)


def records(
    path: str | os.PathLike[str], name: str, label: str = "", encoding: str | None = None
) -> Iterator[Record]:
    """Give the records of a file; `label` is that of all, "" where their first lines name it.

    Raises
    ------
    InputError
        See `write`.
    """
    header, place, parts = "", "", list[str]()
    with tables.text(path, name, encoding) as handle:
        for number, line in enumerate(map(str.strip, handle), 1):
            if line.startswith(">"):
                if header:
                    yield _record(header, place, parts, label)
                header, place, parts = line, f"{name}, line {number}", []
            elif line and (not header or line.startswith(";")):
                raise InputError(
                    f"{name}, line {number}, {shown(line)}: in FASTA a record begins with > and "
                    "its sequence follows; remove comments and other lines, or set layout: csv."
                )
            elif line:
                parts.append("".join(line.split()))
    if not header:
        raise InputError(f"{name}, line 1: the file is empty; supply records of >name|label.")
    yield _record(header, place, parts, label)


def _record(header: str, place: str, parts: list[str], label: str) -> Record:
    if not parts:
        raise InputError(
            f"{place}, {shown(header)}: the record has no sequence; supply it or remove the record."
        )
    own = label or header.rpartition("|")[2].strip() * ("|" in header)
    if not own:
        raise InputError(
            f"{place}, {shown(header)}: there is no label behind a |; write >name|label, or keep "
            "one file per class with {class} in the path."
        )
    return Record("".join(parts), own, place)
