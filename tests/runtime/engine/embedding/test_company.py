"""Embeddings for many at a time: turns, clients that leave, what fails, what hangs, and the end."""

from __future__ import annotations

import asyncio
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import aiohttp
import numpy as np
import pytest

from runtime.config import ROOT
from runtime.engine.embedding.job import Job
from runtime.engine.embedding.service import Embeddings
from runtime.engine.embedding.threads import BatchThreads
from runtime.engine.generation.generation import User
from runtime.engine.http.asgi import ClientLeftError, Message
from runtime.engine.http.embeddings import EmbeddingPaths
from runtime.engine.http.for_proxy import UsageBook
from runtime.engine.settings import EngineSettings
from tests.runtime.engine.embedding.conftest import Models
from tests.support.client import Answer
from tests.support.engine import Engine
from tests.support.wait import until

EMBEDDINGS = "/v1/embeddings"
MANY: dict[str, Any] = {"input": [[7] * 120] * 2000, "dimensions": 8}
"""A request that takes seconds."""
N_TOKENS = 240_000


async def embed(engine: Engine, body: dict[str, Any], user: str = "", **headers: str) -> Answer:
    return await engine.post(EMBEDDINGS, body, headers={"X-Llamaserve-User": user, **headers})


async def inputs_done(engine: Engine) -> float:
    return await engine.metric("llama_embedded_inputs_total")


def ask_for_many(engine: Engine) -> asyncio.Task[Answer]:
    """A long request of the user "many". The task has the request's name, which no other has had."""
    name = uuid.uuid4().hex
    asked = embed(engine, MANY, "many", **{"X-Llamaserve-Request": name})
    return asyncio.create_task(asked, name=name)


async def under_way(engine: Engine) -> list[asyncio.Task[Answer]]:
    """Four long requests; a part of the first is done. They get turns and end together, so that the
    test may pause for seconds before it does anything about them."""
    before = await inputs_done(engine)
    first = ask_for_many(engine)
    await until(lambda: _has_more(engine, before), "the first inputs to be done")
    others = [ask_for_many(engine) for _ in range(3)]
    await until(lambda: _are_running(engine, 4), "all to have arrived")
    return [first, *others]


async def leave(engine: Engine, asked: list[asyncio.Task[Answer]]) -> list[dict[str, int]]:
    """Leave requests under way; what each has used, when it has ended."""
    for task in asked:
        task.cancel()
    return [(await engine.get(f"/internal/usage/{task.get_name()}")).json for task in asked]


async def _are_running(engine: Engine, number: int) -> bool:
    return await engine.metric("llama_requests_running") == number + 1


async def _has_more(engine: Engine, before: float) -> bool:
    return await inputs_done(engine) > before


async def test_whoever_waits_is_woken_at_once() -> None:
    """A job is made in a worker's thread, and ended by another: its event loop must hear of it."""
    loop = asyncio.get_running_loop()
    tokens = [np.zeros(1, dtype=np.int32)]
    job = await loop.run_in_executor(None, lambda: Job(inputs=tokens, seconds=1.0))
    job.open(User())
    job.rows = np.ones((1, 2), dtype=np.float32)
    threading.Timer(0.05, job.finish).start()

    async with asyncio.timeout(30):  # nothing else wakes this loop
        assert (await job.result()).shape == (1, 2)


def test_one_thread_is_used_while_a_response_is_generated() -> None:
    """And fewer than all while other processes are busy; they would wait for each other."""
    now, others, generating = 0.0, 0.0, False
    threads = BatchThreads(
        most=4, is_generating=lambda: generating, other_cores=lambda: others, clock=lambda: now
    )
    assert threads.number() == 4
    generating = True
    assert threads.number() == 1
    generating, others, now = False, 2.2, 1.0
    assert threads.number() == 2
    others, now = 0.0, 2.0
    assert threads.number() == 4


