"""Fetch one file over HTTP: resumed where it was cut, retried, its progress logged."""

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from genosiege.errors import InputError

log = logging.getLogger(__name__)

RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
CHUNK = 1 << 16
TIMEOUT = (15, 60)  # seconds to connect, seconds without a byte
LOG_EVERY = 10.0  # seconds


class AbsentError(InputError):
    """The source answers, but has no such file."""


class CutError(Exception):
    """The connection or the server failed in a way that another try may mend."""


class ResumingDownloader:
    """A downloader for pooch that goes on where a connection was cut.

    The bytes of an unfinished download stay in `part`, so that also a killed job's
    successor goes on. It does so only if `trusted`, that is, if a digest is checked
    afterwards: nothing else would notice that the file on the server has changed.

    Attributes
    ----------
    part : Path
        Where the bytes are gathered; it lies in the folder of the final file.
    trusted : bool
        Whether what an earlier job left in `part` may be used.
    retries : int
        Tries without a new byte before it gives up.
    """

    def __init__(self, part: Path, trusted: bool, retries: int = 5) -> None:
        self.part = part
        self.trusted = trusted
        self.retries = retries
        self._etag: str | None = None

    def __call__(self, url: str, output_file: Any, pooch: Any, check_only: bool = False) -> None:
        """Download `url` to the path `output_file`.

        Raises
        ------
        InputError
            If the server refuses, or cannot be reached after all retries.
        """
        with self._locked() as handle:
            if not self.trusted:
                handle.truncate(0)
            failures = 0
            while True:
                before = handle.seek(0, os.SEEK_END)
                try:
                    self._receive(url, handle)
                    break
                except CutError as error:
                    failures = 1 if handle.tell() > before else failures + 1
                    if failures > self.retries:
                        raise InputError(
                            f"{url}: the download failed {failures} times ({error}); check the "
                            "network and the proxy settings (https_proxy), then rerun to resume."
                        ) from error
                    log.warning("%s: %s; retry %d", url, error, failures)
                    time.sleep(min(2.0 ** (failures - 1), 30))
            handle.flush()
            os.replace(handle.name, output_file)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """Open the part file for this process alone.

        The orphaned child of a killed workflow may still write to it; then a file of
        another name is used.
        """
        handle = open(self.part, "ab")  # noqa: SIM115
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            own = self.part.with_name(f"{self.part.name}.{uuid.uuid4().hex}")
            with open(own, "ab") as handle:
                try:
                    yield handle
                finally:
                    own.unlink(missing_ok=True)
        else:
            with handle:
                yield handle

    def _receive(self, url: str, handle: BinaryIO) -> None:
        """Append what is missing, in one request."""
        import requests

        start = handle.tell()
        # Without compression, or byte offsets would not be those of the file.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if self._etag:
                headers["If-Range"] = self._etag
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                if response.status_code == 416:
                    # More bytes than the file has: it is another file now.
                    handle.truncate(0)
                    raise CutError("the part that was there does not fit the file")
                _check_status(url, response.status_code, response.reason)
                if start and not _continues(response.headers.get("Content-Range"), start):
                    handle.truncate(0)
                    handle.seek(0)
                etag = response.headers.get("ETag")
                # A weak tag does not promise equal bytes.
                self._etag = None if etag is None or etag.startswith("W/") else etag
                _copy(url, response, handle)
        except (requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema) as error:
            raise InputError(f"{url}: this is no http address; correct the url.") from error
        except requests.exceptions.RequestException as error:
            raise CutError(reason(error)) from error


def reason(error: BaseException) -> str:
    """Name the innermost cause of a failed connection in a few words."""
    while True:
        inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        inner = inner or next((part for part in error.args if isinstance(part, Exception)), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = " ".join(str(error).split()) or "no answer"
    return f"{type(error).__name__}: {text[:120]}"


def _check_status(url: str, status: int, phrase: str) -> None:
    if status in RETRIED_STATUS:
        raise CutError(f"the server answers {status} {phrase}")
    if status not in (200, 206):
        raise InputError(f"{url}: the server answers {status} {phrase}; correct the url.")


def _continues(content_range: str | None, start: int) -> bool:
    """Whether an answer goes on at byte `start`; a server may send all instead."""
    return content_range is not None and content_range.startswith(f"bytes {start}-")


def _copy(url: str, response: Any, handle: BinaryIO) -> None:
    expected = response.headers.get("Content-Length")
    total = handle.tell() + int(expected) if expected else None
    told = time.monotonic()
    for chunk in response.iter_content(CHUNK):
        handle.write(chunk)
        if time.monotonic() - told > LOG_EVERY:
            told = time.monotonic()
            of = f" of {total / 1e6:.1f}" if total else ""
            log.info("%s: %.1f%s MB", url, handle.tell() / 1e6, of)
    if total is not None and handle.tell() != total:
        raise CutError(f"{handle.tell()} of {total} bytes came")
