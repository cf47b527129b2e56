"""Loads for a running appliance: users who wait for each other, and restarts under load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import psycopg
from psycopg.rows import dict_row

from tests.support.appliance import Appliance
from tests.support.wait import until, wait_until

PROMPT = [{"role": "user", "content": "Say hello in one sentence."}]


@dataclass(kw_only=True)
class Sent:
    """One request and its response. Times are monotonic seconds."""

    sent_at: float
    ended_at: float
    status: int
    body: bytes = field(repr=False)

    @property
    def seconds(self) -> float:
        return self.ended_at - self.sent_at


async def send(
    client: aiohttp.ClientSession,
    url: str,
    key: str,
    *,
    max_tokens: int,
    stream: bool = False,
    model: str | None = None,
) -> Sent:
    """Send a chat completion and read the response to its end; status 0 if the connection broke."""
    sent_at = time.monotonic()
    named = {} if model is None else {"model": model}
    try:
        async with client.post(
            url + "/v1/chat/completions",
            headers={"Authorization": f"Bearer {key}"},
            json={"messages": PROMPT, "max_tokens": max_tokens, "stream": stream, **named},
        ) as response:
            status, body = response.status, await response.read()
    except aiohttp.ClientError as error:
        status, body = 0, repr(error).encode()
    return Sent(sent_at=sent_at, ended_at=time.monotonic(), status=status, body=body)


@dataclass(kw_only=True)
class HeavyAndLight:
    """The results of a light user's one request beside a heavy user's many."""

    heavy: list[Sent]
    light: Sent

    def overtaken_by(self) -> int:
        """How many of the heavy user's requests were answered while the light user's waited."""
        return sum(self.light.sent_at < one.ended_at <= self.light.ended_at for one in self.heavy)

    def service_s(self) -> float:
        """The engine's mean time for one request; all are alike."""
        ends = sorted(one.ended_at for one in [*self.heavy, self.light])
        return (ends[-1] - ends[0]) / (len(ends) - 1)


