"""Serves one client connection: answers its requests one after the other, within time limits.

Each `State` has a deadline, except those in which a request is being answered: the handler limits
these. `request_reader.py` reads, `client_writer.py` sends, `registry.py` limits the number of
connections, and the handler makes the responses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from aiohttp.http import HttpProcessingError

from proxy import errors
from proxy.edge import checks
from proxy.edge.half_close import HalfCloseProbe
from proxy.edge.limits import EdgeLimits
from proxy.edge.registry import ConnectionRegistry, RegisteredConnection
from proxy.edge.request import Request
from proxy.edge.request_reader import ANSWERING, BODY, CLOSING, FRESH, HEAD, IDLE, RequestReader
from proxy.edge.write_batching import WriteBatcher
from proxy.errors import ApiError

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

logger = logging.getLogger(__name__)

Respond = Callable[[Request], Awaitable[None]]
"""Answers a request. Raises ConnectionError if its client has gone; any other exception is a defect of
the proxy, and the client gets a 500."""


class ClientConnection(RequestReader):
    """The protocol of one connection.

    Args:
        entry: the connection's entry in `registry`, removed here when the connection has ended.
        scratch: see `RequestReader`.
    """

    __slots__ = (
        "_closing_since", "_deadline", "_draining", "_entry", "_probe", "_registry", "_respond", "_task",
        "_timer",
    )  # fmt: skip

    def __init__(
        self,
        entry: RegisteredConnection,
        *,
        respond: Respond,
        writes: WriteBatcher,
        registry: ConnectionRegistry,
        limits: EdgeLimits,
        scratch: memoryview,
    ) -> None:
        super().__init__(writes=writes, limits=limits, scratch=scratch)
        self._respond = respond
        self._registry = registry
        self._entry = entry
        self._draining = False
        self._probe: HalfCloseProbe | None = None
        self._task: asyncio.Task[None] | None = None
        """The task that answers requests; None while there are none."""
        self._deadline = 0.0
        self._closing_since = 0.0
        """When `_close` was called. This and `_deadline` are in the event loop's time."""
        self._timer: asyncio.TimerHandle | None = None
        """Fires at `_deadline` or earlier: setting a later deadline does not restart the timer."""

    # Callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: wait for the first request."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.remote = str(peer[0]) if isinstance(peer, tuple) else ""
        self._entry.connection = self
        if not self._entry.counted:  # it was ended before the connection was made
            self.cut()
            return
        self._registry.waits(self._entry)
        self._set_deadline(self._limits.head_s)
        if self._registry.draining:
            self.drain()

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: cancel the request under way; leave the registry once it has ended."""
        super().connection_lost(exc)
        self.state = CLOSING
        self._pending = b""
        # The parser refers to this object. Breaking the cycle frees both at once, without waiting for
        # the garbage collector.
        del self._parser
        if self._timer is not None:
            self._timer.cancel()
        if self._probe is not None:
            self._probe.stop()
        if self._task is None:
            self._registry.exit(self._entry)
        else:
            self._task.add_done_callback(lambda _: self._registry.exit(self._entry))
            self._task.cancel()

    def eof_received(self) -> bool:
        """asyncio: the client has closed its sending side. Returns whether to keep the connection."""
        self._half_closed = True
        transport = self.transport
        # TLS has no half-closed connections in asyncio: the transport closes it in any case.
        if self.state is not ANSWERING or transport is None or not transport.can_write_eof():
            return False
        assert self._request is not None
        self._probe = HalfCloseProbe(self, self._request)
        return True

    # Answering

    def _begin(self, request: Request) -> None:
        self._registry.works(self._entry)
        self._task = task = self._loop.create_task(self._serve(request))
        request.task = task

    async def _serve(self, request: Request) -> None:
        """Answer this request and those that have arrived behind it."""
        following: Request | None = request
        try:
            while following is not None:
                following.task, request = request.task, following
                if self._half_closed:
                    self._probe = HalfCloseProbe(self, request)
                await self._respond(request)
                if self._probe is not None:
                    self._probe.stop()
                # What follows depends on the client alone, so the connection makes room for others.
                if self.writing_paused:
                    self._registry.waits(self._entry)
                    await self._wait_until_read()
                if self.state is BODY and not request.is_last:
                    self._registry.waits(self._entry)
                    await self._skip_body(request.payload)
                if request.is_last or self._last or self._draining or self.state is not ANSWERING:
                    self._close()
                    return
                following = self._next_request()
                if following is not None:
                    self._registry.works(self._entry)
                    await asyncio.sleep(0)  # let other connections run between pipelined requests
            self._become_idle()
        except ConnectionError:
            logger.debug("a client has gone")
            self._close()
        except Exception:
            self._fail(request)
        except asyncio.CancelledError:
            self.cut()
            raise
        finally:
            self._task = self._request = None

    def _fail(self, request: Request) -> None:
        """Answer 500 after a defect of the proxy, unless the response has begun, and close."""
        logger.exception("a request failed")
        if request.begun:
            self._close()
        else:
            self._refuse(errors.internal())

    def _become_idle(self) -> None:
        """Wait for the next request. A part of its head may have arrived already."""
        if self.state is CLOSING:
            return
        self._registry.waits(self._entry)
        if self._half_closed:
            self._close()
        elif self.state is IDLE:
            self._set_deadline(self._limits.kept_s)

    async def _wait_until_read(self) -> None:
        """Wait until the client has read the end of a response, for `take_s` seconds at most.

        Raises:
            ConnectionError: the client has gone, or does not read the response.
        """
        try:
            async with asyncio.timeout(self._limits.take_s):
                await self.drained()
        except TimeoutError:
            self.cut()
            raise ConnectionResetError("the client takes nothing") from None

    async def _skip_body(self, payload: StreamReader) -> None:
        """Read and drop the rest of a body that has been answered early, up to `linger_s`."""
        try:
            async with asyncio.timeout(self._limits.linger_s):
                while not payload.is_eof():
                    await payload.readany()
        except TimeoutError:
            pass
        except (HttpProcessingError, ApiError):
            logger.debug("a body broke off after its response")

    def closes_after(self, request: Request, status: int) -> bool:
        """Whether the connection is closed after a response with this status."""
        return self._draining or self._last or checks.is_last(request, status)

    # Closing

    def _refuse(self, error: ApiError) -> None:
        """Answer what cannot be read as a request, and close."""
        self._log_refusal(error)
        with contextlib.suppress(ConnectionError):
            self.write(checks.written_out(error))
        self._close()

    def _log_refusal(self, error: ApiError) -> None:
        """Count and log a refusal before authentication, without any text of the request."""
        self._registry.refused[error.error] += 1
        further = self._registry.refusal_lines.take()
        if further is None:
            return
        fields = {
            "client": self.remote or None, "status": error.status, "error": error.error,
            "left_out_before": further or None,
        }  # fmt: skip
        logger.info("refused what is not valid HTTP here", extra={"fields": fields})

    def _close(self) -> None:
        """Close once the client has read what was written; drop what it sends meanwhile.

        The server's sending side is closed first, so that the client sees the end and closes its own
        side. It may take `take_s` seconds while unread output is left, else `linger_s` seconds.
        """
        more_may_arrive = self.state is not ANSWERING or self._last or self._pending
        self.state = CLOSING
        self._pending = b""
        self._body_paused = False
        if self._probe is not None:
            self._probe.stop()
        self.flush()
        transport = self.transport
        if transport is None:
            return
        self._registry.waits(self._entry)
        self._closing_since = self._loop.time()
        self._set_deadline(self._linger_s())
        self._pause_or_resume()
        if self._half_closed:
            transport.close()
        elif transport.is_closing():
            return
        elif transport.can_write_eof():
            transport.write_eof()
        elif not more_may_arrive:  # TLS cannot close one side
            transport.close()

    def leave(self) -> None:
        """Close at once; no request is under way.

        Does not wait for TLS's closing messages: the registry no longer counts the connection.
        """
        self.state = CLOSING
        self.cut()

    def drain(self) -> None:
        """Answer the request under way, or one that is already arriving, then close."""
        self._draining = True
        if self.state is FRESH:
            self._set_deadline(self._limits.fresh_s)
        elif self.state is IDLE:
            self._set_deadline(self._limits.late_s)
        elif self.state is CLOSING:
            self._set_deadline(self._linger_s())

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    # Deadlines

    def _linger_s(self) -> float:
        """Seconds that a client has for closing its side; fewer during a drain."""
        limits = self._limits
        return min(limits.linger_s, limits.fresh_s) if self._draining else limits.linger_s

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = deadline = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._deadline_passed)

    def _deadline_passed(self) -> None:
        self._timer = None
        if self.state is BODY or self.state is ANSWERING:
            return  # the handler has limits of its own
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._deadline_passed)
        elif self.state is HEAD:
            self._refuse(errors.head_timeout(self._limits.head_s))
        elif self.state is CLOSING:
            self._end_closing()
        elif self.transport is not None and self.transport.get_write_buffer_size():
            self._close()  # the client is still reading its last response
        else:
            self.leave()

    def _end_closing(self) -> None:
        transport = self.transport
        if transport is None:
            return
        has_unread = transport.get_write_buffer_size() > 0
        if has_unread and self._loop.time() < self._closing_since + self._limits.take_s:
            self._set_deadline(self._linger_s())
        elif has_unread or transport.is_closing():
            transport.abort()
        else:
            transport.close()
            self._set_deadline(self._linger_s())
