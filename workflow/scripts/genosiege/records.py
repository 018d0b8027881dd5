"""Results of which Snakemake has no record: nobody can tell what settings they were made with.

Snakemake notes what a file was made from in the process that planned its job. If that is killed,
its jobs may still end well: their files are whole, and without a record. To Snakemake such a file
is no reason to run its job, whatever the settings are by now.
"""

import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from genosiege.errors import InputError

SNAKEMAKE = Path(".snakemake")
BEGUN = "genosiege.runs"
APART = {"logs", "benchmarks"}
"""Folders of a run that hold no output."""


def is_locked(notes: Path = SNAKEMAKE) -> bool:
    """Whether a call is at work here, or one was killed: its jobs' files have no record yet."""
    return any((notes / "locks").glob("*"))


def begin(folders: Iterable[str], notes: Path = SNAKEMAKE) -> None:
    """Note whose files are made here: what has no record there was not brought from elsewhere."""
    known = _begun(notes)
    notes.mkdir(exist_ok=True)
    (notes / BEGUN).write_text("\n".join(sorted(known.union(folders))))


def _begun(notes: Path) -> set[str]:
    place = notes / BEGUN
    return set(place.read_text().splitlines()) if place.is_file() else set()


def without(
    folders: Iterable[str], is_output: Callable[[str], bool], notes: Path = SNAKEMAKE
) -> list[str]:
    """List the outputs that have neither a record nor the mark that they have to be made again.

    Parameters
    ----------
    folders : iterable of str
        Where they are, from the working directory on.
    is_output : callable
        Whether a rule makes a path.
    notes : Path
        Snakemake's own folder.

    Raises
    ------
    InputError
        If a folder was brought here: none of its outputs has a record, and `begin` was not called.
    """
    found, begun = [], _begun(notes)
    for folder in folders:
        paths = list(_paths(folder))
        recorded = {path for path in paths if _noted(path, "metadata", notes)}
        unknown = [path for path in paths if path not in recorded and is_output(path)]
        if unknown and not recorded and folder not in begun:
            raise InputError(
                f"{folder}: it was brought here without .snakemake/, and nothing tells with which "
                "settings it was made; bring .snakemake/ along, or call with --forceall to make "
                "all of it anew, or with --touch to take it for what the configuration says."
            )
        found += [path for path in unknown if not _noted(path, "incomplete", notes)]
    return sorted(found)


def mark(paths: Iterable[str], notes: Path = SNAKEMAKE) -> None:
    """Have Snakemake make these files again, as it does with those of a job that was killed."""
    for path in paths:
        place = _place(path, "incomplete", notes)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps({"external_jobid": None}))


def _paths(folder: str) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        if place == folder:
            folders[:] = [name for name in folders if name not in APART]
        # An output may be a folder.
        yield from (f"{place}/{name}" for name in [*folders, *names])


def _noted(path: str, kind: str, notes: Path) -> bool:
    return _place(path, kind, notes).is_file()


def _place(path: str, kind: str, notes: Path) -> Path:
    """Name Snakemake's note on a file: the path in base 64, cut where a name would be too long."""
    name = urlsafe_b64encode(path.encode()).decode()
    longest = _longest_name(notes) - 1
    parts = [name[at : at + longest] for at in range(0, len(name), longest)]
    return notes.joinpath(kind, *("@" + part for part in parts[:-1]), parts[-1])


@cache
def _longest_name(notes: Path) -> int:
    return os.pathconf(notes if notes.is_dir() else notes.parent, "PC_NAME_MAX") or 255
