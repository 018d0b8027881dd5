"""Large text tables, block by block: whole lines, their fields, and the numbers in them.

What a file is, how it is packed and in which letters it is written is told by `tables`; here its
bytes are UTF-8, its lines end in LF, and it is never held as a whole.
"""

import codecs
import csv
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import BinaryIO, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from genosiege.data import tables
from genosiege.errors import InputError

Path = str | os.PathLike[str]
T = TypeVar("T")

BLOCK = 1 << 24
"""Bytes of text that are read at once."""

_HEADER_BLOCK = 1 << 16

# As pyarrow compares them, letter by letter; `number` knows them in any case.
_NULLS = sorted({form for word in tables.MISSING for form in (word, word.upper(), word.title())})
_NULLS += ["NaN"]


class Lines(NamedTuple):
    """Some whole lines of a table without their ends; `first` is the first one's number."""

    first: int
    lines: list[bytes]


@contextmanager
def _utf8(path: Path, encoding: str | None) -> Iterator[BinaryIO]:
    """Open a text file, plain or packed, as UTF-8 without a byte order mark."""
    name = os.fspath(path)
    with tables.opened(path, name) as stream:
        codec = tables.codec(stream, name, encoding)
        if codec == "utf-8-sig":
            if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                stream.seek(0)
            yield stream
            return
        to_utf8, from_utf8 = codecs.getencoder("utf-8"), codecs.getdecoder("utf-8")
        read, write = codecs.getreader(codec), codecs.getwriter("utf-8")
        try:
            yield cast(BinaryIO, codecs.StreamRecoder(stream, to_utf8, from_utf8, read, write))
        except UnicodeError as error:
            raise tables.wrong_encoding(name, encoding or codec) from error


def lines(path: Path, encoding: str | None = None) -> Iterator[Lines]:
    """Give the lines of a file in blocks, the next one being unpacked meanwhile.

    Parameters
    ----------
    path : path-like
        The file.
    encoding : str or None
        See `tables.text`.

    Raises
    ------
    InputError
        See `tables.opened`; also if the file is empty, or not of this encoding.
    """
    return _ahead(_blocks(path, encoding, BLOCK))


def _blocks(path: Path, encoding: str | None, size: int) -> Iterator[Lines]:
    number, rest = 1, b""
    with _utf8(path, encoding) as stream:
        for chunk in tables.chunks(stream, size):
            # Joined only when the line ends: lines may be longer than a block.
            head, end, tail = chunk.rpartition(b"\n")
            if not end:
                rest += chunk
                continue
            found = (rest + head).split(b"\n")
            yield Lines(number, found)
            number, rest = number + len(found), tail
    if rest:
        yield Lines(number, [rest])
    elif number == 1:
        raise InputError(f"{os.fspath(path)}, line 1: the file is empty; supply it anew.")


def _ahead(items: Iterable[T]) -> Iterator[T]:
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(next, iterator, end)
        try:
            while (item := future.result()) is not end:
                future = pool.submit(next, iterator, end)
                yield cast(T, item)
        finally:
            # Whoever stops early closes the file, which only its own thread may do.
            pool.submit(getattr(iterator, "close", int)).result()


def first_lines(path: Path, n: int, encoding: str | None = None) -> list[bytes]:
    """Give the first lines of a file, fewer if it has fewer; see `lines`."""
    found: list[bytes] = []
    blocks = _blocks(path, encoding, _HEADER_BLOCK)
    with closing(blocks):  # type: ignore[type-var]
        for block in blocks:
            found += block.lines
            if len(found) >= n:
                break
    return found[:n]


def numbered(path: Path, encoding: str | None = None) -> Iterator[tuple[int, bytes]]:
    """Give the lines below a header that are not blank, with their numbers."""
    for block in lines(path, encoding):
        for number, line in enumerate(block.lines, block.first):
            if number > 1 and line.strip():
                yield number, line


def decoded(text: bytes, path: Path, number: int) -> str:
    """Decode what stands in a line of a file.

    Raises
    ------
    InputError
        If it is no UTF-8.
    """
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"{os.fspath(path)}, line {number}"
        raise tables.wrong_encoding(where, "utf-8") from error


