"""One client's connection: its requests one after the other, its time limits, and what is no HTTP.

aiohttp's server reads and parses; what is answered to whom is not its business here, which makes a
request cheap: there is no task for each, no routing, no response object. Relied on in aiohttp 3.14,
beside what is documented: a new message is at the end of `_messages` when `data_received` returns, with
its body as the second part (what could not be parsed is there too, as an object with `exc`);
`connection_made` starts `start` as a task (from Python 3.12 on at once, up to its first wait), which
`connection_lost` cancels; the parser wants to hear of
each message that is taken (`message_consumed`), and a full queue to be read on; `close()` takes no more
bytes, and it and `_process_keepalive` look at `_waiter`. tests/proxy/edge/test_attacks.py and
test_connections.py show it if that changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, TransferEncodingError
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo

from proxy import errors
from proxy.edge import checks
from proxy.edge.limits import EdgeLimits
from proxy.edge.registry import ConnectionRegistry, RegisteredConnection
from proxy.edge.request import Request
from proxy.edge.write_batching import AT_ONCE_BYTES, WriteBatcher
from proxy.errors import ApiError

logger = logging.getLogger(__name__)

Respond = Callable[[Request], Awaitable[None]]
"""Answers a request. Raises ConnectionError where its client has gone; what else comes out of it is a
mistake here, and told to the client as one."""

READ_BYTES = 65_536
"""Twice as much of a body is taken before anybody asks for it, then the client has to wait."""


class ClientConnection(web.RequestHandler):
    """aiohttp's protocol of one connection, with limits, and with answers of our own."""

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
        "_out",
        "_respond",
        "_served",
        "_writes",
        "remote",
    )

    def __init__(
        self,
        manager: web.Server,
        entry: RegisteredConnection,
        *,
        respond: Respond,
        writes: WriteBatcher,
        connections: ConnectionRegistry,
        limits: EdgeLimits,
    ) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as aiohttp's own runner is told
            max_line_size=checks.MAX_TARGET_BYTES,
            max_field_size=checks.MAX_FIELD_BYTES,
            max_headers=checks.MAX_FIELDS,
            keepalive_timeout=limits.kept_s,
            lingering_time=limits.linger_s,
            read_bufsize=READ_BYTES,
            auto_decompress=False,
        )
        self._respond = respond
        self._writes = writes
        self._out = b""
        """What is to be written at the end of this turn."""
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
        self.remote = ""
        """The peer's address."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.remote = str(peer[0]) if isinstance(peer, tuple) else ""
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
            await self._answer_all()
        except ConnectionError:
            logger.debug("a client has gone")
        except Exception:
            logger.exception("a connection failed")
        finally:
            self.flush()
            if self.transport is not None and not self._force_close:
                self.transport.close()
            # Closing waits for the client to take what is left: for ever, if it does not.
            if not self._lost and transport is not None:
                self._loop.call_later(self._limits.take_s, transport.abort)

    async def _answer_all(self) -> None:
        """Answer requests until one was the last, or none is to come."""
        task = asyncio.current_task()  # from Python 3.12 on, `_task_handler` is not there so early
        assert task is not None
        while not self._force_close:
            if not self._messages:
                await self._message()
                if not self._messages:
                    return
            message, payload = self._messages.popleft()
            if self._parser is not None:
                self._parser.message_consumed()
            if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
                self._resume_reading_if_drained()
            if not await self._answer(message, payload, task):
                return
            if not self._messages:
                self._answering = False
                self._connections.waits(self._entry)
                if self._head_bytes and self._head_timer is None:  # of a head that began meanwhile
                    self._expect_head(self._limits.head_s)
            # It is not kept for ever.
            self._next_keepalive_close_time = close_at = self._loop.time() + self._limits.kept_s
            if self._keepalive_handle is None:
                self._keepalive_handle = self._loop.call_at(close_at, self._process_keepalive)

    async def _message(self) -> None:
        """Wait for the next message; there is none where no more is to come."""
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # it is the task that is
                raise
        finally:
            self._waiter = None

    async def _answer(
        self, message: RawRequestMessage | _ErrInfo, payload: StreamReader, task: asyncio.Task[None]
    ) -> bool:
        """Answer one; whether another may follow."""
        if not isinstance(message, RawRequestMessage):
            return await self._refuse_last(checks.error_of(message.exc))
        request = Request(message, payload, self, task)
        try:
            checks.check(request)
        except ApiError as error:
            return await self._refuse_last(error)
        try:
            await self._respond(request)
        except ConnectionError:
            raise
        except Exception:
            logger.exception("a request failed")
            return not request.begun and await self._refuse_last(errors.internal())
        if self._paused:
            await self._taken()
        if not payload.is_eof():
            await self._linger(payload)
        # The answer may have begun before a drain did.
        last = request.is_last or self._draining or self._close or self._upgraded
        return not last and payload.is_eof()

    async def _taken(self) -> None:
        """Let the client take the end of an answer, for a while."""
        try:
            async with asyncio.timeout(self._limits.take_s):
                await self.drained()
        except TimeoutError:
            self.cut()
            raise ConnectionResetError("the client takes nothing") from None

    async def _linger(self, payload: StreamReader) -> None:
        """Read and drop what still comes of a body, for a while.

        Closed with bytes unread, the answer may be lost (RFC 9112, section 9.6).
        """
        try:
            async with asyncio.timeout(self._limits.linger_s):
                while not payload.is_eof():
                    await payload.readany()
        except TimeoutError:
            pass
        except (HttpProcessingError, RequestPayloadError):
            logger.debug("a body broke off after its answer")

    async def _refuse_last(self, error: ApiError) -> bool:
        """Answer what is no request that anybody could answer. False: none may follow."""
        self._refuse(error)
        await asyncio.sleep(self._limits.linger_s)
        return False

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
        self._body = newest[1]
        if self._head_timer is not None:
            self._stop_timer()
        self._head_bytes = 0
        self._answering = self._served = True
        self._connections.works(self._entry)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """As aiohttp has it, but not where nothing was paused, as for each small body."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def write(self, data: bytes) -> None:
        """Send it, by the end of this turn of the event loop.

        Raises:
            ConnectionError: the client has gone.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        if self._out:
            self._out += data
        else:
            self._out = data
            self._writes.add(self)
        if len(self._out) > AT_ONCE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what has been written at once."""
        if self._out:
            self._writes.record()
            self.send_out()

    def send_out(self) -> None:
        """Send it, now that the records are written."""
        out, self._out = self._out, b""
        if out and self.transport is not None and not self.transport.is_closing():
            self.transport.write(out)

    async def drained(self) -> None:
        """Wait until the client has taken enough, or the connection is lost."""
        if self._drain_waiter is not None and self._drain_waiter.cancelled():
            self._drain_waiter = None  # who waited was cancelled; aiohttp would give us the same again
        await self._drain_helper()

    def force_close(self) -> None:
        """As aiohttp has it, but for what has been written before."""
        self.flush()
        super().force_close()

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
        if self.transport is not None and not self.transport.is_closing():
            self.write(checks.written_out(error))
            self._half_close()
        self._stop_timer()
        self._head_timer = self._loop.call_later(self._limits.linger_s, self.force_close)

    def _half_close(self) -> None:
        self.flush()
        if self.transport is not None and self.transport.can_write_eof():
            self.transport.write_eof()

    def log_refusal(self, error: ApiError) -> None:
        """A line for what is refused before anybody asks whose it is, without any of its text."""
        fields = {"client": self.remote or None, "status": error.status, "error": error.error}
        logger.info("refused what is not valid HTTP here", extra={"fields": fields})

    def closes_after(self, request: Request, status: int) -> bool:
        """Whether this answer is the connection's last."""
        # After what asked for another protocol aiohttp reads no further request.
        return self._draining or self._upgraded or checks.is_last(request, status)

    def leave(self) -> None:
        """Close it: no request of it is under way.

        At once: it is counted out, so it must not stay open until its peer agrees, as TLS would have it.
        """
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

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
