"""Tells a client that has gone from one that has only closed its sending side.

The server receives the same FIN from both. Only what is sent to the client tells them apart: a client
that has gone answers with a reset, and the transport reports the connection as lost.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import HttpVersion11

from proxy.edge.request import Request

FIRST_PROBE_S = 0.05
LAST_PROBE_S = 2.0
"""The time between two probes doubles from the first value to the second."""
SILENT_S = 2.0
"""Where no probe can be sent and nothing of the response is sent for so long, the client has gone."""
PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HalfClosed(Protocol):
    """A connection whose client sends no more."""

    transport: asyncio.Transport | None
    has_sent: bool

    def cut(self) -> None:
        """Close the connection, whatever is under way."""


class HalfCloseProbe:
    """Probes one client until `stop`, while its request is answered.

    Before the response begins the probe is an interim response, which every HTTP/1.1 client must accept
    at any time (RFC 9110, section 15.2). Once it has begun, its own bytes are the probe. Neither is
    possible during silence in a response and with HTTP/1.0: that is accepted for SILENT_S seconds.
    """

    __slots__ = ("_connection", "_delay_s", "_loop", "_request", "_silent_since", "_timer")

    def __init__(self, connection: HalfClosed, request: Request) -> None:
        self._connection = connection
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._delay_s = FIRST_PROBE_S
        self._silent_since = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        connection.has_sent = False
        self._probe()

    def stop(self) -> None:
        """Probe no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _probe(self) -> None:
        connection, request, now = self._connection, self._request, self._loop.time()
        transport = connection.transport
        if transport is None or transport.is_closing():
            return
        if connection.has_sent:
            connection.has_sent = False
            self._silent_since = now
        elif not request.begun and request.version == HttpVersion11:
            transport.write(PROBE)
        elif now - self._silent_since >= SILENT_S:
            connection.cut()
            return
        self._timer = self._loop.call_later(self._delay_s, self._probe)
        self._delay_s = min(2 * self._delay_s, LAST_PROBE_S)
