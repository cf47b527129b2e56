"""A stand-in for the Hugging Face hub: one repository's list of files, and the files, with Range.

What it serves is what the real one does as far as a download sees it; `cut_after`, `status` and the like
make it fail on command.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Refusal:
    """A response without a file: how the hub refuses."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


class FakeHub:
    """Owns a server on a free port and what it serves."""

    def __init__(self, repo: str) -> None:
        self.repo = repo
        self.files: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        """Sent instead of the file's real value."""
        self.checksums: dict[str, str] = {}
        """Sent instead of the file's real value."""
        self.refusal: Refusal | None = None
        self.cut_after: int | None = None
        """The connection breaks after this many bytes of a file."""
        self.cuts = 0
        """The number of further responses to cut off."""
        self.ranges: list[str | None] = []
        """The Range header of each request for a file."""
        self.tokens: set[str | None] = set()
        hub = self

        class Handler(_Handler):
            served = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def description(self) -> dict[str, Any]:
        """The JSON that the hub returns for /api/models/REPO?blobs=true."""
        return {
            "id": self.repo,
            "sha": COMMIT,
            "siblings": [
                {
                    "rfilename": name,
                    "size": len(content),
                    "blobId": "0" * 40,
                    "lfs": {
                        "size": self.sizes.get(name, len(content)),
                        "sha256": self.checksums.get(name, hashlib.sha256(content).hexdigest()),
                        "pointerSize": 135,
                    },
                }
                for name, content in self.files.items()
            ],
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log."""

    def do_GET(self) -> None:
        hub = self.served
        hub.tokens.add(self.headers["Authorization"])
        path = self.path.partition("?")[0]
        prefix = f"/{hub.repo}/resolve/{COMMIT}/"
        if hub.refusal is not None:
            self._answer(hub.refusal.status, b"{}", hub.refusal.headers)
        elif path == f"/api/models/{hub.repo}":
            self._answer(200, json.dumps(hub.description()).encode(), {})
        elif path.startswith(prefix) and path.removeprefix(prefix) in hub.files:
            self._send_file(hub.files[path.removeprefix(prefix)])
        elif path.startswith("/api/models/"):
            self._answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        else:
            self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, content: bytes) -> None:
        hub = self.served
        wanted = self.headers["Range"]
        hub.ranges.append(wanted)
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0  # type: ignore[index]
        rest = content[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(rest)))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if hub.cut_after is None or not hub.cuts:
            self.wfile.write(rest)
            return
        hub.cuts -= 1
        self.wfile.write(rest[: hub.cut_after])
        self.wfile.flush()
        self.close_connection = True
