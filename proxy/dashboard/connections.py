"""Bounds for connections, which uvicorn does not have: a request's time and size, and each address."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from proxy.addresses import Networks, client_network, is_in

REQUEST_S = 10.0
"""How long a request may take to arrive, its body included; the first from the connection's begin."""
MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 65_536
"""Only forms are sent; pages send their events through WebSockets."""
MAX_PER_ADDRESS = 100


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's HTTP connection with these bounds; a WebSocket has others.

    `exempt`: reverse proxies, whose connections are those of many.
    """

    exempt: Networks = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or close a connection too many of its address."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._deadline: asyncio.TimerHandle | None = None
        self._bytes = 0
        if self._is_too_many():
            self.transport.abort()
        else:
            self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, unless it is too much for a request."""
        self._bytes += len(data)
        if self._bytes > MAX_HEAD_BYTES + MAX_BODY_BYTES:
            self.transport.abort()
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        if self._deadline is None:
            self._start()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._cancel()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._cancel()
        super().handle_websocket_upgrade()

    def _start(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _cancel(self) -> None:
        self._bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _is_too_many(self) -> bool:
        if self.client is None or is_in(self.client[0], self.exempt) or _is_loopback(self.client[0]):
            return False
        network = client_network(self.client[0])
        others = [getattr(one, "client", None) for one in self.connections]
        return sum(o is not None and client_network(o[0]) == network for o in others) > MAX_PER_ADDRESS


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
