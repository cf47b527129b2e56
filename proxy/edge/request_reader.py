"""The reading half of a client's connection: heads, bodies, and what is pipelined behind them.

aiohttp's parser (llhttp) reads heads and bodies. One request at a time is given to it; what a client
sends behind that waits unparsed, up to READ_BYTES twice here and in the kernel beyond.

Only what aiohttp exports is used: `aiohttp.http.HttpRequestParser`, which with `max_msg_queue_size=1`
stops after each message until `message_consumed`, and `StreamReader` for bodies. Both want a protocol,
and use three members of it: `connected`, `pause_reading` and `resume_reading`.
`tests/proxy/edge/test_parser_contract.py` tests what is relied on beyond aiohttp's documentation.
"""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, cast

from aiohttp.http import HttpProcessingError, HttpRequestParser
from aiohttp.http_exceptions import TransferEncodingError

from proxy import errors
from proxy.edge import checks
from proxy.edge.client_writer import ClientWriter
from proxy.edge.limits import EdgeLimits
from proxy.edge.request import Request
from proxy.edge.write_batching import WriteBatcher
from proxy.errors import ApiError

if TYPE_CHECKING:
    from aiohttp.base_protocol import BaseProtocol

READ_BYTES = 16_384
"""The most that is read at once. A body that nobody reads is buffered up to about three times this; what
is pipelined behind a request, up to twice this."""


class State(enum.Enum):
    """What a connection is doing."""

    FRESH = enum.auto()
    """It has just been made, and nothing has arrived."""
    HEAD = enum.auto()
    """A part of a head has arrived."""
    BODY = enum.auto()
    """A request is being answered, and its body is still arriving."""
    ANSWERING = enum.auto()
    """A request that has arrived whole is being answered."""
    IDLE = enum.auto()
    """A request has been answered, and the connection is kept for the next one."""
    CLOSING = enum.auto()
    """Nothing more is answered: what arrives is dropped, and what was written is being taken."""


# Looked up once: a member of an enumeration costs a call of a Python function each time (3.11).
FRESH, HEAD, BODY = State.FRESH, State.HEAD, State.BODY
ANSWERING, IDLE, CLOSING = State.ANSWERING, State.IDLE, State.CLOSING


