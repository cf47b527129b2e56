"""One client's connection: its time limits, the size of a head, and what is no HTTP.

aiohttp parses and answers; this adds what it has no setting for. Relied on in aiohttp 3.14, beside what
is documented: a new message is at the end of `_messages` when `data_received` returns, with its body as
the second part (what could not be parsed is there too, as an object with `exc`); `start` answers
them one after the other, calls `request_factory` with the connection, `finish_response` for each
answer, `handle_error` for what could not be parsed, `log_exception` for what it did not expect; after
`close()` it takes no more bytes and ends when the answer is out. tests/proxy/test_attacks.py and
test_connections.py show it if that changes.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, TransferEncodingError
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from proxy import errors, framing
from proxy.connections import Connections, Entry
from proxy.errors import ApiError

logger = logging.getLogger(__name__)


READ_BYTES = 65_536
"""Twice as much of a body is taken before anybody asks for it, then the client has to wait."""


@dataclass(frozen=True, kw_only=True)
class EdgeLimits:
    """Of each connection. Times are seconds, sizes bytes."""

    head_s: float = 30.0
    """For the head of a request, from the connection's or the head's first byte on."""
    kept_s: float = 75.0
    """How long a connection is kept for the next request."""
    linger_s: float = 5.0
    """How long what a client still sends is read and dropped after an early answer, so that it has a
    chance to read that."""
    take_s: float = 60.0
    """For a client to take the end of an answer (while it comes, `stalls.py` watches)."""
    handshake_s: float = 10.0
    """For TLS."""
    fresh_s: float = 2.0
    """In a drain, for the first request of a connection that has just been accepted."""
    head_bytes: int = 65_536
    """Of a head in all; as much may come while a request is under way, of those after it."""


class Connection(web.RequestHandler):
    """aiohttp's protocol of one connection, with limits."""

    __slots__ = (
        "_answering",
        "_body",
        "_connections",
        "_deaf",
        "_draining",
        "_entry",
        "_head_bytes",
        "_head_timer",
        "_limits",
        "_lost",
        "_newest",
        "_served",
    )

    def __init__(
        self, manager: web.Server, connections: Connections, entry: Entry, limits: EdgeLimits
    ) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as aiohttp's own runner is told
            max_line_size=framing.MAX_TARGET_BYTES,
            max_field_size=framing.MAX_FIELD_BYTES,
            max_headers=framing.MAX_FIELDS,
            keepalive_timeout=limits.kept_s,
            lingering_time=limits.linger_s,
            read_bufsize=READ_BYTES,
            auto_decompress=False,
        )
        self._connections = connections
        self._entry = entry
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._newest: object = None
        self._body: StreamReader | None = None
        """Of the newest request."""
        self._answering = False
        self._served = False
        """Whether it has had a request."""
        self._deaf = False
        """What comes from now on is dropped."""
        self._draining = False
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._entry.connection = self
        if not self._entry.counted:  # it was closed while it was being connected
            self.cut()
            return
        self._connections.waits(self._entry)
        self._expect_head(self._limits.head_s)
        if self._connections.draining:
            self.drain()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out."""
        self._lost = True
        self._stop_timer()
        self._connections.exit(self._entry)
        super().connection_lost(exc)

    async def start(self) -> None:
        """Answer requests until the connection is to be closed, and see to it that it then is."""
        transport = self.transport
        try:
            await super().start()
        except IndexError:
            if not self._deaf:  # else the message it was woken for has been answered by `_refuse`
                raise
        finally:
            # Closing waits for the client to take what is left: for ever, if it does not.
            if not self._lost and transport is not None:
                self._loop.call_later(self._limits.take_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and see to it that a head comes to its end."""
        if self._deaf:
            return
        body = self._body
        of_body = body is not None and not body.is_eof()
        super().data_received(data)
        newest = self._messages[-1] if self._messages else None
        if newest is None or newest is self._newest:
            if data and not of_body:
                self._head_grows(len(data))
            return
        self._newest = newest
        if hasattr(newest[0], "exc"):
            self._deaf = True
            if body is not None and not body.is_eof():
                self._end_body(body)
                return
        elif newest[0].version not in framing.VERSIONS and not self._answering:
            # Here, since aiohttp would answer in that version.
            self._messages.clear()
            self._refuse(errors.http_version())
            return
        self._body = newest[1]
        self._stop_timer()
        self._head_bytes = 0
        self._answering = self._served = True
        self._connections.works(self._entry)

    def _head_grows(self, size: int) -> None:
        fresh = self._head_timer is not None and not self._draining
        if not self._head_bytes and not self._answering and not fresh:
            self._expect_head(self._limits.head_s)
        self._head_bytes += size
        if self._head_bytes <= self._limits.head_bytes:
            return
        if self._answering:
            self.close()  # of the requests that follow none will be answered
        else:
            self._refuse(errors.head_too_large(f"more than {self._limits.head_bytes} bytes of headers"))

    def _end_body(self, body: StreamReader) -> None:
        """End the request whose chunks are none; aiohttp would wait for more and then answer twice."""
        self._messages.pop()
        if self._answering:
            body.set_exception(TransferEncodingError("not valid chunks"))
            self.close()
        else:
            self.force_close()

    def _expect_head(self, seconds: float) -> None:
        self._stop_timer()
        self._head_timer = self._loop.call_later(seconds, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(errors.head_timeout(self._limits.head_s))
        else:
            self.leave()

    def _refuse(self, error: ApiError) -> None:
        """Answer where there is no request yet, and close when the client has had time to read it."""
        self._deaf = True
        self.log_refusal(error)
        if self.transport is not None:
            self.transport.write(framing.written_out(error))
            self._half_close()
        self._stop_timer()
        self._head_timer = self._loop.call_later(self._limits.linger_s, self.force_close)

    def _half_close(self) -> None:
        if self.transport is not None and self.transport.can_write_eof():
            self.transport.write_eof()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, or to what the application did not catch."""
        if isinstance(exc, HttpProcessingError):
            error = framing.error_of(exc)
            self.log_refusal(error)
            return framing.Refusal(error)
        logger.error("a request failed", exc_info=exc)
        if request.writer.output_size:
            raise ConnectionResetError("part of the answer is out")
        return framing.Refusal(errors.internal())

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send what is left of an answer; from then on the connection waits again."""
        if isinstance(resp, web.HTTPException):  # of aiohttp's router
            resp = framing.Refusal(errors.http_status(resp.status))
        try:
            async with asyncio.timeout(self._limits.take_s):
                finished = await super().finish_response(request, resp, start_time)
        except TimeoutError:
            self.cut()
            return resp, True
        if self._draining:
            resp.force_close()  # it may have begun before the drain
        if self._deaf and not self._messages and isinstance(resp, framing.Refusal):
            # Closed with bytes unread, the answer may be lost (RFC 9112, section 9.6).
            self._half_close()
            await asyncio.sleep(self._limits.linger_s)
        if not self._messages:
            self._answering = False
            self._connections.waits(self._entry)
        return finished

    def log_refusal(self, error: ApiError) -> None:
        """A line for what is refused before anybody asks whose it is, without any of its text."""
        peer = self.peername
        client = peer[0] if isinstance(peer, tuple) else None
        fields = {"client": client, "status": error.status, "error": error.error}
        logger.info("refused what is not valid HTTP here", extra={"fields": fields})

    def log_exception(self, *args: Any, **more: Any) -> None:
        """Leave out what quotes a request; a body that broke off after its answer is nothing new."""
        exception = more.get("exc_info")
        if isinstance(exception, HttpProcessingError | RequestPayloadError):
            logger.debug("a body broke off after its answer")
        else:
            super().log_exception(*args, **more)

    def closes_after(self, request: web.BaseRequest, response: web.StreamResponse) -> bool:
        """Whether this answer is the connection's last."""
        return self._draining or framing.is_last(request, response)

    def leave(self) -> None:
        """Close it: no request of it is under way."""
        self.force_close()

    def drain(self) -> None:
        """Take no further request; close it as soon as none is under way."""
        self._draining = True
        if self._answering or self._head_bytes or self._deaf:
            return
        if self._served:
            self.force_close()
        else:
            self._expect_head(self._limits.fresh_s)

    def cut(self) -> None:
        """Close it, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()


def connection_of(request: web.BaseRequest) -> Connection:
    """The connection that a request came on."""
    assert isinstance(request.protocol, Connection)
    return request.protocol
