"""An engine's answers, parsed from bytes as they come.

llhttp (by httptools) knows the grammar, and is strict: no bare CR or LF, no folded line, no NUL, no
second or conflicting length. This module adds what only the receiver of an answer knows (RFC 9112,
section 6.3): where an answer ends that has no length, and that 1xx come before it. Leaves sockets and
waiting to `upstream.py`.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_HEAD_BYTES = 65_536
"""Of all heads of an answer, those of 1xx included; and of whatever brings no content after it."""

_VERSIONS = ("1.1", "1.0")
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_UNPRINTABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class BadResponseError(Exception):
    """What came is not HTTP/1.1, or not whole."""


class ResponseParser:
    """The answers of one connection, one after the other; `begin` before each."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.begin(bodiless=False)

    def begin(self, *, bodiless: bool) -> None:
        """Get ready for an answer; `bodiless` where the request was a HEAD."""
        self.status = 0
        """0 until the head is complete."""
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        """Names as they came; values without blanks around them."""
        self.event_stream = False
        """Whether the content is server-sent events."""
        self.length: int | None = None
        """The body's bytes, where the head says so and there is a body."""
        self.pieces: list[bytes] = []
        """Of the body, without its framing; what has been taken is gone."""
        self.buffered = 0
        """Bytes in `pieces`."""
        self.complete = False
        self.reusable = False
        """Whether another answer may follow on the connection, once this one is complete."""
        self._bodiless = bodiless
        self._interim = False
        self._coding: bytes | None = None
        self._overhead = 0
        self._head_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take what came. What is wrong only after the end spoils the connection, not the answer.

        Raises:
            BadAnswerError: no answer, or none that could be told apart from another.
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
        """The connection was closed in good order.

        Raises:
            BadAnswerError: the answer is not whole.
        """
        self.reusable = False
        if self.complete:
            return
        if not self.status or self.length is not None or self._coding is not None:
            raise BadResponseError("closed before the end")
        self.complete = True

    def take(self) -> bytes:
        """What has come of the body, and is gone from here."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.pieces = []
        self.buffered = 0
        return data

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        if self.complete:
            raise BadResponseError("more than one answer")

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
        if self._bodiless or status in _BODILESS:
            self.length = None
            self.complete = True
            # Of a HEAD the parser does not know; it would take the next answer for a body.
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
