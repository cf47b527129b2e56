"""Clients of two proxies that send one stream after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.bench.backends.machines import Pair

TOKENS = 32
"""Of each answer."""


@dataclass(kw_only=True)
class Request:
    """One request. Times are monotonic seconds; `outcome` is "whole", or how it ended otherwise."""

    sent_at: float
    outcome: str = ""
    texts_at: list[float] = field(default_factory=list)
    ended_at: float = 0.0


class Load:
    """Clients that send requests until `stop`."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self.requests: list[Request] = []
        self._go_on = True

    def stop(self) -> None:
        """Let the clients end with the requests that they have sent."""
        self._go_on = False

    async def client(self, session: aiohttp.ClientSession, number: int) -> None:
        """Send one stream after the other to one of the proxies."""
        url = self._pair.proxies[number % 2].url + "/v1/chat/completions"
        headers = {"Authorization": f"Bearer {self._pair.key}"}
        while self._go_on:
            request = Request(sent_at=time.monotonic())
            self.requests.append(request)
            body = {
                "messages": [{"role": "user", "content": f"{number} {len(self.requests)} Hello"}],
                "max_tokens": TOKENS,
                "stream": True,
            }
            try:
                async with session.post(url, json=body, headers=headers) as response:
                    await self._read(request, response)
            except aiohttp.ClientError as error:
                request.outcome = type(error).__name__
            request.ended_at = time.monotonic()
            if request.outcome != "whole":
                await asyncio.sleep(0.1)

    @staticmethod
    async def _read(request: Request, response: aiohttp.ClientResponse) -> None:
        if response.status != 200:
            request.outcome = str(response.status)
            return
        last = b""
        async for line in response.content:
            if line.startswith(b"data: {") and b'"content":' in line:
                request.texts_at.append(time.monotonic())
            last = line.strip() or last
        request.outcome = "whole" if last == b"data: [DONE]" else "error event"


@asynccontextmanager
async def clients(pair: Pair, count: int) -> AsyncIterator[Load]:
    """So many clients of both proxies. At the end they finish the requests that they have sent."""
    load = Load(pair)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=timeout
    ) as session:
        tasks = [asyncio.create_task(load.client(session, number)) for number in range(count)]
        try:
            yield load
        finally:
            load.stop()
            await asyncio.gather(*tasks)


def texts_between(requests: Sequence[Request], begin: float, end: float) -> int:
    """How many pieces of text, a token each, came in this time."""
    return sum(begin <= at < end for request in requests for at in request.texts_at)
