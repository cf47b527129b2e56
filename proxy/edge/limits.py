"""The limits of each client connection: seconds for each of its steps, and bytes of a head."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EdgeLimits:
    """Limits of one connection. Times are in seconds, sizes in bytes."""

    head_s: float = 30.0
    """How long a new connection may send nothing, and how long a head may take from its first byte."""
    kept_s: float = 75.0
    """How long a connection is kept for its next request."""
    linger_s: float = 5.0
    """How long, after the last response, input is read and dropped before the connection is closed. TCP
    resets a connection that is closed with unread input, and the client may lose the response then
    (RFC 9112, section 9.6)."""
    take_s: float = 60.0
    """How long a client may take for the end of a response (before that, `slow_clients.py` watches)."""
    handshake_s: float = 10.0
    """How long a TLS handshake may take."""
    fresh_s: float = 2.0
    """In a drain: how long a handshake, or the first request of a new connection, is waited for."""
    late_s: float = 0.25
    """In a drain: how long a kept connection still takes a request that is already on its way."""
    head_bytes: int = 32_768
    """The size of a head, from its first line to its end."""