def cells(line: bytes, sep: bytes) -> list[bytes]:
    """Split a line into its fields, without their quotes."""
    if b'"' not in line:
        return line.split(sep)
    csv.field_size_limit(sys.maxsize)
    # Latin-1 keeps every byte as it is.
    row = next(csv.reader([line.decode("latin-1")], delimiter=sep.decode()))
    return [cell.encode("latin-1") for cell in row]


def fields(line: bytes, sep: bytes, path: Path, number: int) -> list[str]:
    """Split a line into its fields as text, without quotes and outer blanks."""
    text = decoded(b"\n".join(cells(line, sep)), path, number)
    return [cell.strip() for cell in text.split("\n")]


class Header(NamedTuple):
    """The first line of a table; `row` is the second one, None where there is none."""

    separator: bytes
    names: list[str]
    row: bytes | None


def header(path: Path, form: tables.Form, wanted: Collection[str] = ()) -> Header:
    """Read the names of a table's columns.

    Parameters
    ----------
    path : path-like
        The table.
    form : tables.Form
        How it is written. Its separator may be that of another file of the same dataset, so it
        counts where the header has it.
    wanted : collection of str
        Columns that tell the separator.

    Raises
    ------
    InputError
        See `lines` and `tables.separator`; also if there is but one column.
    """
    first, *others = first_lines(path, 2, form.encoding)
    text, row = decoded(first, path, 1), others[0] if others else None
    asked = form.separator if form.separator and tables.SEPARATORS[form.separator] in text else None
    second = None if row is None else row.decode("utf-8", errors="replace")
    mark = tables.separator(text, os.fspath(path), wanted, asked, second)
    if mark not in text:
        raise InputError(
            f"{os.fspath(path)}, line 1: there is but one column; separate columns by tab or comma."
        )
    return Header(mark.encode(), fields(first, mark.encode(), path, 1), row)


def is_utf8(path: Path) -> bool:
    """Tell whether a file is UTF-8, or UTF-16 with its mark."""
    try:
        for block in lines(path):
            b"\n".join(block.lines).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def numbers(rows: Sequence[bytes]) -> NDArray[np.float32] | None:
    """Parse fields that are separated by line ends, all at once.

    Parameters
    ----------
    rows : sequence of bytes
        Each holds one or more fields, separated by newlines.

    Returns
    -------
    ndarray of float32, shape (fields,), or None
        NaN for a missing value; None if a field is no number.
    """
    import pyarrow
    from pyarrow import csv as arrow

    text = b"\n".join(rows)
    try:
        table = arrow.read_csv(
            # An empty last field has to be seen, too.
            pyarrow.py_buffer(text + b"\n"),
            read_options=arrow.ReadOptions(use_threads=False, column_names=["value"]),
            parse_options=arrow.ParseOptions(
                ignore_empty_lines=False, quote_char='"' if b'"' in text else False
            ),
            convert_options=arrow.ConvertOptions(
                column_types={"value": pyarrow.float32()}, null_values=_NULLS
            ),
        )
    except pyarrow.ArrowInvalid:
        return None
    values: NDArray[np.float32] = table["value"].to_numpy()
    return values


def number(cell: bytes) -> float | None:
    """Parse one field: NaN for a missing value, None for text."""
    text = _text(cell)
    if text.lower() in tables.MISSING:
        return float("nan")
    try:
        # Python takes 1_000 for a number, a table's author hardly does.
        return None if "_" in text else float(text)
    except ValueError:
        return None


def not_a_number(where: str, cell: bytes) -> InputError:
    """Tell of a cell that holds text; `where` starts the error."""
    text = _text(cell)
    cure = "correct it, or leave the column out"
    if has_decimal_comma(cell):
        cure = "write decimals with a point"
    return InputError(f"{where}: {tables.shown(text)} is no number; {cure}.")


def has_decimal_comma(cell: bytes) -> bool:
    """Tell whether a cell is a number of a country that writes decimals with a comma."""
    return re.fullmatch(r"[+-]?[0-9]+,[0-9]+", _text(cell)) is not None


def _text(cell: bytes) -> str:
    return cell.decode("utf-8", errors="replace").strip().strip('"').strip()
