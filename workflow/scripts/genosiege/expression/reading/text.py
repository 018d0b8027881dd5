"""Lines of large text tables, and the numbers in them."""

import csv
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError

Path = str | os.PathLike[str]
T = TypeVar("T")

BLOCK = 1 << 24
"""Bytes of text that are read at once."""

SEPARATORS = (b"\t", b",", b";")
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None")
"""Cells that hold no value, as R, pandas and databases write them."""

_GZIP = b"\x1f\x8b"


class Lines(NamedTuple):
    """Some whole lines of a table without their ends; `first` is the first one's number."""

    first: int
    lines: list[bytes]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file that may be gzip, by its first bytes.

    Raises
    ------
    InputError
        If there is no such file, it is empty, ends in .gz but is no gzip, or is damaged.
    """
    try:
        with open(path, "rb") as handle:
            start = handle.read(2)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(
            f"{path}: there is no such file; supply it or correct the path."
        ) from error
    if not start:
        raise InputError(f"{path}: the file is empty; supply it anew.")
    zipped = start == _GZIP
    if os.fspath(path).endswith(".gz") and not zipped:
        raise InputError(f"{path}: this is not gzip, though named .gz; rename or replace it.")
    try:
        with gzip.open(path, "rb") if zipped else open(path, "rb") as stream:
            yield cast(BinaryIO, stream)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path}: the gzip file is cut short or damaged; fetch it anew."
        ) from error


def lines(path: Path) -> Iterator[Lines]:
    """Give the lines of a file in blocks, the next one being unpacked meanwhile."""
    return _ahead(_blocks(path))


def _blocks(path: Path) -> Iterator[Lines]:
    number, rest = 1, b""
    with opened(path) as stream:
        while chunk := stream.read(BLOCK):
            # Joined only when the line ends: lines may be longer than a block.
            head, end, tail = chunk.rpartition(b"\n")
            if not end:
                rest += chunk
                continue
            found = _split(rest + head)
            yield Lines(number, found)
            number, rest = number + len(found), tail
    if rest:
        yield Lines(number, _split(rest))


def _split(text: bytes) -> list[bytes]:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").removesuffix(b"\r")
    return text.split(b"\n")


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


def first_lines(path: Path, n: int) -> list[bytes]:
    """Give the first lines of a file, fewer if it has fewer."""
    with opened(path) as stream:
        found = [line.rstrip(b"\r\n") for line, _ in zip(stream, range(n), strict=False)]
    if found and found[0].startswith(b"\xef\xbb\xbf"):
        found[0] = found[0][3:]
    return found


def separator(header: bytes, path: Path) -> bytes:
    """Tell what separates the fields of a header: a tab if there is one, else `,` or `;`."""
    for candidate in SEPARATORS:
        if candidate in header:
            return candidate
    raise InputError(f"{path}, line 1: there is but one column; separate columns by tab or comma.")


def decoded(text: bytes) -> str:
    """Decode text that is UTF-8 or, like the older tables of public hubs, Latin-1."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def cells(line: bytes, sep: bytes) -> list[bytes]:
    """Split a line into its fields, without their quotes."""
    if b'"' not in line:
        return line.split(sep)
    # Latin-1 keeps every byte as it is.
    row = next(csv.reader([line.decode("latin-1")], delimiter=sep.decode()))
    return [cell.encode("latin-1") for cell in row]


def fields(line: bytes, sep: bytes) -> list[str]:
    """Split a line into its fields as text, without quotes and outer blanks."""
    return [decoded(cell).strip() for cell in cells(line, sep)]


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
                column_types={"value": pyarrow.float32()}, null_values=list(MISSING)
            ),
        )
    except pyarrow.ArrowInvalid:
        return None
    values: NDArray[np.float32] = table["value"].to_numpy()
    return values


def number(cell: bytes) -> float | None:
    """Parse one field: NaN for a missing value, None for text."""
    text = decoded(cell).strip().strip('"').strip()
    if text in MISSING:
        return float("nan")
    try:
        # Python takes 1_000 for a number, a table's author hardly does.
        return None if "_" in text else float(text)
    except ValueError:
        return None


def not_a_number(where: str, cell: bytes) -> InputError:
    """Tell of a cell that holds text; `where` starts the error."""
    shown = decoded(cell).strip()
    shown = shown if len(shown) <= 40 else f"{shown[:40]}…"
    return InputError(f"{where}: {shown!r} is no number; correct it, or leave the column out.")
