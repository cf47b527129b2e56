"""The engine's side of HTTP connections: uvicorn's faster protocol, with a bound for heads.

It frames a chunk of a stream with a tenth of the work of the one on h11, but reads heads of any length.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runtime.engine import errors
from runtime.engine.errors import Refusal

MAX_HEAD_BYTES = 65_536
"""The most of a request's head, that is its first line and headers, in bytes; or of a trailer. What is
read at once with its end may be longer, up to 256 KiB."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _head_bytes = 0
    """Bytes that came since the end of the last head or piece of a body."""

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse a head that does not end."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(errors.head_too_large(MAX_HEAD_BYTES))

    def on_headers_complete(self) -> None:
        """The parser calls this at the end of a head."""
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """The parser calls this for each piece of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The parser calls this at the end of a request."""
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, in the API's envelope."""
        self._refuse(errors.not_http("its method, path, headers or framing cannot be parsed"))

    def _refuse(self, refusal: Refusal) -> None:
        body = refusal.body()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[refusal.status] + head % len(body) + body)
        self.transport.close()
