"""Clients that leave, dawdle or crowd in: slots are free at once, and nobody's response suffers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.client import CHAT
from tests.support.engine import API_KEY, Engine
from tests.support.wait import until

LONG = 3500
"""Tokens: a quarter of a minute or more of the slow model's time, which no test here waits for."""
LONG_PROMPT = [{"role": "user", "content": "z " * 1900}]
"""The slow model takes 5 seconds or more to evaluate it."""
LONG_PROMPT_TOKENS = 3800
"""It has a few more."""
SOON_S = 8
"""Far less than LONG takes."""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("phase", ["prompt", "answer"])
async def test_a_client_that_leaves_frees_the_model(slow: Engine, phase: str, stream: bool) -> None:
    """In its prompt as well as in its answer: the next one does not wait for either's end."""
    name = f"{phase}-{stream}"
    messages = [{"role": "user", "content": name}]
    if phase == "prompt":
        messages = [{"role": "user", "content": f"{name} " + LONG_PROMPT[0]["content"]}]
    body = {"messages": messages, "max_tokens": LONG, "stream": stream}
    headers = slow.headers | {"X-Llamaserve-Request": name}
    async with aiohttp.ClientSession(slow.url, headers=headers) as session:
        running = asyncio.create_task(session.post(CHAT, json=body))
        await until(slow.is_generating, "the model to be at work")
        if phase == "answer" and stream:
            await (await running).content.readline()
        if phase == "prompt":
            assert not running.done()
        if running.done():
            (await running).close()
        else:
            running.cancel()
        async with asyncio.timeout(SOON_S):
            used = (await slow.get(f"/internal/usage/{name}")).json
            answer = await slow.chat(max_tokens=1)

    assert answer.status == 200
    assert used["prompt_tokens"] < LONG_PROMPT_TOKENS
    assert used["completion_tokens"] < LONG / 4
    assert "llama_decode" not in slow.log