async def heavy_and_light(
    url: str, heavy_key: str, light_key: str, *, count: int = 33, max_tokens: int = 8
) -> HeavyAndLight:
    """Send `count` requests of one user at once and, once the first is answered, one of another user."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        await send(client, url, light_key, max_tokens=1)  # the proxy knows the key then
        heavy = [
            asyncio.create_task(send(client, url, heavy_key, max_tokens=max_tokens))
            for _ in range(count)
        ]
        await asyncio.wait(heavy, return_when=asyncio.FIRST_COMPLETED)
        light = await send(client, url, light_key, max_tokens=max_tokens)
        return HeavyAndLight(heavy=list(await asyncio.gather(*heavy)), light=light)


@dataclass(kw_only=True)
class Restart:
    """The results of requests that were sent while the model server was restarted."""

    sent: list[Sent]
    queue_ms: list[float]
    """Time in the queue of each request, from the records."""
    begun_at: float
    """When the restart began and was done, in monotonic seconds."""
    done_at: float

    def answered_after(self) -> int:
        """How many were answered by the restarted server."""
        return sum(one.status == 200 and one.ended_at > self.done_at for one in self.sent)

    def lost(self) -> list[Sent]:
        """The requests that got no complete response."""
        return [one for one in self.sent if one.status != 200 or b'"error"' in one.body]


async def restart_under_load(
    appliance: Appliance,
    keys: dict[str, str],
    *,
    each: int = 12,
    max_tokens: int = 40,
    model: str | None = None,
    restart: Callable[[], object] | None = None,
) -> Restart:
    """Keep `each` requests of every user under way, half of them streams; restart at the first response.

    Each request is followed by another until the restart is done. `model` is the name that the requests
    give; `restart` restarts the server unless another function is given.
    """
    sent: list[Sent] = []
    answered, done = asyncio.Event(), asyncio.Event()

    async def use(client: aiohttp.ClientSession, key: str, *, stream: bool) -> None:
        url = appliance.proxy_url
        while not done.is_set():
            sent.append(await send(client, url, key, max_tokens=max_tokens, stream=stream, model=model))
            answered.set()

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector) as client,
        asyncio.TaskGroup() as group,
    ):
        for number in range(each):
            for key in keys.values():
                group.create_task(use(client, key, stream=number % 2 == 0))
        await answered.wait()
        begun_at = time.monotonic()
        await asyncio.to_thread(restart or (lambda: appliance.restart("server")))
        done_at = time.monotonic()
        done.set()
    rows = records(appliance, list(keys), len(sent))
    queue_ms = [row["queue_ms"] for row in rows]
    return Restart(sent=sent, queue_ms=queue_ms, begun_at=begun_at, done_at=done_at)


def records(appliance: Appliance, usernames: list[str], count: int) -> list[dict[str, float]]:
    """Wait until the users have `count` rows, and return those."""
    url = (appliance.root / "runtime/data/postgres.url").read_text()
    query = "SELECT queue_ms, status_code FROM llama_requests WHERE username = ANY(%s)"
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:

        def found() -> list[dict[str, float]] | None:
            rows = connection.execute(query, [usernames]).fetchall()
            return rows if len(rows) >= count else None

        return wait_until(found, f"{count} rows")


@dataclass(kw_only=True)
class ProxyRestarts:
    """The results of requests that were sent while the proxy was restarted."""

    fresh: list[Sent]
    """Requests that each opened a connection."""
    streams: list[Sent]
    restarts: int

    def lost(self) -> list[Sent]:
        """The requests that got no complete response."""
        whole = [one for one in self.streams if one.body.rstrip().endswith(b"data: [DONE]")]
        answered = [one for one in self.fresh if one.status == 200]
        return [one for one in [*self.streams, *self.fresh] if one not in [*whole, *answered]]


async def restart_proxy_under_load(
    appliance: Appliance, key: str, *, restarts: int = 1, users: int = 4, max_tokens: int = 40
) -> ProxyRestarts:
    """Send streams, and requests for the models on a new connection each time, while the proxy restarts.

    Each of the `users` sends its next request when the one before has ended.
    """
    over = asyncio.Event()
    seen = ProxyRestarts(fresh=[], streams=[], restarts=restarts)

    async def stream() -> None:
        async with aiohttp.ClientSession(connector=_single_use()) as client:
            while not over.is_set():
                url = appliance.proxy_url
                seen.streams.append(await send(client, url, key, max_tokens=max_tokens, stream=True))

    async def ask() -> None:
        async with aiohttp.ClientSession(connector=_single_use()) as client:
            while not over.is_set():
                seen.fresh.append(await _models(client, appliance.proxy_url, key))

    async with asyncio.TaskGroup() as group:
        for _ in range(users):
            group.create_task(stream())
            group.create_task(ask())
        for _ in range(restarts):
            await asyncio.to_thread(appliance.restart, "proxy")
            # Each has one under way, so the ones after it are of the new process.
            fresh, streams = len(seen.fresh) + users, len(seen.streams) + users
            await until(lambda: len(seen.fresh) >= fresh, "answers of the new process")  # noqa: B023
            await until(lambda: len(seen.streams) >= streams, "streams of the new process")  # noqa: B023
        over.set()
    return seen


def _single_use() -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(limit=0, force_close=True)


async def _models(client: aiohttp.ClientSession, url: str, key: str) -> Sent:
    sent_at = time.monotonic()
    try:
        async with client.get(
            url + "/v1/models", headers={"Authorization": f"Bearer {key}"}
        ) as response:
            status, body = response.status, await response.read()
    except aiohttp.ClientError as error:
        status, body = 0, repr(error).encode()
    return Sent(sent_at=sent_at, ended_at=time.monotonic(), status=status, body=body)
