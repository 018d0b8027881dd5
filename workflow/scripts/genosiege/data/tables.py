"""Text tables as people bring them: read row by row, or refused with file, line and cure."""

import csv
import gzip
import io
import os
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn, cast

from genosiege.errors import InputError

SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";"}
ENCODINGS = ("utf-8", "utf-16", "latin-1")
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none"})
"""What stands for no value, in lower case, as R, pandas, spreadsheets and databases write it."""

_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SAVE = "save it as text, separated by commas or tabs"
_FOREIGN = (
    (b"PAR1", "a parquet file", _SAVE),
    (b"\x89HDF", "an HDF5 file", _SAVE),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", _SAVE),
    (b"RDX", "a file of R", f"{_SAVE} (write.csv)"),
    (b"X\n\x00", "a file of R (rds)", f"{_SAVE} (write.csv)"),
    (b"%PDF", "a PDF", _SAVE),
    (b"BZh", "a bzip2 file", "unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "an xz file", "unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it, or pack it with gzip"),
    *((b"\x80" + bytes([protocol]), "a pickle, which is never opened", _SAVE)
      for protocol in range(2, 6)),
)  # fmt: skip
"""How files begin that are no text, what they are, and what to do."""


def shown(value: object, width: int = 60) -> str:
    """Quote what a user wrote, for a message: one line, and not long."""
    text = repr(value)
    return text if len(text) <= width else f"{text[: width - 2]}…{text[0]}"


class Table(NamedTuple):
    """The wanted columns of a text table.

    Attributes
    ----------
    rows : list of list of str
        The fields of each row, in the order of `columns`.
    lines : list of int
        The line of the file that each row ends in, counted from 1.
    columns : list of str
        Those that were asked for, and those of `also` that there are.
    """

    rows: list[list[str]]
    lines: list[int]
    columns: list[str]


@contextmanager
def opened(path: str | os.PathLike[str], name: str) -> Iterator[BinaryIO]:
    """Open a file of text, also one that is packed with gzip or bgzip; told by its first bytes.

    Raises
    ------
    InputError
        If there is no such file, it is no text, or the gzip is cut short or damaged.
    """
    if not Path(path).is_file():
        raise InputError(f"{name}: there is no such file; supply it or correct the path.")
    with open(path, "rb") as handle:
        packed = handle.read(2) == _GZIP
    try:
        with gzip.open(path, "rb") if packed else open(path, "rb") as stream:
            _refuse_foreign(cast(BinaryIO, stream), path, name)
            yield cast(BinaryIO, stream)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{name}: the gzip file is cut short or damaged; fetch it anew."
        ) from error


def _refuse_foreign(stream: BinaryIO, path: str | os.PathLike[str], name: str) -> None:
    start = stream.read(8)
    stream.seek(0)
    for magic, what, cure in _FOREIGN:
        if start.startswith(magic):
            raise InputError(f"{name}: this is {what}; {cure}.")
    if start.startswith(b"PK\x03\x04"):
        what, cure = "a zip archive", "unpack it, and name the file in it"
        if zipfile.is_zipfile(path) and "xl/workbook.xml" in zipfile.ZipFile(path).namelist():
            what, cure = "an Excel workbook", _SAVE
        raise InputError(f"{name}: this is {what}; {cure}.")


@contextmanager
def text(
    path: str | os.PathLike[str], name: str, encoding: str | None = None
) -> Iterator[io.TextIOBase]:
    """Open a text file whose lines end as on any system.

    Parameters
    ----------
    path : path-like
        Plain or gzip.
    name : str
        What the file is called in errors.
    encoding : str or None
        One of `ENCODINGS`; None is UTF-8, or UTF-16 where a byte order mark says so.

    Raises
    ------
    InputError
        See `opened`; also if the bytes are not of this encoding.
    """
    with opened(path, name) as stream:
        start = stream.read(2)
        stream.seek(0)
        found = encoding or ("utf-16" if start in _UTF_16 else "utf-8")
        # A byte order mark, which spreadsheets write, is no part of the first name.
        codec = "utf-8-sig" if found == "utf-8" else found
        try:
            yield io.TextIOWrapper(stream, encoding=codec, newline=None)
        except UnicodeError as error:
            _refuse_encoding(path, name, found, error)


