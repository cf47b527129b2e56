"""The open connections: how many there may be, in all and from one address, and which makes room.

A connection waits while no request of it is being answered: it is new, kept, or being closed, a TLS
handshake or a head is still arriving, or its client has not read the end of a response or not sent the
rest of a body that was answered early. The one that has waited longest makes room for a new connection;
one whose request is being answered never does. Leaves accepting to `acceptor.py`, HTTP to
`connection.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Protocol

from proxy.addresses import Networks, client_network, is_in
from proxy.log_format import LineLimit

ADDRESS_SHARE = 4
"""One address may have this part of all connections."""

REFUSAL_LINES_PER_SECOND = 10


class Leaving(Protocol):
    """A connection that waits, or is about to be made."""

    def leave(self) -> None:
        """Close at once; no request is under way."""


class Closable(Leaving, Protocol):
    """A connection, as far as the registry uses it."""

    def drain(self) -> None:
        """Answer the request under way, or one that is already arriving, then close."""

    def cut(self) -> None:
        """Close at once, whatever is under way."""


class RegisteredConnection:
    """One connection's entry in the registry."""

    __slots__ = ("address", "connection", "counted")

    def __init__(self, address: str) -> None:
        self.address = address
        self.connection: Closable | None = None
        """None until the TLS handshake is done, and once the connection is counted out."""
        self.counted = True


class ConnectionRegistry:
    """Counts connections from the moment they are accepted, TLS handshakes included.

    Args:
        limit: how many there may be in all.
        exempt: networks whose addresses may have any number of them, such as those of reverse proxies.
    """

    def __init__(self, limit: int, *, exempt: Networks = ()) -> None:
        self.limit = limit
        self._address_limit = max(1, limit // ADDRESS_SHARE)
        self._exempt = exempt
        self._entries: set[RegisteredConnection] = set()
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[RegisteredConnection, Leaving] = {}
        """Those that wait, in the order in which they began to."""
        self.draining = False
        self.refused: Counter[str] = Counter()
        """What was refused before authentication, by the error's code."""
        self.refusal_lines = LineLimit(REFUSAL_LINES_PER_SECOND, clock=time.monotonic)
        """Bounds the log's lines about what was refused before authentication."""
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, host: str) -> RegisteredConnection | None:
        """Count a new connection in, and close a waiting one if need be. None: there is no room."""
        address = "" if is_in(host, self._exempt) else client_network(host)
        if address and self._by_address[address] >= self._address_limit:
            self._make_room(address)
            if self._by_address[address] >= self._address_limit:
                return None
        if len(self._entries) >= self.limit:
            self._make_room("")
            if len(self._entries) >= self.limit:
                return None
        entry = RegisteredConnection(address)
        self._entries.add(entry)
        self._by_address[address] += 1
        self._none_left.clear()
        return entry

    def exit(self, entry: RegisteredConnection) -> None:
        """Count a connection out that has ended. Calling it twice does no harm."""
        self._waiting.pop(entry, None)
        if not entry.counted:
            return
        entry.counted = False
        entry.connection = None
        self._entries.discard(entry)
        self._by_address[entry.address] -= 1
        if not self._by_address[entry.address]:
            del self._by_address[entry.address]
        if not self._entries:
            self._none_left.set()

    def is_made(self, entry: RegisteredConnection, handshake: Leaving) -> None:
        """A TLS handshake has begun, which `handshake` ends."""
        self._waiting[entry] = handshake

    def waits(self, entry: RegisteredConnection) -> None:
        """No request of this connection is being answered now."""
        if entry.counted and entry.connection is not None:
            self._waiting[entry] = entry.connection

    def works(self, entry: RegisteredConnection) -> None:
        """A request of this connection is being answered now."""
        self._waiting.pop(entry, None)

    def drain(self) -> None:
        """Drain all connections, those too that will be made of handshakes under way."""
        self.draining = True
        for connection in self.established():
            connection.drain()

    def cut(self) -> None:
        """Close all that are left."""
        for connection in self.established():
            connection.cut()

    async def none_left(self) -> None:
        """Return when all have ended."""
        await self._none_left.wait()

    def established(self) -> list[Closable]:
        """All connections whose TLS handshake, if there is one, is done."""
        return [entry.connection for entry in self._entries if entry.connection is not None]

    def _make_room(self, address: str) -> None:
        """Close the connection that has waited longest, of this address if one is given."""
        for entry, connection in self._waiting.items():
            if not address or entry.address == address:
                self.exit(entry)
                connection.leave()
                return
