"""Read a task that is kept as one file per sequence, in folders named after the classes.

The layout is that of the package genomic_benchmarks: `train/CLASS/*.txt` and `test/CLASS/*.txt`.
Classes in alphabetical order are the labels 0, 1 and so on. There is no dev: it is cut from train.
"""

import csv
import os
from pathlib import Path

import numpy as np

from genosiege import runtime
from genosiege.data.sampling import stratified_rows
from genosiege.data.tables import shown
from genosiege.errors import InputError

DEV_SHARE = 0.1
"""Share of the train folder's sequences, and of each class, that becomes dev."""

_LAYOUT = "supply train/CLASS/*.txt and test/CLASS/*.txt, or correct the path"


def write(folder: str | os.PathLike[str], split: str, target: str | os.PathLike[str]) -> None:
    """Write a split as CSV with the columns sequence, label and file.

    Parameters
    ----------
    folder : path-like
        What holds the folders train and test.
    split : str
        `train`, `dev` or `test`.
    target : path-like
        The file to be made. Its rows follow class and file name; `file` is the path below
        `folder` that a row comes from.

    Raises
    ------
    InputError
        If a folder is missing, a class has no file or is in one of train and test only, a
        class of train has one file only, or a file is empty.
    """
    folder = Path(folder)
    train, test = _rows(folder, "train"), _rows(folder, "test")
    classes = sorted({name for _, name in train})
    if classes != sorted({name for _, name in test}):
        raise _different(folder)
    labels = {name: label for label, name in enumerate(classes)}
    rows = test
    if split != "test":
        in_dev = _dev(folder, [name for _, name in train])
        rows = [row for row, dev in zip(train, in_dev, strict=True) if dev == (split == "dev")]
    with open(target, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["sequence", "label", "file"])
        for path, name in rows:
            writer.writerow([_sequence(path), labels[name], path.relative_to(folder).as_posix()])


def class_folders(folder: str | os.PathLike[str], split: str) -> list[Path]:
    """List the folders of the classes that a split is made of, sorted; none if there is none.

    A change of what they list, though not of a file within, shows in their time stamps.
    """
    parent = Path(folder, "test" if split == "test" else "train")
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and path.name[0] != ".")


def _rows(folder: Path, split: str) -> list[tuple[Path, str]]:
    """List file and class of each sequence, sorted."""
    parent = folder / split
    if not parent.is_dir():
        raise InputError(f"{parent}: there is no such folder; {_LAYOUT}.")
    rows = []
    for classes in class_folders(folder, split):
        paths = sorted(path for path in classes.glob("*.txt") if path.name[0] != ".")
        if not paths:
            raise InputError(
                f"{classes}: this class has no file *.txt; supply its sequences or remove the "
                "folder."
            )
        rows += [(path, classes.name) for path in paths]
    if not rows:
        raise InputError(f"{parent}: there is no class in this folder; {_LAYOUT}.")
    return rows


def _different(folder: Path) -> InputError:
    train, test = (
        {path.name for path in class_folders(folder, split)} for split in ("train", "test")
    )
    name = min(train ^ test)
    there, absent = ("train", "test") if name in train else ("test", "train")
    return InputError(
        f"{folder}, class {shown(name)}: {there} has this class and {absent} has not; make the "
        "folders of both alike."
    )


def _dev(folder: Path, classes: list[str]) -> np.ndarray:
    """Say of each sequence of train whether it goes to dev."""
    names, labels, counts = np.unique(classes, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise InputError(
            f"{folder / 'train' / names[counts.argmin()]}: this class has one file, and dev is cut "
            "from train; supply at least two."
        )
    n = max(round(DEV_SHARE * len(classes)), len(names))
    chosen = np.zeros(len(classes), dtype=bool)
    chosen[stratified_rows(labels, n, runtime.stream(0, "dev", "class_folders"))] = True
    return chosen


def _sequence(path: Path) -> str:
    # What is no text is refused later, as characters that are no nucleotides.
    sequence = "".join(path.read_text(encoding="utf-8", errors="replace").split())
    if not sequence:
        raise InputError(f"{path}: the file is empty; supply its sequence or remove it.")
    return sequence
