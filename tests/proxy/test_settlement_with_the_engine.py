"""What is charged for a request that ends early, with the real engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

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
