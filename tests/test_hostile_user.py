"""One user's requests against another's: what ends the stock server is sent through the proxy by user A
while user B streams. B gets all of it, the model server's process is the same, and A gets an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.appliance import Appliance
from tests.support.client import Answer, Client
from tests.support.gguf import SLOW, build_model
from tests.support.gguf_bert import random_bert
from tests.support.hostile import paths

STREAMED = 400
"""Tokens that B asks for, which take a few seconds."""


@pytest.fixture(scope="module")
def appliance() -> Iterator[Appliance]:
    """A running appliance that takes many requests of a user at once."""
    settings = {
        "LLAMA_SERVER_N_THREADS": "1",
        "LLAMA_PROXY_RATE_LIMIT": "1000",
        # All at the engine at once: it is its guards that are tried here, not the proxy's turns.
        "LLAMA_PROXY_MAX_CONCURRENT": "16",
        "LLAMA_SERVER_EMBEDDING_MODEL": "embedding.gguf",
    }
    with Appliance(model=False, **settings) as appliance:
        models = appliance.root / "models"
        build_model(models / "slow.gguf", shape=SLOW)
        random_bert(context_length=128).write(models / "embedding.gguf")
        appliance.start()
        yield appliance


async def stream_on(client: openai.AsyncOpenAI, begun: asyncio.Event, over: asyncio.Event) -> list[Any]:
    """Send one stream after the other until `over` is set; the chunks of each."""
    streams = []
    while not over.is_set():
        chunks = []
        stream = await client.chat.completions.create(
            model="slow",
            messages=[{"role": "user", "content": "Tell me"}],
            max_tokens=STREAMED,
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            begun.set()
            chunks.append(chunk)
        streams.append(chunks)
    return streams


# Half a minute of work, but a busy machine takes minutes.
@pytest.mark.timeout(400)
async def test_nothing_a_user_sends_reaches_another_s_stream(appliance: Appliance) -> None:
    """B's streams are complete, the process lives on, and no attack gets a 5xx."""
    keys = {name: appliance.cli("create-user", "--username", name, "--quiet") for name in ("a", "b")}
    pid = appliance.pid("server")
    attacker = Client(appliance.proxy_url, keys["a"])
    at_once = asyncio.Semaphore(8)
    begun, over = asyncio.Event(), asyncio.Event()

    async def attack(path: str, body: dict[str, Any]) -> Answer:
        async with at_once, asyncio.timeout(120):
            return await attacker.post(path, body)

    async with openai.AsyncOpenAI(base_url=appliance.proxy_url + "/v1", api_key=keys["b"]) as client:
        streaming = asyncio.create_task(stream_on(client, begun, over))
        await begun.wait()
        try:
            listed = paths.requests()
            answers = await asyncio.gather(*(attack(*each) for each in listed.values()))
        finally:
            over.set()
        streams = await streaming

    statuses = {name: answer.status for name, answer in zip(listed, answers, strict=True)}
    assert {name: status for name, status in statuses.items() if status not in (200, 400)} == {}
    assert set(statuses.values()) == {200, 400}
    for answer in answers:
        assert answer.status == 200 or answer.error["message"]
    for chunks in streams:
        assert chunks[-1].usage.completion_tokens == STREAMED
        assert chunks[-2].choices[0].finish_reason == "length"
    assert appliance.pid("server") == pid
    assert "Traceback" not in appliance.logs()