@pytest.fixture
def single(models: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine with one slot and the slow model."""
    with Engine(tmp_path, models / "slow.gguf", env={"LLAMA_SERVER_PARALLEL": "1"}) as engine:
        yield engine.start()


async def test_a_client_that_leaves_the_queue_is_forgotten(single: Engine) -> None:
    """Those that wait for a slot and go are not answered when their turn comes."""
    slow = single
    before = await slow.metric("llama_prompt_tokens_total")
    async with slow.streaming(max_tokens=LONG) as running:
        await running.content.readline()
        waiting = [asyncio.create_task(slow.chat(max_tokens=LONG)) for _ in range(3)]
        waiting += [asyncio.create_task(slow.stream(max_tokens=LONG)) for _ in range(3)]
        await until(lambda: _running(slow, 7), "all to have arrived")
        for task in waiting:
            task.cancel()
        await until(lambda: _running(slow, 1), "all to have left")
        assert await slow.is_generating()
    async with asyncio.timeout(SOON_S):
        last = await slow.chat(max_tokens=1)

    evaluated = await slow.metric("llama_prompt_tokens_total") - before
    assert evaluated == 2 * last.usage["prompt_tokens"]


async def _running(engine: Engine, number: int) -> bool:
    """Whether so many requests are under way, beside the one that asks."""
    return await engine.metric("llama_requests_running") == number + 1


@pytest.fixture
def wide(models: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine with the quick model and its whole context, which reads a prompt in one batch."""
    env = {"LLAMA_SERVER_N_BATCH": "4096"}
    with Engine(tmp_path, models / "quick.gguf", env=env) as engine:
        yield engine


async def test_a_client_that_does_not_read_holds_nobody_up(wide: Engine) -> None:
    """Its answer, too long for the buffers on the way, is made at the model's own pace and waits."""
    wide.start()
    asked = {"max_tokens": 3900, "stream": True, "logprobs": True, "top_logprobs": 20}
    body = json.dumps({"messages": [{"role": "user", "content": "x"}], **asked}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API_KEY}\r\n"
    with socket.socket() as dawdler:
        dawdler.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        dawdler.connect(("127.0.0.1", wide.port))
        dawdler.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await until(lambda: _generated(wide, 3900), "the whole answer to be made")
        answer = await wide.chat(max_tokens=2)
        assert answer.usage["completion_tokens"] == 2
        dawdler.settimeout(10)
        received = bytearray()
        while not received.endswith(b"0\r\n\r\n"):
            received += dawdler.recv(2**20)

    assert len(received) > 6 * 2**20
    assert received.count(b'"top_logprobs"') == 3900
    assert b"data: [DONE]" in received


async def _generated(engine: Engine, tokens: int) -> bool:
    return await engine.metric("llama_generated_tokens_total") == tokens


async def test_a_prompt_is_abandoned_within_its_batch(wide: Engine, models: Path) -> None:
    """All of it could be one batch here, but steps are short; the stock server reads it to its end."""
    wide.env["LLAMA_SERVER_MODEL"] = str(models / "slow.gguf")
    wide.start()
    headers = {"X-Llamaserve-Request": "abandoned"}
    body = {"messages": LONG_PROMPT, "max_tokens": LONG}
    running = asyncio.create_task(wide.post(CHAT, body, headers=headers))
    await until(wide.is_generating, "the evaluation to begin")
    running.cancel()
    async with asyncio.timeout(SOON_S):  # it waits for the end of the evaluation
        usage = (await wide.get("/internal/usage/abandoned")).json

    assert usage["prompt_tokens"] < 2000
    assert usage["completion_tokens"] == 0
    assert (await wide.chat(max_tokens=1)).status == 200


async def test_streams_do_not_cut_each_other(slow: Engine) -> None:
    """Eight at once, each to its end: the stock server truncates all but one."""
    answers = await asyncio.gather(*(slow.stream(max_tokens=20, seed=seed) for seed in range(8)))

    for answer in answers:
        assert not answer.broken
        assert answer.finish_reasons == ["length"]
        assert answer.events[-1] == "[DONE]"


async def test_what_needs_no_model_does_not_wait_for_it(slow: Engine) -> None:
    """Models, tokens, metrics, health and docs are answered while it is busy."""
    async with slow.streaming(max_tokens=LONG) as running:
        await running.content.readline()
        async with asyncio.timeout(SOON_S):
            for path in ("/v1/models", "/v1/models/slow.gguf", "/metrics", "/openapi.json", "/health"):
                assert (await slow.get(path)).status == 200
            tokens = (await slow.post("/extras/tokenize", {"input": "Hello"})).json["tokens"]
            counted = await slow.post("/extras/tokenize/count", {"input": "Hello"})
            text = await slow.post("/extras/detokenize", {"tokens": tokens})
        assert await slow.is_generating()

    assert counted.json == {"count": len(tokens)}
    assert text.json["text"].strip() == "Hello"


async def test_texts_are_tokenized_beside_the_event_loop(quick: Engine) -> None:
    """2 MB take a second or more, in which others are answered."""
    text = "abc def " * 2**13
    requests = [quick.post("/extras/tokenize/count", {"input": text}) for _ in range(32)]
    counting = asyncio.gather(*requests)
    answered = 0
    while not counting.done():
        assert (await quick.get("/health")).status == 200
        answered += 1

    assert all(answer.json["count"] > len(text) / 10 for answer in await counting)
    assert answered > 5


async def test_a_hundred_that_come_and_go_leave_no_trace(slow: Engine) -> None:
    """At every moment of a request; afterwards the model is free and the counts are level."""
    pid = slow.pid

    async def visit(number: int) -> None:
        try:
            async with asyncio.timeout(0.005 * number):
                await slow.stream(max_tokens=LONG, seed=number)
        except TimeoutError:
            pass

    for start in range(0, 100, 10):
        await asyncio.gather(*(visit(number) for number in range(start, start + 10)))
    await until(lambda: _running(slow, 0), "all to have left")
    async with asyncio.timeout(SOON_S):
        answer = await slow.chat(max_tokens=3)

    assert answer.usage["completion_tokens"] == 3
    assert slow.alive
    assert slow.pid == pid
    assert "Traceback" not in slow.log
