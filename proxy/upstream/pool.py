"""The engine's address, and the connections to it: made, kept for the next request, and given up.

There is no task and no timer for each request: one timer looks at all connections, now and then.
Leaves what goes on in a connection to `connection.py`, and the content of requests and
responses to the relay.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache

from yarl import URL

from proxy.edge.write_batching import WriteBatcher
from proxy.upstream.connection import ConnectError, UpstreamConnection

KEEP_IDLE_S = 4.0
"""uvicorn drops idle connections after 5 s; ours must be dropped sooner."""
MAX_IDLE = 256
"""The most connections that are kept while nobody uses them."""
MAX_SWEEP_S = 0.5
SWEEPS_PER_TIMEOUT = 8
"""The checks for each time-out: a time-out is noticed late by an eighth of it at most."""


@lru_cache(maxsize=4)
def _trusting(_: ssl.DefaultVerifyPaths) -> ssl.SSLContext:
    """Trusts the certificates at these paths. To read them takes 20 ms; health is asked each second."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class UpstreamPool:
    """The connections to the engine. Times are seconds.

    Raises:
        ValueError: the URL cannot be used.
    """

    def __init__(
        self, url: str, *, writes: WriteBatcher, connect_timeout_s: float, idle_timeout_s: float
    ) -> None:
        """`connect_timeout_s` covers names, TCP and TLS; `idle_timeout_s` is for waiting for a byte."""
        parts = URL(url)
        if parts.raw_host is None or parts.port is None:
            raise ValueError(f"{url} names no host")
        self._host, self._port = parts.raw_host, parts.port
        self.host_header = parts.host_port_subcomponent or ""
        self.base_path = parts.raw_path.rstrip("/").encode()
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = _trusting(ssl.get_default_verify_paths())
        self._writes = writes
        self._connect_timeout_s = connect_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._sweep_s = min(idle_timeout_s / SWEEPS_PER_TIMEOUT, MAX_SWEEP_S)
        self._idle: list[UpstreamConnection] = []
        """Those used last are at the end, and are the first to be used again."""
        self._busy: set[UpstreamConnection] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def send(
        self, head: bytes, body: bytes, *, bodiless: bool = False, is_patient: bool = False
    ) -> UpstreamConnection:
        """Send a request; returns the connection once the head of the response is there.

        The caller has to `release` the connection. `bodiless`: the response has no body whatever its
        head says, since the request is a HEAD. `is_patient`: without a time-out.

        Raises:
            ConnectError: the engine cannot have seen the request.
            BrokeOffError, SilentError: it may have.
        """
        connection = self._kept() or await self._connect()
        self._busy.add(connection)
        if self._timer is None:
            self._set_timer()
        try:
            await connection.exchange(head, body, bodiless=bodiless, is_patient=is_patient)
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection: UpstreamConnection) -> None:
        """Keep the connection for another request if it can serve one, else close it at once."""
        self._busy.discard(connection)
        if connection.rest() and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.abort()

    def give_up_silent(self, silent_s: float) -> None:
        """Break off the responses of which nothing has come for so long."""
        now = asyncio.get_running_loop().time()
        for connection in list(self._busy):
            connection.give_up_silent(now, silent_s)

    def _forget(self, connection: UpstreamConnection) -> None:
        """Drop a connection that has been closed."""
        if connection in self._idle:
            self._idle.remove(connection)

    async def close(self) -> None:
        """Close all connections."""
        for connection in [*self._idle, *self._busy]:
            connection.abort()
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.sleep(0)  # the loop closes them in its next turn

    def _kept(self) -> UpstreamConnection | None:
        """The kept connection that was used last and is still open; None if there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.fresh():
                return connection
            connection.abort()
        return None

    async def _connect(self) -> UpstreamConnection:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: UpstreamConnection(self._writes, self._forget),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except OSError as error:  # a time-out and what TLS refuses are among them
            raise ConnectError(str(error) or "no connection within the time-out") from error
        return connection

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._sweep_s, self._sweep)

    def _sweep(self) -> None:
        """Give up connections that have waited, or have been idle, for too long."""
        now = asyncio.get_running_loop().time()
        for connection in list(self._busy):
            connection.check(now, self._idle_timeout_s)
        while self._idle and now - self._idle[0].moved_at >= KEEP_IDLE_S:
            self._idle.pop(0).abort()
        self._timer = None
        if self._busy or self._idle:
            self._set_timer()
