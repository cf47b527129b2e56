"""Parses an engine's responses from bytes as they come.

llhttp (by httptools) knows the grammar, and is strict: no bare CR or LF, no folded line, no NUL, no
second or conflicting length. This module adds what only the receiver of a response knows (RFC 9112,
section 6.3): where a response without a length ends, and that 1xx responses come before it. Leaves
sockets and waiting to `connection.py`.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.edge.response import BODILESS

MAX_HEAD_BYTES = 65_536
"""Limit for all heads of a response together, those of 1xx included; and for what comes after them and
brings no content."""

USAGE_HEADER = b"x-llamaserve-usage"
"""In lower case."""

_VERSIONS = ("1.1", "1.0")
_UNPRINTABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class BadResponseError(Exception):
    """The bytes are not HTTP/1.1, or the response is not whole."""


class ResponseParser:
    """Parses the responses of one connection, one after the other; call `begin` before each."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.begin(bodiless=False)

    def begin(self, *, bodiless: bool) -> None:
        """Get ready for a response; `bodiless` if the request was a HEAD."""
        self.status = 0
        """0 until the head is complete."""
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        """Names as they came; values without blanks around them."""
        self.event_stream = False
        """Whether the content is server-sent events."""
        self.usage = b""
        """The value of our engine's header with the tokens used."""
        self.length: int | None = None
        """Length of the body, if the head tells it and there is a body."""
        self.pieces: list[bytes] = []
        """Pieces of the body, without its framing, that have not been taken."""
        self.buffered = 0
        """Bytes in `pieces`."""
        self.complete = False
        self.reusable = False
        """Whether another response may follow on the connection, once this one is complete."""
        self._bodiless = bodiless
        self._interim = False
        self._coding: bytes | None = None
        self._overhead = 0
        self._head_bytes = 0

    def feed(self, data: bytes) -> None:
        """Parse what came. Bad bytes after the response's end spoil the connection, not the response.

        Raises:
            BadResponseError: this is no response, or one whose end would be ambiguous.
        """
        buffered = self.buffered
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.reusable = False
            if not self.complete:
                cause = error.__context__
                raise BadResponseError(
                    str(cause if isinstance(cause, BadResponseError) else error)
                ) from error
        if self.complete:
            return
        # Heads, chunks' extensions and trailers can go on for ever, in pieces that nobody sees.
        self._overhead = 0 if self.buffered > buffered else self._overhead + len(data)
        if self._overhead > MAX_HEAD_BYTES:
            raise BadResponseError("too much beside the content")

    def end(self) -> None:
        """End the response, if it may end here: the engine has closed the connection.

        Raises:
            BadResponseError: the response is not whole.
        """
        self.reusable = False
        if self.complete:
            return
        if not self.status or self.length is not None or self._coding is not None:
            raise BadResponseError("closed before the end")
        self.complete = True

    def take(self) -> bytes:
        """Remove and return the part of the body that has arrived."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.pieces = []
        self.buffered = 0
        return data

    # llhttp calls the methods below.

    def on_message_begin(self) -> None:
        if self.complete:
            raise BadResponseError("more than one response")

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise BadResponseError("too large a head")
        if self.status:
            return  # a trailer
        value = value.rstrip()
        self.headers.append((name, value))
        low = name.lower()
        if low == b"content-length":
            self.length = int(value)
        elif low == b"content-type":
            self.event_stream = value.partition(b";")[0].strip().lower() == b"text/event-stream"
        elif low == USAGE_HEADER:
            self.usage = value
        elif low == b"transfer-encoding":
            self._coding = value.lower() if self._coding is None else b"twice"

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._begin_interim(status)
            return
        if status > 599:
            raise BadResponseError(f"status {status}")
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise BadResponseError(f"version {version}")
        if self.reason != b"OK" and _UNPRINTABLE.search(self.reason):
            raise BadResponseError("an unprintable reason")
        if self._coding is not None and (self._coding != b"chunked" or version == "1.0"):
            raise BadResponseError(f"transfer coding {self._coding.decode('latin-1')!r}")
        self.status = status
        self.reusable = self._parser.should_keep_alive()
        if self._bodiless or status in BODILESS:
            self.length = None
            self.complete = True
            # llhttp is not told of a HEAD; it would take the next response for a body.
            self.reusable = self.reusable and not self._bodiless

    def _begin_interim(self, status: int) -> None:
        # Nobody asked for another protocol.
        if status < 100 or status == HTTPStatus.SWITCHING_PROTOCOLS:
            raise BadResponseError(f"status {status}")
        self._interim = True
        self.reason = b""
        self.headers = []
        self.event_stream = False
        self.length = self._coding = None

    def on_body(self, piece: bytes) -> None:
        if self.complete or self._interim:
            raise BadResponseError("a body where there is none")
        self.pieces.append(piece)
        self.buffered += len(piece)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self.complete = True