@pytest.mark.parametrize("user", ["another", "many"])
async def test_a_short_request_does_not_wait_for_a_long_one(alone: Engine, user: str) -> None:
    """Neither another user's nor one's own."""
    long, *others = await under_way(alone)
    short = await embed(alone, {"input": "tea"}, user)

    assert short.status == 200
    assert not long.done()
    await leave(alone, others)
    assert (await long).json["usage"]["total_tokens"] == N_TOKENS


async def test_nothing_more_is_done_for_a_client_that_left(alone: Engine) -> None:
    """And what had been done is told to the proxy."""
    used = await leave(alone, await under_way(alone))
    done = await inputs_done(alone)
    await embed(alone, {"input": "tea"})

    assert 0 < used[0]["prompt_tokens"] < N_TOKENS
    assert used[0]["completion_tokens"] == 0
    assert await inputs_done(alone) == done + 1


async def test_nothing_is_begun_for_a_client_that_left_before() -> None:
    """While its inputs were read, which takes long when they are many."""
    left = threading.Event()
    submitted: list[Job] = []
    incoming = [{"type": "http.request", "body": b"{}"}]

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        left.set()
        return {"type": "http.disconnect"}

    def prepare(_: bytes) -> Any:
        assert left.wait(30)
        job = Job(inputs=[np.zeros(1, dtype=np.int32)], seconds=1.0)
        return SimpleNamespace(job=job, embedder=SimpleNamespace(submit=submitted.append))

    paths = EmbeddingPaths(
        cast("Embeddings", SimpleNamespace(embedding=prepare, reranking=prepare)),
        cast("EngineSettings", SimpleNamespace(max_body_bytes=100)),
        UsageBook(),
    )
    with pytest.raises(ClientLeftError):
        await paths.table[EMBEDDINGS][1]({"headers": []}, receive, AsyncMock())
    assert submitted == []


async def test_a_request_has_its_time(berts: Models, tmp_path: Path) -> None:
    """LLAMA_SERVER_REQUEST_SECONDS, from its first input on; the next request is answered."""
    env = {"LLAMA_SERVER_REQUEST_SECONDS": "0.3"}
    with Engine(tmp_path, berts.folder / "embedding.gguf", env=env) as engine:
        engine.start()
        late = await embed(engine, MANY)
        assert (late.status, late.error["code"]) == (400, "request_timeout")
        assert (await embed(engine, {"input": "tea"})).status == 200


async def test_sigterm_ends_requests_under_way(berts: Models, tmp_path: Path) -> None:
    """And the process."""
    with Engine(tmp_path, berts.folder / "embedding.gguf") as engine:
        engine.start()
        asked = await under_way(engine)
        assert engine.process is not None
        engine.process.terminate()
        for answer in await asyncio.gather(*asked):
            assert (answer.status, answer.error["code"]) == (503, "stopping")
        assert engine.wait() == 0


@pytest.fixture
def hanging(berts: Models, tmp_path: Path) -> Iterator[Engine]:
    """An engine that only embeds, and hangs or fails on command."""
    env = {"LLAMA_SERVER_HANG_SECONDS": "2", "PYTHONPATH": str(ROOT)}
    with Engine(tmp_path, berts.folder / "embedding.gguf", env=env) as engine:
        engine.command = [sys.executable, "-m", "tests.support.hanging_engine"]
        yield engine.start()


async def test_what_fails_fails_alone_and_what_hangs_is_noticed(hanging: Engine) -> None:
    """An input that cannot be evaluated ends its own request. A model that stands still ends the
    process, which is then replaced."""
    bodies = [{"input": ["tea", "cat"]}, {"input": ["dog", "tea ?", "cat"]}, {"input": ["red moon"]}]
    answers = await asyncio.gather(*(embed(hanging, body) for body in bodies))
    assert [answer.status for answer in answers] == [200, 500, 200]
    assert (await embed(hanging, {"input": "tea"})).status == 200

    running = asyncio.create_task(embed(hanging, {"input": "tea !"}))
    await until(lambda: not hanging.alive, "the process to end")
    with pytest.raises(aiohttp.ClientError):
        await running
    assert "LLAMA_SERVER_HANG_SECONDS=2" in hanging.log
