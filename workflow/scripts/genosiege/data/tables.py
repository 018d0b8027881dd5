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
from typing import BinaryIO, NamedTuple, cast

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
    (b"\x89HDF", "an HDF5 file", f"{_SAVE}; expression in an AnnData file is format: h5ad"),
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
    # A numpy text has a representation of its own.
    text = repr(str(value) if isinstance(value, str) else value)
    return text if len(text) <= width else f"{text[: width - 2]}…{text[0]}"


class Form(NamedTuple):
    """How a file is written.

    Attributes
    ----------
    separator : str or None
        One of `SEPARATORS`; None tells it from the header.
    encoding : str or None
        One of `ENCODINGS`; None is UTF-8, or UTF-16 where a byte order mark says so.
    """

    separator: str | None = None
    encoding: str | None = None


PLAIN = Form()


def named(columns: Sequence[str]) -> list[str]:
    """Give nameless columns the names that pandas gives them: `Unnamed: 0` and so on."""
    return [column or f"Unnamed: {at}" for at, column in enumerate(columns)]


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
        start = handle.read(2)
    packed = start == _GZIP
    try:
        with gzip.open(path, "rb") if packed else open(path, "rb") as stream:
            _refuse_foreign(cast(BinaryIO, stream), path, name)
            if os.fspath(path).endswith((".gz", ".bgz")) and start and not packed:
                raise InputError(
                    f"{name}: this is not gzip, though it is named so; rename or replace it."
                )
            yield cast(BinaryIO, stream)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{name}: the gzip file is cut short or damaged; fetch it anew."
        ) from error


def _refuse_foreign(stream: BinaryIO, path: str | os.PathLike[str], name: str) -> None:
    start = stream.read(8)
    stream.seek(0)
    refuse_binary(start, name)
    if start.startswith(b"PK\x03\x04"):
        what, cure = "a zip archive", "unpack it, and name the file in it"
        if zipfile.is_zipfile(path) and "xl/workbook.xml" in zipfile.ZipFile(path).namelist():
            what, cure = "an Excel workbook", _SAVE
        raise InputError(f"{name}: this is {what}; {cure}.")


def refuse_binary(start: bytes, name: str) -> None:
    """Refuse a file by how it begins."""
    for magic, what, cure in _FOREIGN:
        if start.startswith(magic):
            raise InputError(f"{name}: this is {what}; {cure}.")


def codec(stream: BinaryIO, name: str, encoding: str | None) -> str:
    """Name Python's codec for what a stream begins with; the stream stays at its start.

    Parameters
    ----------
    stream : binary file
        What `opened` gives.
    name : str
        What the file is called in errors.
    encoding : str or None
        See `Form`.

    Raises
    ------
    InputError
        If the bytes are no UTF-8, by their zeros.
    """
    start = stream.read(8)
    stream.seek(0)
    if encoding is None and start.startswith(_UTF_16):
        return "utf-16"
    if encoding == "utf-16" and not start.startswith(_UTF_16):
        # Python asks for a mark; a separator or a letter of a header tells the order, too.
        return "utf-16-be" if start.startswith(b"\x00") else "utf-16-le"
    if encoding in (None, "utf-8") and b"\x00" in start:
        raise InputError(
            f"{name}, line 1: this is not a text file in utf-8; save it so, or set `encoding: "
            "utf-16` if it is that, where the entry has such a key."
        )
    # A byte order mark, which spreadsheets write, is no part of the first name.
    return encoding if encoding not in (None, "utf-8") else "utf-8-sig"


def chunks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Give pieces of a text whose lines end in LF, also where they end in CRLF or CR."""
    returned = False
    while chunk := stream.read(size):
        if returned:
            chunk = chunk.removeprefix(b"\n")
        returned = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield chunk


def wrong_encoding(where: str, encoding: str) -> InputError:
    """Tell of bytes that are not of an encoding; `where` starts the error."""
    others = " or ".join(other for other in ENCODINGS if other != encoding)
    return InputError(
        f"{where}: this is not a text file in {encoding}; save it as utf-8, or set `encoding` "
        f"({others}) if it is that, where the entry has such a key."
    )


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
        See `Form`.

    Raises
    ------
    InputError
        See `opened`; also if the bytes are not of this encoding.
    """
    with opened(path, name) as stream:
        found = codec(stream, name, encoding)
        try:
            yield io.TextIOWrapper(stream, encoding=found, newline=None)
        except UnicodeError as error:
            spoken = encoding or found.removesuffix("-sig")
            raise wrong_encoding(_first_wrong(path, name, found), spoken) from error


