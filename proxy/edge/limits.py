"""How long each step of a client's connection may take, and how much a head may be."""

from __future__ import annotations

from dataclasses import dataclass


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
    """For a client to take the end of an answer (while it comes, `slow_clients.py` watches)."""
    handshake_s: float = 10.0
    """For TLS."""
    fresh_s: float = 2.0
    """In a drain, for the first request of a connection that has just been accepted."""
    head_bytes: int = 65_536
    """Of a head in all; as much may come while a request is under way, of those after it."""
