"""As much of the hub as a download asks of it: where a file is, of what kind of repository, and whether one may."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REVISION = "a" * 40

Files = Mapping[tuple[str, str, str], bytes]
"""(repository type, id, file) to its bytes."""


@contextmanager
def serving(files: Files, gated: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """Yields the server's address and the paths that were asked for, in order. ``gated``: ids that need a token."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, *_: object) -> None:
            return

        def _answer(self, *, with_body: bool) -> None:
            asked.append(f"{self.command} {self.path}")
            kind, rest = "model", self.path.lstrip("/")
            if rest.startswith("datasets/"):
                kind, rest = "dataset", rest.removeprefix("datasets/")
            repository, _, place = rest.partition("/resolve/")
            revision, _, file = place.partition("/")
            known = {one for of, one, _ in files if of == kind}
            if repository in gated:
                self._send(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}, b"")
            elif repository not in known:
                self._send(404, {"X-Error-Code": "RepoNotFound"}, b"")
            elif revision != REVISION:
                self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"")
            elif (kind, repository, file) not in files:
                self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": REVISION}, b"")
            else:
                body = files[kind, repository, file]
                told = {"X-Repo-Commit": REVISION, "ETag": '"etag"', "Content-Type": "application/octet-stream"}
                self._send(200, told, body, with_body)

        def _send(self, status: int, headers: Mapping[str, str], body: bytes, with_body: bool = True) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