def _refuse_encoding(
    path: str | os.PathLike[str], name: str, encoding: str, error: UnicodeError
) -> NoReturn:
    where = name
    if encoding == "utf-8":
        with opened(path, name) as stream:
            for number, line in enumerate(stream, 1):
                try:
                    line.decode()
                except UnicodeDecodeError:
                    where = f"{name}, line {number}"
                    break
    others = " or ".join(other for other in ENCODINGS if other != encoding)
    raise InputError(
        f"{where}: this is not a text file of comma-separated values in {encoding}; set "
        f"`encoding` ({others}) if it is one, or replace the file."
    ) from error


def read(
    path: str | os.PathLike[str],
    name: str,
    wanted: Sequence[str],
    also: Collection[str] = (),
    separator: str | None = None,
    encoding: str | None = None,
) -> Table:
    """Read columns of a table with a header; empty lines are skipped.

    Parameters
    ----------
    path : path-like
        The file.
    name : str
        What it is called in errors.
    wanted : sequence of str
        Columns that are needed.
    also : collection of str
        Columns that are taken where there are any.
    separator : str or None
        One of `SEPARATORS`; None tells it from the header.
    encoding : str or None
        See `text`.

    Raises
    ------
    InputError
        See `text`; also if the file is empty or without rows, a column is missing or stands
        twice, no separator or more than one fits, or a row has a wrong number of fields.
    """
    # Sequences of a whole chromosome are fields, too.
    csv.field_size_limit(sys.maxsize)
    with text(path, name, encoding) as handle:
        line = handle.readline()
        delimiter = _separator(line, name, wanted, separator)
        header = [column.strip() for column in next(csv.reader([line], delimiter=delimiter), [])]
        _check_header(header, line, name, wanted)
        columns = [*wanted, *(column for column in also if column in header)]
        places = [header.index(column) for column in columns]
        reader = csv.reader(handle, delimiter=delimiter)
        rows, lines = [], []
        try:
            for row in reader:
                if not row:
                    continue
                # The header was read before.
                number = reader.line_num + 1
                if len(row) != len(header):
                    raise InputError(
                        f"{name}, line {number}, row {shown(delimiter.join(row))}: {len(row)} "
                        f"fields where the header has {len(header)}; correct the row."
                    )
                rows.append([row[place] for place in places])
                lines.append(number)
        except csv.Error as error:
            raise InputError(
                f"{name}, line {reader.line_num + 1}: this is not a text file of comma-separated "
                f"values ({error}); replace the file."
            ) from error
    if not rows:
        raise InputError(f"{name}, line 2: there is a header but no row; supply rows.")
    return Table(rows, lines, columns)


def _separator(line: str, name: str, wanted: Sequence[str], asked: str | None) -> str:
    """Tell what separates the fields of a header by the columns that it has to have."""
    if asked is not None:
        return SEPARATORS[asked]
    fits = [
        word
        for word, mark in SEPARATORS.items()
        if set(wanted) <= {field.strip() for field in next(csv.reader([line], delimiter=mark), [])}
    ]
    # One column alone has none.
    used = [word for word in fits if SEPARATORS[word] in line] or fits[:1]
    if len(used) > 1:
        raise InputError(
            f"{name}, line 1, header {shown(line.strip())}: {' and '.join(used)} both fit; set "
            "`separator` to one of the two."
        )
    return SEPARATORS[used[0]] if used else ","


def _check_header(header: list[str], line: str, name: str, wanted: Sequence[str]) -> None:
    if not any(header):
        raise InputError(f"{name}, line 1: the file is empty; supply rows of {','.join(wanted)}.")
    missing = [column for column in wanted if column not in header]
    if missing:
        raise InputError(
            f"{name}, line 1, header {shown(line.strip())}: the column {' and '.join(missing)} is "
            f"missing; name the columns {','.join(wanted)}."
        )
    twice = [column for column, n in Counter(header).items() if n > 1 and column]
    if twice:
        first, second = [at + 1 for at, column in enumerate(header) if column == twice[0]][:2]
        raise InputError(
            f"{name}, line 1, columns {first} and {second}: the column {shown(twice[0])} stands "
            "twice; rename or remove one."
        )
