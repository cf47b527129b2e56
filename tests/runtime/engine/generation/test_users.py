"""What the engine does on the proxy's behalf: users' prefixes apart, and usage told afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import CHAT, COMPLETIONS, Answer
from tests.support.engine import Engine
from tests.support.wait import until

DOCUMENT = "a document that is nobody else's business " * 12


async def ask(engine: Engine, user: str, text: str = DOCUMENT, **more: Any) -> Answer:
    """A completion on behalf of a user."""
    headers = {"X-Llamaserve-User": user, **more.pop("headers", {})}
    return await engine.post(COMPLETIONS, {"prompt": text, "max_tokens": 2, **more}, headers=headers)


@pytest.fixture
def engine(models: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine of four slots that has not been started."""
    env = {"LLAMA_SERVER_PARALLEL": "4", "LLAMA_SERVER_N_CTX": "2048"}
    with Engine(tmp_path, models / "quick.gguf", env=env) as made:
        yield made


async def test_no_user_is_given_what_another_has_had_read(engine: Engine) -> None:
    """Neither from a slot nor from a saved state: how long a response takes would tell of it."""
    engine.start()
    first = await ask(engine, "alice")
    again = await ask(engine, "alice")
    other = await ask(engine, "bob")
    for number in range(8):  # alice's goes from the slots to the saved states
        await ask(engine, "carol", f"{number} " + DOCUMENT)
    saved = await ask(engine, "dave")
    kept = await ask(engine, "alice")

    n_prompt = first.usage["prompt_tokens"]
    assert [first.cached_tokens, other.cached_tokens, saved.cached_tokens] == [0, 0, 0]
    assert again.cached_tokens == kept.cached_tokens == n_prompt - 1


async def test_all_prefixes_are_shared_where_the_operator_says_so(engine: Engine) -> None:
    """LLAMA_SERVER_SHARED_PREFIX=all."""
    engine.env["LLAMA_SERVER_SHARED_PREFIX"] = "all"
    engine.start()
    first = await ask(engine, "alice")
    other = await ask(engine, "bob")

    assert other.cached_tokens == first.usage["prompt_tokens"] - 1


async def test_system_messages_are_shared_where_the_operator_says_so(engine: Engine) -> None:
    """LLAMA_SERVER_SHARED_PREFIX=system: those at the beginning of a chat, and nothing after them."""
    engine.env["LLAMA_SERVER_SHARED_PREFIX"] = "system"
    engine.start()

    async def chat(user: str, system: str, text: str) -> Answer:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        body = {"messages": messages, "max_tokens": 2}
        return await engine.post(CHAT, body, headers={"X-Llamaserve-User": user})

    first = await chat("alice", DOCUMENT, "secret " * 100)
    guess = await chat("bob", DOCUMENT, "secret " * 100)
    completion = await ask(engine, "bob", "plain " * 100)
    other = await ask(engine, "carol", "plain " * 100)

    tokens = (await engine.post("/extras/tokenize", {"input": DOCUMENT})).json["tokens"]
    assert first.cached_tokens == 0
    assert len(tokens) - 5 < guess.cached_tokens < len(tokens) + 40
    assert completion.cached_tokens == other.cached_tokens == 0


async def test_who_comes_at_the_same_time_with_the_same_beginning_has_it_read_once(
    engine: Engine,
) -> None:
    """One reads, the others copy it and go on."""
    engine.env["LLAMA_SERVER_SHARED_PREFIX"] = "all"
    engine.start()
    answers = await asyncio.gather(
        *(ask(engine, user, DOCUMENT * 3 + f"said {user}") for user in ("alice", "bob", "carol"))
    )

    n_prompt = max(answer.usage["prompt_tokens"] for answer in answers)
    evaluated = sum(answer.usage["prompt_tokens"] - answer.cached_tokens for answer in answers)
    assert evaluated <= 1.2 * n_prompt


async def test_usage_can_be_asked_for_when_the_client_has_left(slow: Engine) -> None:
    """What has really been read and generated, of a response that nobody has seen the end of."""
    headers = {"X-Llamaserve-Request": "left-early"}
    async with slow.streaming(max_tokens=3000, headers=headers) as response:
        for _ in range(12):
            await response.content.readline()
    usage = (await slow.get("/internal/usage/left-early")).json

    assert set(usage) == {"prompt_tokens", "completion_tokens", "cached_tokens"}
    assert usage["prompt_tokens"] > 10
    assert 5 <= usage["completion_tokens"] < 1000
    assert (await slow.get("/internal/usage/left-early")).json == usage


async def test_progress_of_running_requests(slow: Engine) -> None:
    """How much of its prompt has been read, how long that is, and how many tokens there are so far."""
    headers = {"X-Llamaserve-Request": "seen-running"}
    async with slow.streaming(max_tokens=3000, headers=headers) as response:
        for _ in range(12):
            await response.content.readline()
        found = (await slow.get("/internal/progress")).json["seen-running"]
        assert found["prompt_tokens"] == found["prompt_length"] > 10
        assert 5 <= found["completion_tokens"] < 1000
    await until(lambda: _has_ended(slow, "seen-running"), "the request to be gone")
    assert (await slow.get("/internal/progress", key="")).status == 401


async def _has_ended(engine: Engine, request_id: str) -> bool:
    return request_id not in (await engine.get("/internal/progress")).json


async def test_usage_of_a_prompt_that_was_abandoned_is_what_was_read(slow: Engine) -> None:
    """Not the whole prompt's."""
    headers = {"X-Llamaserve-Request": "left-in-prompt", "X-Llamaserve-User": "somebody"}
    body = {"prompt": "q " * 1900, "max_tokens": 5}
    running = asyncio.create_task(slow.post(COMPLETIONS, body, headers=headers))
    await until(slow.is_generating, "the prompt to be read")
    await asyncio.sleep(0)
    running.cancel()
    usage = (await slow.get("/internal/usage/left-in-prompt")).json

    assert 0 <= usage["prompt_tokens"] < 3000
    assert usage["completion_tokens"] == 0


async def test_usage_of_an_unknown_request_is_a_404(quick: Engine) -> None:
    """In the envelope; and nobody without the key is told anything."""
    answer = await quick.get("/internal/usage/nobody")

    assert (answer.status, answer.error["code"]) == (404, "unknown_request")
    assert (await quick.get("/internal/usage/nobody", key="")).status == 401


async def test_the_usage_of_the_last_requests_is_kept(quick: Engine) -> None:
    """The last 1,024 that have ended."""
    for number in range(1100):
        await ask(quick, "", "x", max_tokens=1, headers={"X-Llamaserve-Request": f"r{number}"})

    assert (await quick.get("/internal/usage/r0")).status == 404
    kept = await quick.get("/internal/usage/r200")
    assert kept.json["completion_tokens"] == 1
