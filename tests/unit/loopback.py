"""A file server on loopback that fails on demand, for the tests of downloads."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

REPO = "acme/genomes"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Request(NamedTuple):
    method: str
    path: str
    range: str | None


@dataclass
class Loopback:
    """What is served, what goes wrong, and what was asked.

    `faults[method, path]` is a list of what the next requests get: "cut" (half of the
    bytes, then a closed connection), a status, or "whole" (Range is ignored).
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[tuple[str, str], list[str | int]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def asked(self, method: str) -> list[Request]:
        return [request for request in self.requests if request.method == method]


@contextmanager
def serving() -> Iterator[Loopback]:
    """Serve on a free port until the block ends."""
    state = Loopback()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            wanted = self.headers.get("Range")
            state.requests.append(Request(self.command, self.path, wanted))
            faults = state.faults.get((self.command, self.path), [])
            fault = faults.pop(0) if faults else None
            content = state.files.get(self.path)
            if isinstance(fault, int):
                self.refuse(fault)
            elif content is None:
                self.refuse(404)
            else:
                start = int(wanted[len("bytes=") : -1]) if wanted and fault != "whole" else 0
                self.give(content, start, cut=fault == "cut")

        def refuse(self, status: int) -> None:
            self.send_response(status)
            if status == 404:
                # What the hub says of a file that a repository lacks.
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def give(self, content: bytes, start: int, cut: bool) -> None:
            if start > len(content) or (start == len(content) and start):
                self.refuse(416)
                return
            body = content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection = cut

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
