"""What is charged for a request that ends early, with the real engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from openai import AsyncOpenAI

from tests.support.engine import Engine
from tests.support.proxy import RunningProxy
from tests.support.wait import until


async def test_the_proxy_gives_the_engine_as_many_requests_as_it_has_slots(
    engine_proxy: RunningProxy,
) -> None:
    """As its /health tells."""
    assert engine_proxy.app.turns.slots == 3


async def test_a_whole_response_and_a_stream_are_charged_the_same(
    engine_proxy: RunningProxy, create_user: Callable[..., str]
) -> None:
    """The row has the usage that the response tells, by header or by comment."""
    key = create_user("alice", token_limit=100_000)
    async with engine_proxy.chat(key, max_tokens=8, temperature=0) as response:
        usage = (await response.json())["usage"]
        assert not [name for name in response.headers if name.lower().startswith("x-llamaserve")]
    async with engine_proxy.chat(key, max_tokens=8, temperature=0, stream=True) as response:
        assert response.status == 200
        assert (await response.read()).startswith(b": usage {")
    rows = await engine_proxy.rows(2)
    for row in rows:
        assert row["prompt_tokens"] == usage["prompt_tokens"]
        assert row["completion_tokens"] == usage["completion_tokens"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_is_charged_what_the_engine_did(
    engine_proxy: RunningProxy, engine: Engine, create_user: Callable[..., str], stream: bool
) -> None:
    """Prompt and what was generated until the engine stopped, as it tells itself."""
    key = create_user("alice", token_limit=100_000)
    chat = engine_proxy.chat(key, max_tokens=400, stream=stream, temperature=0, ignore_eos=True)
    task = asyncio.ensure_future(chat)
    if stream:
        response = await task
        await response.content.readuntil(b"data: ")
        await response.content.readuntil(b"data: ")
        response.close()
    else:
        await until(lambda: _runs_one(engine), "the engine to have begun")
        task.cancel()
    (row,) = await engine_proxy.rows(1)
    assert (row["status_code"], row["error"]) == (499, "client_left")
    assert row["prompt_tokens"] is not None
    assert row["completion_tokens"] < 400
    if stream:
        assert row["prompt_tokens"] > 0
        assert row["completion_tokens"] > 0
    await until(lambda: engine_proxy.at_engine() == 0, "the turn to end")


async def _runs_one(engine: Engine) -> bool:
    return bool(json.loads((await engine.get("/health")).text)["running"] == 1)


async def test_embeddings_are_made_beside_answers_and_charged(
    engine_proxy: RunningProxy, engine: Engine, create_user: Callable[..., str]
) -> None:
    """By the openai client, while all slots generate. A client that leaves is charged what was done."""
    key = create_user("alice", token_limit=1_000_000)
    chats = [
        asyncio.ensure_future(engine_proxy.chat(key, max_tokens=1000, ignore_eos=True)) for _ in range(4)
    ]
    await until(lambda: (engine_proxy.at_engine(), engine_proxy.waiting()) == (3, 1), "three to run")
    async with AsyncOpenAI(base_url=f"{engine_proxy.url}/v1", api_key=key, max_retries=0) as client:
        answer = await client.embeddings.create(model="embedding", input=["tea", "the cat sat"])
    assert len(answer.data) == 2
    assert engine_proxy.waiting() == 1

    body = {"input": [[7] * 120] * 2000, "dimensions": 8}
    many = asyncio.ensure_future(engine_proxy.request("POST", "/v1/embeddings", key=key, json=body))
    await until(lambda: _has_embedded(engine, more_than=2), "some of them to be done")
    for task in (many, *chats):
        task.cancel()
    rows = [row for row in await engine_proxy.rows(6) if row["path"] == "/v1/embeddings"]
    assert [row["status_code"] for row in rows] == [200, 499]
    assert rows[0]["prompt_tokens"] == answer.usage.prompt_tokens
    assert 0 < rows[1]["prompt_tokens"] < 240_000


async def _has_embedded(engine: Engine, *, more_than: int) -> bool:
    return await engine.metric("llama_embedded_inputs_total") > more_than
