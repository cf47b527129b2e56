"""What becomes of a chat under limits and budgets."""

from __future__ import annotations

from tests.support.proxy import RunningProxy

TOKENS = 10
"""What a request uses, according to the fake engine."""
OK, USED_UP = (200, None), (429, "insufficient_quota")


async def outcome(proxy: RunningProxy, key: str) -> tuple[int, str | None]:
    """Status and error code of a chat."""
    async with proxy.chat(key) as response:
        answer = await response.json()
        return response.status, answer["error"]["code"] if "error" in answer else None
