"""The memory for request bodies: charged for what has arrived, bounded, and shared between users."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import cast

import pytest
from aiohttp import HttpVersion11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from proxy.edge.body import STEP_BYTES, Body, BodyMemory
from proxy.edge.request import Request
from proxy.errors import ApiError
from proxy.settings import ProxySettings
from tests.support.proxy import running_proxy
from tests.support.raw_client import RawClient, raw_client
from tests.support.upstream import FakeUpstream
from tests.support.wait import until

MB = 2**20


def head(key: str, length: int) -> bytes:
    """The head of a request with a body of this length."""
    lines = ["POST /v1/completions HTTP/1.1", "Host: h", f"Authorization: Bearer {key}"]
    return "\r\n".join([*lines, f"Content-Length: {length}"]).encode() + b"\r\n\r\n"


class Clock:
    """Monotonic seconds, as the test sets them."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Connection:
    connected = True

    def pause_reading(self) -> None: ...

    def resume_reading(self, resume_parser: bool = True) -> None: ...


class Upload:
    """A body of this size that is read as it is fed. `error`: what reading it has raised."""

    def __init__(self, memory: BodyMemory, user_id: int, size: int) -> None:
        loop = asyncio.get_running_loop()
        self.payload = StreamReader(cast("BaseProtocol", _Connection()), 2**16, loop=loop)
        self.body = Body(memory, user_id)
        self.user_id = user_id
        self.left = self.size = size
        self.error: ApiError | None = None
        request = cast("Request", _Request(self.payload, size))
        self.task = loop.create_task(self._read(request))

    async def _read(self, request: Request) -> None:
        try:
            await self.body.read(request, 16 * MB)
            assert len(self.body.content) == self.size
        except ApiError as error:
            self.error = error
            self.body.leave()

    def feed(self, size: int) -> None:
        """Let so many bytes arrive."""
        if self.error is None and not self.payload.is_eof():
            size = min(size, self.left)
            self.payload.feed_data(b"x" * size)
            self.left -= size
            if not self.left:
                self.payload.feed_eof()

    async def arrives(self, size: int) -> None:
        """Let so many bytes arrive in pieces, and be read."""
        await settled()
        for start in range(0, size, 2**16):
            self.feed(min(2**16, size - start))
            await settled()


class _Request:
    headers: dict[str, str] = {}  # noqa: RUF012 - none is ever put in
    version = HttpVersion11

    def __init__(self, payload: StreamReader, content_length: int) -> None:
        self.payload = payload
        self.content_length = content_length


