"""A user of batches: OpenAI's client, unmodified."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types import Batch

from tests.support.proxy import RunningProxy
from tests.support.wait import until


def lines_of(count: int, *, url: str = "/v1/chat/completions", **body: Any) -> list[dict[str, Any]]:
    """So many lines of an input file, whose questions are their numbers."""
    return [
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": url,
            "body": {"messages": [{"role": "user", "content": f"question {number}"}], **body},
        }
        for number in range(count)
    ]


class BatchUser:
    """Submits batches and reads their results."""

    def __init__(self, proxy: RunningProxy, key: str) -> None:
        self.proxy = proxy
        self.client = openai.AsyncOpenAI(base_url=proxy.url + "/v1", api_key=key, max_retries=0)

    async def submit(
        self, lines: list[Any] | bytes, *, endpoint: Any = "/v1/chat/completions", window: Any = "24h"
    ) -> Batch:
        """Upload lines and create a batch of them."""
        content = lines
        if not isinstance(content, bytes):
            content = b"".join(json.dumps(line).encode() + b"\n" for line in content)
        file = await self.client.files.create(file=("lines.jsonl", content), purpose="batch")
        return await self.client.batches.create(
            input_file_id=file.id, endpoint=endpoint, completion_window=window, metadata={"a": "b"}
        )

    async def state(self, batch: Batch) -> Batch:
        """The batch as it is now."""
        return await self.client.batches.retrieve(batch.id)

    async def at(self, batch: Batch, *statuses: str, completed: int = 0) -> Batch:
        """The batch, once it has one of the statuses, and so many lines are completed."""

        seen: list[Batch] = []

        async def reached() -> Batch | None:
            now = await self.state(batch)
            assert now.request_counts is not None
            seen.append(now)
            there = now.status in statuses and now.request_counts.completed >= completed
            return now if there else None

        try:
            found: Batch = await until(reached, f"the batch to be {statuses}", deadline_s=100)
        except AssertionError as error:
            error.add_note(str(seen[-1:]))
            raise
        return found

    async def results(self, file_id: str | None) -> list[Any]:
        """The lines of a file with results."""
        assert file_id is not None
        text = (await self.client.files.content(file_id)).text
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
async def user(proxy: RunningProxy, key: str) -> AsyncIterator[BatchUser]:
    """A user of a proxy in front of the fake engine."""
    user = BatchUser(proxy, key)
    async with user.client:
        yield user