class RequestReader(ClientWriter):
    """Reads one request after the other from a transport.

    Args:
        scratch: READ_BYTES of memory to read into. All connections share it: nothing stays in it.

    Attributes:
        state: what the connection is doing.
        remote: the peer's IP address, empty before the connection is made.
    """

    __slots__ = (
        "_body_paused", "_half_closed", "_head_bytes", "_last", "_limits", "_loop", "_parser",
        "_pending", "_reading_paused", "_request", "_scratch", "remote", "state",
    )  # fmt: skip

    def __init__(self, *, writes: WriteBatcher, limits: EdgeLimits, scratch: memoryview) -> None:
        super().__init__(writes)
        self._limits = limits
        self._scratch = scratch
        self._loop = loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(
            cast("BaseProtocol", self),
            loop,
            READ_BYTES,
            max_line_size=checks.MAX_TARGET_BYTES,
            max_field_size=checks.MAX_FIELD_BYTES,
            max_headers=checks.MAX_FIELDS,
            auto_decompress=False,
            max_msg_queue_size=1,
        )
        self.state = FRESH
        self.remote = ""
        self._head_bytes = 0
        """The bytes of a head that has not arrived whole."""
        self._request: Request | None = None
        """The request that is being answered, or was last."""
        self._pending = b""
        """What has arrived behind the request that is being answered."""
        self._last = False
        """Whether no request after this one will be read."""
        self._half_closed = False
        """Whether the client has closed its sending side."""
        self._body_paused = False
        """Whether nobody takes what has arrived of a body."""
        self._reading_paused = False
        """Whether the transport has been told not to read."""

    def closes_after(self, request: Request, status: int) -> bool:
        """Whether the connection is closed after a response with this status."""
        raise NotImplementedError

    def _begin(self, request: Request) -> None:
        """Answer a request whose head has arrived."""
        raise NotImplementedError

    def _refuse(self, error: ApiError) -> None:
        """Answer what cannot be read as a request, and close."""
        raise NotImplementedError

    def _set_deadline(self, seconds: float) -> None:
        """Move the deadline of the present state."""
        raise NotImplementedError

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio: the memory to read into."""
        del sizehint
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: so many bytes have been read."""
        state = self.state
        if state is CLOSING:
            return
        data = self._scratch[:nbytes].tobytes()
        if state is BODY:
            self._parse_body(data)
        elif state is ANSWERING:
            self._keep(data)
        else:
            request = self._parse_head(data)
            if request is not None:
                self._begin(request)

    def _parse_head(self, data: bytes) -> Request | None:
        """The request whose head is now complete; None where more must arrive, or it was refused."""
        try:
            messages, _, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._refuse(checks.error_of(error))
            return None
        if not messages:
            if data:
                self._head_grows(data)
            return None
        message, payload = messages[0]
        request = Request(message, payload, self)
        self._head_bytes = 0
        try:
            checks.check(request)
        except ApiError as error:
            self._refuse(error)
            return None
        self._request = request
        self.state = ANSWERING if payload.is_eof() else BODY
        if message.upgrade:
            self._decline_upgrade(request, data)
        return request

    def _head_grows(self, data: bytes) -> None:
        """Hold the limits of a head of which `data` is a further part."""
        if self.state is not HEAD:
            if not data.strip(b"\r\n"):
                return  # empty lines before a request line are to be ignored (RFC 9112, section 2.2)
            self.state = HEAD
            self._set_deadline(self._limits.head_s)
        self._head_bytes += len(data)
        if self._head_bytes > self._limits.head_bytes:
            self._refuse(errors.head_too_large(f"more than {self._limits.head_bytes} bytes of headers"))

    def _decline_upgrade(self, request: Request, data: bytes) -> None:
        """Go on with HTTP after a request for another protocol.

        The parser drops what `data` holds behind such a request, so the connection is kept only where
        nothing is behind it.
        """
        head, end, body = data.partition(b"\r\n\r\n")
        alone = head and end and len(body) == request.content_length and self.state is ANSWERING
        self._last = not alone or self._parser.feed_data(b"")[1]

    def _parse_body(self, data: bytes) -> None:
        assert self._request is not None
        payload = self._request.payload
        try:
            self._parser.feed_data(data)
        except HttpProcessingError:
            self._break_body()
            return
        if payload.is_eof():
            self.state = ANSWERING

    def _break_body(self) -> None:
        """End a body that is not valid, or that will not come to its end."""
        assert self._request is not None
        # Where the body ends is unknown, and so where the next request would begin.
        self._last = True
        self._body_paused = False
        self.state = ANSWERING
        self._request.payload.set_exception(TransferEncodingError("not a whole body"))

    def _keep(self, data: bytes) -> None:
        """Keep what arrives behind a request until that has been answered."""
        if not self._last:
            self._pending += data
            if len(self._pending) >= READ_BYTES:
                self._pause_or_resume()

    def _next_request(self) -> Request | None:
        """The request that has arrived behind the one that has been answered, if its head is whole."""
        self._parser.message_consumed()
        self.state = IDLE
        request = self._parse_head(b"")  # from what the parser has kept
        if self._pending and (self.state is IDLE or self.state is BODY):
            data, self._pending = self._pending, b""
            if request is None:
                request = self._parse_head(data)
            else:
                self._parse_body(data)
        if self._reading_paused:
            self._pause_or_resume()
        if self.state is BODY and self._half_closed:
            self._break_body()
        return request

    def _pause_or_resume(self) -> None:
        """Have the transport read, unless a body or what is pipelined has reached its bound."""
        pause = self._body_paused or len(self._pending) >= READ_BYTES
        transport = self.transport
        if pause is self._reading_paused or transport is None or transport.is_closing():
            return
        self._reading_paused = pause
        if pause:
            transport.pause_reading()
        else:
            transport.resume_reading()

    # The parser's side: aiohttp's StreamReader uses these three

    @property
    def connected(self) -> bool:
        """Whether more of a body may arrive."""
        return self.transport is not None

    def pause_reading(self) -> None:
        """Stop reading a body: nobody takes what has arrived."""
        self._body_paused = True
        self._parser.pause_reading()
        self._pause_or_resume()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading a body, first what the parser has kept of it."""
        if not self._body_paused:
            return
        self._body_paused = False
        if resume_parser and self.state is BODY:
            self._parse_body(b"")  # may pause again
        self._pause_or_resume()
