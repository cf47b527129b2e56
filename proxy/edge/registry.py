"""The open connections: how many there may be, in all and of one address, and which goes for a new one.

A connection waits when no request of it is under way: it is kept for the next, or the head of one is
still coming. Of these the one that has waited longest makes room for a new connection; one whose
request is under way never does. Leaves accepting to `acceptor.py`, HTTP to `connection.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

ADDRESS_SHARE = 4
"""One address may have this part of all connections."""

Networks = Sequence[IPv4Network | IPv6Network]


class Closable(Protocol):
    """What is asked of a connection here."""

    def leave(self) -> None:
        """Close it: no request of it is under way."""

    def drain(self) -> None:
        """Take no further request; close it as soon as none is under way."""

    def cut(self) -> None:
        """Close it, whatever is under way."""


class RegisteredConnection:
    """One connection's place in the count."""

    __slots__ = ("address", "connection", "counted")

    def __init__(self, address: str) -> None:
        self.address = address
        self.connection: Closable | None = None
        """None until a TLS handshake is done."""
        self.counted = True


class ConnectionRegistry:
    """Counts connections from their acceptance on, TLS handshake included.

    Args:
        limit: of all.
        exempt: networks whose addresses may have as many as they like, such as reverse proxies'.
    """

    def __init__(self, limit: int, *, exempt: Networks = ()) -> None:
        self._limit = limit
        self._address_limit = max(1, limit // ADDRESS_SHARE)
        self._exempt = exempt
        self._entries: set[RegisteredConnection] = set()
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[RegisteredConnection, Closable] = {}
        """In the order in which they began to wait."""
        self.draining = False
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, host: str) -> RegisteredConnection | None:
        """Count a new connection in, another one out if need be; None if there is no room for it."""
        address = self._counted_as(host)
        if address and self._by_address[address] >= self._address_limit:
            self._make_room(address)
            if self._by_address[address] >= self._address_limit:
                return None
        if len(self._entries) >= self._limit:
            self._make_room("")
            if len(self._entries) >= self._limit:
                return None
        entry = RegisteredConnection(address)
        self._entries.add(entry)
        self._by_address[address] += 1
        self._none_left.clear()
        return entry

    def exit(self, entry: RegisteredConnection) -> None:
        """The connection has ended. To say it twice does no harm."""
        self._waiting.pop(entry, None)
        if not entry.counted:
            return
        entry.counted = False
        self._entries.discard(entry)
        self._by_address[entry.address] -= 1
        if not self._by_address[entry.address]:
            del self._by_address[entry.address]
        if not self._entries:
            self._none_left.set()

    def waits(self, entry: RegisteredConnection) -> None:
        """No request of it is under way now."""
        if entry.counted and entry.connection is not None:
            self._waiting[entry] = entry.connection

    def works(self, entry: RegisteredConnection) -> None:
        """A request of it is under way now."""
        self._waiting.pop(entry, None)

    def drain(self) -> None:
        """Let none of them take a further request, nor one that is being connected."""
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
        """All whose TLS handshake, if there is one, is done."""
        return [entry.connection for entry in self._entries if entry.connection is not None]

    def _make_room(self, address: str) -> None:
        """Close the one that has waited longest, of this address if one is given."""
        for entry, connection in self._waiting.items():
            if not address or entry.address == address:
                self.exit(entry)
                connection.leave()
                return

    def _counted_as(self, host: str) -> str:
        """The address in whose name it counts; empty for one that may have any number.

        An IPv6 network of 64 bits, which is what one customer has at least, counts as one address.
        """
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return host
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if any(address in network for network in self._exempt):
            return ""
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, 64), strict=False))
        return str(address)
