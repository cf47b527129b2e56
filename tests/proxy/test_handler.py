"""Requests that are refused after their admission: a flood of them is no flood of rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import psycopg

from tests.support.proxy import RunningProxy
from tests.support.raw_client import raw_client
from tests.support.upstream import FakeUpstream
from tests.support.wait import until

REFUSALS = 100


async def test_refused_bodies_are_folded(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """100 broken chunks within a second: ten rows a second and one that counts the others."""
    key = create_user("alice", rate_limit=REFUSALS)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(proxy.url)) for _ in range(REFUSALS)]
        for client in clients:
            await client.send(head.encode())
        await until(lambda: proxy.under_way() == REFUSALS, "all requests to be admitted")
        for client in clients:
            await client.send(b"no chunk\r\n")
        for client in clients:
            answer = await client.answer()
            assert answer is not None
            assert answer.status == 400

    def rows() -> list[tuple[int, bool]] | None:
        with psycopg.connect(proxy.settings.database_url) as connection:
            found = connection.execute("SELECT count, admitted FROM llama_requests").fetchall()
        return found if sum(count for count, _ in found) == REFUSALS else None

    found = await until(rows, "all refusals to be counted")
    assert len(found) < REFUSALS / 2
    assert not any(admitted for _, admitted in found)
    assert upstream.received == []