async def settled() -> None:
    """Let what has been woken run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_announced_length_holds_no_memory() -> None:
    """A thousand uploads of 16 MB with a byte each hold a step each, and the next user has room."""
    memory = BodyMemory(256 * MB, body_limit_bytes=16 * MB, clock=Clock())
    uploads = [Upload(memory, number % 2, 16 * MB) for number in range(1000)]
    await settled()
    for upload in uploads:
        upload.feed(1)
    await settled()
    assert memory.held_bytes == 1000 * STEP_BYTES
    assert not any(upload.error for upload in uploads)
    other = Upload(memory, 3, 16 * MB)
    other.feed(16 * MB)
    await asyncio.wait_for(other.task, 10)
    assert other.error is None
    for upload in uploads:
        upload.task.cancel()
    await asyncio.gather(*(upload.task for upload in uploads), return_exceptions=True)


async def test_the_slowest_upload_of_who_holds_most_gives_way() -> None:
    """To a user who holds less; with an error that says so, and at once."""
    clock = Clock()
    memory = BodyMemory(8 * MB, body_limit_bytes=4 * MB, clock=clock)
    slow, fast, other = (Upload(memory, user_id, 4 * MB) for user_id in (1, 1, 2))
    await slow.arrives(MB)
    clock.now += 60
    await fast.arrives(5 * MB // 2)
    await other.arrives(5 * MB // 2)
    assert not any(upload.error for upload in (slow, fast, other))
    newcomer = Upload(memory, 3, 9 * MB // 4)
    await newcomer.arrives(9 * MB // 4)
    assert newcomer.error is None
    assert newcomer.task.done()
    assert fast.error is None
    assert other.error is None
    assert slow.error is not None
    assert (slow.error.status, slow.error.code) == (503, "server_is_overloaded")
    assert "your slowest upload" in slow.error.message
    for upload in (fast, other):
        upload.task.cancel()


async def test_who_holds_most_takes_nothing_from_others() -> None:
    """The one who asks for more is refused, where nobody holds more."""
    memory = BodyMemory(4 * MB, body_limit_bytes=2 * MB, clock=Clock())
    first, second = Upload(memory, 1, 2 * MB), Upload(memory, 2, 2 * MB)
    for upload in (first, second):
        await upload.arrives(3 * MB // 2)
    memory.take(3, MB // 2)  # a body that has arrived never gives way
    await first.arrives(MB // 2)
    assert first.error is not None
    assert first.error.status == 503
    assert second.error is None
    second.task.cancel()


@pytest.mark.parametrize("seed", range(5))
async def test_the_bounds_hold_at_every_moment(seed: int) -> None:
    """What has arrived of bodies under way, and those that are held: of all and of each user."""
    chance = random.Random(seed)  # noqa: S311 - for repeating a run, not for secrets
    limit, user_limit = 600_000, 300_000
    memory = BodyMemory(limit, body_limit_bytes=user_limit, clock=Clock())
    uploads: list[Upload] = []
    ended = 0
    for _ in range(3000):
        match chance.randrange(4):
            case 0 if len(uploads) < 60:
                uploads.append(Upload(memory, chance.randrange(6), chance.choice((10, 5000, 300_000))))
            case 1 if uploads:
                upload = uploads.pop(chance.randrange(len(uploads)))
                upload.task.cancel()
                upload.body.leave()
                ended += upload.error is not None
            case _ if uploads:
                chance.choice(uploads).feed(chance.choice((1, 1000, 40_000)))
        if chance.random() < 0.5:
            await settled()
        held = dict.fromkeys(range(6), 0)
        for upload in uploads:
            held[upload.user_id] += upload.body.charged
        assert memory.held_bytes == sum(held.values()) <= limit
        assert max(held.values()) <= user_limit
    assert ended
    for upload in uploads:
        upload.task.cancel()
        upload.body.leave()
    assert memory.held_bytes == 0


async def test_two_users_with_a_byte_each_do_not_keep_a_third_out(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Their uploads announce twice the memory there is, and then send nothing."""
    del upstream
    keys = [create_user(name) for name in ("alice", "bob", "carol")]
    small = replace(settings, max_body_bytes=MB, body_memory_bytes=2 * MB)
    async with running_proxy(small) as proxy, AsyncExitStack() as stack:
        for key in keys[:2] * 2:
            client = await stack.enter_async_context(raw_client(proxy.url))
            await client.send(head(key, MB) + b"x")
        await until(lambda: proxy.under_way() == 4, "the uploads to have begun")
        async with raw_client(proxy.url) as client:
            await client.send(head(keys[2], MB) + b"x" * MB)
            assert (await client.outcome(1, closes=False)).statuses == [200]