def _first_wrong(path: str | os.PathLike[str], name: str, codec: str) -> str:
    """Name the first line that is no UTF-8, where it should be."""
    if codec == "utf-8-sig":
        with opened(path, name) as stream:
            # Of what is no UTF-8, this makes surrogates, which no text in UTF-8 has.
            lines = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline=None)
            for number, line in enumerate(lines, 1):
                if any("\udc80" <= letter <= "\udcff" for letter in line):
                    return f"{name}, line {number}"
    return name


def read(
    path: str | os.PathLike[str],
    name: str,
    wanted: Sequence[str],
    also: Collection[str] = (),
    form: Form = PLAIN,
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
    form : Form
        How it is written.

    Raises
    ------
    InputError
        See `text`; also if the file is empty or without rows, a column is missing or stands
        twice, no separator or more than one fits, or a row has a wrong number of fields.
    """
    # Sequences of a whole chromosome are fields, too.
    csv.field_size_limit(sys.maxsize)
    with text(path, name, form.encoding) as handle:
        line = handle.readline()
        delimiter = separator(line, name, wanted, form.separator)
        header = _fields(line, delimiter)
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


def separator(
    header: str,
    name: str,
    wanted: Collection[str],
    asked: str | None = None,
    row: str | None = None,
) -> str:
    """Tell what separates the fields of a table, by its header.

    Parameters
    ----------
    header : str
        The first line.
    name : str
        What the file is called in errors.
    wanted : collection of str
        Columns that the header has to have.
    asked : str or None
        One of `SEPARATORS`, which is then taken.
    row : str or None
        The second line; it has as many fields as the header, or one more, as R writes tables.

    Raises
    ------
    InputError
        If several fit.
    """
    if asked is not None:
        return SEPARATORS[asked]
    used = {word: _fields(header, mark) for word, mark in SEPARATORS.items() if mark in header}
    fits = [word for word, names in used.items() if set(wanted) <= set(names)]
    if row is not None and len(fits) > 1:
        more = {word: len(_fields(row, SEPARATORS[word])) - len(used[word]) for word in fits}
        fits = [word for word in fits if more[word] in (0, 1)] or fits
    if len(fits) > 1:
        raise InputError(
            f"{name}, line 1, header {shown(header.strip())}: {' and '.join(fits)} both fit; set "
            "`separator` to one of the two."
        )
    likeliest = max(used, key=lambda word: len(used[word]), default="comma")
    return SEPARATORS[fits[0] if fits else likeliest]


def _fields(line: str, mark: str) -> list[str]:
    csv.field_size_limit(sys.maxsize)
    return [field.strip() for field in next(csv.reader([line], delimiter=mark), [])]


def _check_header(header: list[str], line: str, name: str, wanted: Sequence[str]) -> None:
    if not any(header):
        raise InputError(f"{name}, line 1: the file is empty; supply rows of {','.join(wanted)}.")
    missing = [column for column in wanted if column not in header]
    if missing:
        raise InputError(
            f"{name}, line 1, header {shown(line.strip())}: the column {' and '.join(missing)} is "
            f"missing; name the columns {','.join(wanted)}."
        )
    refuse_twice(header, name)


def refuse_twice(header: Sequence[str], name: str, among: Collection[str] | None = None) -> None:
    """Refuse a header in which a name stands twice, one of some names where they are given."""
    asked = set(header if among is None else among) - {""}
    twice = [column for column, n in Counter(header).items() if n > 1 and column in asked]
    if twice:
        first, second = [at + 1 for at, column in enumerate(header) if column == twice[0]][:2]
        raise InputError(
            f"{name}, line 1, columns {first} and {second}: the column {shown(twice[0])} stands "
            "twice; rename or remove one."
        )
