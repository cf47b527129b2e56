"""Attacks of a client who has no valid key."""

from __future__ import annotations

import asyncio

from proxy.identity.keys import create_key
from tests.support.hostile.connection import Tally, Target, ask, connected, request_head

_PIPELINED_HEADS = 60
_BATCH_S = 0.5
"""Between two batches of heads: without a pause the attackers only measure their own processor time."""
_PATIENCE_S = 15.0
"""How long an attacker keeps a connection on which nothing comes back."""


async def junk_key(target: Target, tally: Tally) -> None:
    """Send a key that nobody has. Its checksum is good, so the proxy must look it up."""
    stranger = Target(port=target.port, key=create_key().key, tls=target.tls)
    async with connected(target) as connection:
        await ask(connection, request_head(stranger, "GET /v1/models HTTP/1.1"), tally)


async def pipelined_heads(target: Target, tally: Tally) -> None:
    """Send heads of a kilobyte for as long as the server takes them, and read none of the responses."""
    filler = "X-Filler: " + "x" * 1000
    head = request_head(target, "GET /v1/models HTTP/1.1", filler)
    async with connected(target) as connection:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                await connection.send(head * _PIPELINED_HEADS)
                tally[f"{_PIPELINED_HEADS} sent"] += 1
                await asyncio.sleep(_BATCH_S)


async def half_open_head(target: Target, tally: Tally) -> None:
    """Begin a head and go on with a byte now and then, until the server closes the connection."""
    async with connected(target) as connection:
        await connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: attacked\r\nX-Slow: ")
        tally["begun"] += 1
        while not connection.reader.at_eof():
            await connection.send(b"x")
            await asyncio.sleep(1.0)


async def half_open_handshake(target: Target, tally: Tally) -> None:
    """Send the first bytes of a TLS handshake and no more."""
    async with connected(target, handshake=False) as connection:
        await connection.send(bytes.fromhex("160301020001"))
        tally["begun"] += 1
        async with asyncio.timeout(_PATIENCE_S):
            await connection.reader.read()


async def silent_connection(target: Target, tally: Tally) -> None:
    """Connect and say nothing."""
    async with connected(target, handshake=False) as connection:
        tally["begun"] += 1
        async with asyncio.timeout(_PATIENCE_S):
            await connection.reader.read()
