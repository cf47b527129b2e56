"""What ends, blocks or confuses a server, on every path and in every way, beside streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.client import Answer
from tests.support.engine import Engine
from tests.support.gguf import build_model
from tests.support.gguf_bert import random_bert
from tests.support.hostile import paths

N_STREAMS = 3
AT_ONCE = 8


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with a quick model, and a model for embeddings beside it."""
    folder = tmp_path_factory.mktemp("hostile")
    embedding = random_bert(context_length=128).write(folder / "embedding.gguf")
    env = {"LLAMA_SERVER_EMBEDDING_MODEL": str(embedding)}
    with Engine(folder, build_model(folder / "model.gguf"), env=env) as engine:
        yield engine.start()


# Seconds of work, but a busy machine takes minutes.
@pytest.mark.timeout(400)
async def test_every_path_answers_whatever_is_sent(engine: Engine) -> None:
    """200 or 400, in the form of the path's errors; the process and the streams beside them live on."""
    pid, at_once, over = engine.pid, asyncio.Semaphore(AT_ONCE), asyncio.Event()
    listed = paths.requests(in_every_way=True)

    async def send(path: str, body: dict[str, Any]) -> Answer:
        async with at_once:
            return await engine.post(path, body)

    async def stream_on(seed: int) -> list[Answer]:
        streams = []
        while not over.is_set():
            streams.append(await engine.stream(max_tokens=100, seed=seed, logit_bias={"300": 100}))
        return streams

    streaming = [asyncio.create_task(stream_on(seed)) for seed in range(N_STREAMS)]
    try:
        answers = await asyncio.gather(*(send(*request) for request in listed.values()))
    finally:
        over.set()
    streams = [stream for task in streaming for stream in await task]

    for (name, (path, _)), answer in zip(listed.items(), answers, strict=True):
        assert answer.status in (200, 400), (name, answer)
        if answer.status == 400:
            assert len(answer.error["message"]) > 10, name
            assert ("type" in answer.json) == path.startswith(paths.MESSAGES), name
    assert {stream.finish_reasons[0] for stream in streams} == {"length"}
    assert len(streams) >= N_STREAMS
    assert (engine.pid, engine.alive) == (pid, True)
