"""Requests that are refused after their admission: a flood of them is no flood of rows."""

from __future__ import annotations

import asyncio

import psycopg

from tests.support.proxy import RunningProxy
from tests.support.upstream import FakeUpstream
from tests.support.wait import until

REFUSALS = 100


async def test_refused_bodies_are_folded(proxy: RunningProxy, upstream: FakeUpstream, key: str) -> None:
    """100 broken chunks, one after the other: ten rows a second and one that counts the others."""
    port = int(proxy.url.rsplit(":", 1)[1])

    async def broken_chunk() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        await writer.drain()
        await until(lambda: proxy.under_way() > 0, "the request to be admitted")
        writer.write(b"no chunk\r\n")
        line = await asyncio.wait_for(reader.readline(), 30)
        writer.close()
        return line

    for _ in range(REFUSALS):
        assert b" 400 " in await broken_chunk()

    def rows() -> list[tuple[int, bool]] | None:
        with psycopg.connect(proxy.settings.database_url) as connection:
            found = connection.execute("SELECT count, admitted FROM llama_requests").fetchall()
        return found if sum(count for count, _ in found) == REFUSALS else None

    found = await until(rows, "all refusals to be counted")
    assert len(found) < REFUSALS / 2
    assert not any(admitted for _, admitted in found)
    assert upstream.received == []