async def test_two_users_whose_requests_wait_do_not_keep_a_third_out(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Their whole bodies fill the memory; one that waits makes room, one that has its turn does not."""
    alice, bob, carol = (create_user(name) for name in ("alice", "bob", "carol"))
    small = replace(settings, max_body_bytes=MB, body_memory_bytes=4 * MB)
    upstream.behaviour = upstream.hold
    async with running_proxy(small) as proxy, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(proxy.url)) for _ in range(5)]
        for number, (client, key) in enumerate(zip(clients, (alice, alice, bob, bob), strict=False)):
            await client.send(head(key, MB) + b"x" * MB)
            await until(lambda n=number: proxy.waiting() == n, "it to have its turn, or to wait")  # type: ignore[misc]
        memory = proxy.app._handler._body_memory
        assert memory.held_bytes == 4 * MB
        await clients[4].send(head(carol, MB // 2) + b"x" * (MB // 2))
        waiting = {asyncio.ensure_future(client.answer()): client for client in clients}
        (ended,), _ = await asyncio.wait(waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        answer = ended.result()
        assert answer is not None
        assert waiting[ended] in clients[1:4], "the first has its turn"
        assert (answer.status, answer.code) == (503, "server_is_overloaded")
        assert b"your largest request that waited" in answer.body
        upstream.go_on.set()
        others = await asyncio.gather(*waiting)
        assert sorted(other.status for other in others if other is not None) == [200] * 4 + [503]
        uncounted = [row for row in await proxy.rows(5) if not row["admitted"]]
        assert [row["status_code"] for row in uncounted] == [503]
    assert memory.held_bytes == 0


async def test_an_upload_that_gives_way_is_told_so(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """It uses up nothing, and its connection is closed once the response could be read."""
    del upstream
    alice, bob, carol = (create_user(name) for name in ("alice", "bob", "carol"))
    small = replace(settings, max_body_bytes=MB, body_memory_bytes=2 * MB)
    part = MB - STEP_BYTES
    async with running_proxy(small) as proxy, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(proxy.url)) for _ in range(3)]
        for client, key in zip(clients[:2], (alice, bob), strict=True):
            await client.send(head(key, MB) + b"x" * part)
        memory = proxy.app._handler._body_memory
        await until(lambda: memory.held_bytes >= 2 * part, "the uploads to fill the memory")
        await clients[2].send(head(carol, MB // 2) + b"x" * (MB // 2))
        assert (await clients[2].outcome(1, closes=False)).statuses == [200]
        waiting = [asyncio.ensure_future(client.answer()) for client in clients[:2]]
        done, left = await asyncio.wait(waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        (ended,) = done
        answer = ended.result()
        assert answer is not None
        assert (answer.status, answer.code) == (503, "server_is_overloaded")
        assert b"your slowest upload" in answer.body
        assert answer.headers["x-ratelimit-remaining-requests"] == "60"
        for task in left:
            task.cancel()


def test_one_body_of_the_allowed_size_always_fits() -> None:
    """Whatever bound is set. Nothing stays charged in the end."""
    memory = BodyMemory(10, body_limit_bytes=1000, clock=Clock())
    memory.take(1, 500)
    memory.take(1, 500)
    with pytest.raises(ApiError):
        memory.take(2, 1)
    assert memory.held_bytes == 1000
    memory.give_back(1, 1000)
    assert memory.held_bytes == 0


async def test_a_user_may_fill_half_of_the_memory(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """More of the same user is a 503 that uses up nothing. Others have room; ended bodies free it."""
    del upstream
    alice, bob = create_user("alice"), create_user("bob")
    small = replace(settings, max_body_bytes=1000, body_memory_bytes=2000)
    async with running_proxy(small) as proxy, AsyncExitStack() as stack:

        async def client() -> RawClient:
            return await stack.enter_async_context(raw_client(proxy.url))

        held, more, other, again = [await client() for _ in range(4)]
        await held.send(head(alice, 900) + b"x" * 899)
        await until(proxy.under_way, "the first body to be waited for")
        await more.send(head(alice, 200) + b"x" * 200)
        answer = await more.answer()
        assert answer is not None
        assert (answer.status, answer.code) == (503, "server_is_overloaded")
        assert answer.headers["retry-after"] == "2"
        assert answer.headers["x-ratelimit-remaining-requests"] == "59"
        for one, sent in (
            (other, head(bob, 900) + b"x" * 900),
            (held, b"x"),
            (again, head(alice, 1000) + b"x" * 1000),
        ):
            await one.send(sent)
            assert (await one.outcome(1, closes=False)).statuses == [200]
