"""Ordinary users beside an attack: each streams one short chat after the other and notes the result.

Each chat comes on a connection of its own, since whoever crowds out new connections does harm too.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

MAX_TOKENS = 16
PATIENCE_S = 150.0
"""Longer than the proxy lets a request wait: its refusal is to be seen."""
_THINK_S = 0.3


@dataclass(frozen=True, kw_only=True)
class Chat:
    """One chat as its user saw it. Times are monotonic seconds.

    `status` is 0 where the connection broke; `whole` says that the stream came to its `[DONE]`.
    """

    user: str
    status: int
    sent_at: float
    first_token_at: float | None = None
    ended_at: float
    whole: bool = False

    @property
    def first_token_s(self) -> float | None:
        """Time to the first piece of text."""
        return None if self.first_token_at is None else self.first_token_at - self.sent_at


@dataclass(kw_only=True)
class OrdinaryUsers:
    """Some users, each with a key. `seen` grows with every chat that has ended."""

    url: str
    keys: Mapping[str, str] = field(repr=False)
    seen: list[Chat] = field(default_factory=list)

    async def use(self, over: asyncio.Event) -> None:
        """Let each chat until `over` is set; a chat that has begun then is still waited for."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        connector = aiohttp.TCPConnector(limit=0, ssl=False, force_close=True)
        async with (
            aiohttp.ClientSession(self.url, timeout=timeout, connector=connector) as client,
            asyncio.TaskGroup() as group,
        ):
            for user in self.keys:
                group.create_task(self._chat_on(client, user, over))

    async def _chat_on(self, client: aiohttp.ClientSession, user: str, over: asyncio.Event) -> None:
        number = 0
        while not over.is_set():
            self.seen.append(await self._chat(client, user, number))
            number += 1
            await asyncio.sleep(_THINK_S)

    async def _chat(self, client: aiohttp.ClientSession, user: str, number: int) -> Chat:
        sent_at = time.monotonic()
        first_token_at, status, lines = None, 0, list[bytes]()
        content = f"{user}'s question number {number}: what do llamas eat?"
        body = {
            "messages": [{"role": "user", "content": content}],
            "max_tokens": MAX_TOKENS,
            "stream": True,
        }
        headers = {"Authorization": f"Bearer {self.keys[user]}"}
        try:
            async with client.post("/v1/chat/completions", json=body, headers=headers) as response:
                status = response.status
                async for line in response.content:
                    lines.append(line.strip())
                    if first_token_at is None and _has_text(line):
                        first_token_at = time.monotonic()
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        return Chat(
            user=user,
            status=status,
            sent_at=sent_at,
            first_token_at=first_token_at,
            ended_at=time.monotonic(),
            whole=status == 200 and b"data: [DONE]" in lines and first_token_at is not None,
        )


def _has_text(line: bytes) -> bool:
    if not line.startswith(b"data: {"):
        return False
    choices = json.loads(line.removeprefix(b"data: ")).get("choices")
    return bool(choices and choices[0]["delta"].get("content"))


def ended_between(chats: Sequence[Chat], begin: float, end: float) -> list[Chat]:
    """The chats that ended within a stretch of time."""
    return [chat for chat in chats if begin <= chat.ended_at <= end]


def failures(chats: Sequence[Chat]) -> list[Chat]:
    """The chats whose user did not get the whole answer."""
    return [chat for chat in chats if not chat.whole]


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share of them (0 to 1) does not exceed; nan of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
