"""The server's API, and what goes wrong with it."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import IO, Any

TIMEOUT_S = 60.0
PIECE_BYTES = 2**18


class Failure(Exception):
    """What went wrong, as the user is told. `passing`: trying again may help."""

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


class Server:
    """The server's API."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The JSON that a call gives. Raises Failure."""
        data = None if body is None else json.dumps(body).encode()
        with self._open(method, path, data, {"Content-Type": "application/json"}) as response:
            return json.load(response)

    def upload(self, path: Path) -> Any:
        """Upload a file for a batch. Raises Failure."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="lines.jsonl"\r\n'
            "\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()

        def pieces() -> Iterator[bytes]:
            yield head
            with path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
            yield tail

        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
        }
        with self._open("POST", "/files", pieces(), headers) as response:
            return json.load(response)

    def download(self, file_id: str, to: IO[bytes]) -> None:
        """Write a file's content. Raises Failure."""
        with self._open("GET", f"/files/{file_id}/content", None, {}) as response:
            while piece := response.read(PIECE_BYTES):
                to.write(piece)
            if response.length:  # reading in pieces says nothing of an early end
                raise IncompleteRead(b"", response.length)

    @contextmanager
    def _open(
        self, method: str, path: str, data: Any, headers: dict[str, str]
    ) -> Iterator[HTTPResponse]:
        headers = {**headers, "Authorization": f"Bearer {self._key}"}
        url = self._url + path
        if not url.startswith(("http://", "https://")):
            raise Failure(f"{self._url} is no http:// or https:// URL")
        request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310
        try:
            response = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
        except urllib.error.HTTPError as error:
            raise Failure(_told(error), passing=error.code in (429, 502, 503, 504)) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            text = f"{self._url} cannot be reached: {reason}. Set OPENAI_BASE_URL or give --url."
            raise Failure(text, passing=True) from error
        with response:
            try:
                yield response
            except (ConnectionError, TimeoutError, HTTPException, ValueError) as error:
                text = f"what {self._url} answered broke off: {error or type(error).__name__}"
                raise Failure(text, passing=True) from error


def _told(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(PIECE_BYTES))["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the server answered {error.code} {error.reason}"
