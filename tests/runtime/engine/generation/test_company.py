"""Many responses at once: each is what it would be alone, and nobody holds up anybody."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from itertools import islice
from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from runtime.config import ROOT
from tests.support.client import CHAT, HELLO, Answer
from tests.support.engine import Engine
from tests.support.killers import INVALID_GRAMMARS, KILLING_SCHEMAS, json_schema, named_tool
from tests.support.wait import until

GREEDY: dict[str, Any] = {"temperature": 0, "repeat_penalty": 1.0}
PROMPTS = [f"{'abc ' * (7 * number)}Tell me of number {number}" for number in range(8)]


async def complete(engine: Engine, number: int, **more: Any) -> Answer:
    return await engine.complete(PROMPTS[number], **{"max_tokens": 40 - number, **more})


@asynccontextmanager
async def eight_streams(engine: Engine) -> AsyncIterator[None]:
    """Have begun and go on for ten seconds or more; they are left at the context's end."""
    async with AsyncExitStack() as stack:
        for number in range(8):
            stream = engine.streaming(max_tokens=3000, seed=number)
            response = await stack.enter_async_context(stream)
            await response.content.readline()
        yield


async def until_free(engine: Engine) -> None:
    """Wait until nothing of what was left is generated any more: it counts when it ends."""

    async def is_free() -> bool:
        return not await engine.is_generating()

    await until(is_free, "what was left to end")


@pytest.fixture(scope="module")
def fresh(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine of eight slots that keeps no prefixes beside them."""
    env = {"LLAMA_SERVER_PARALLEL": "8", "LLAMA_SERVER_CACHE_BYTES": "0", "LLAMA_SERVER_N_CTX": "1024"}
    with Engine(tmp_path_factory.mktemp("fresh"), models / "quick.gguf", env=env) as engine:
        yield engine.start()


async def test_greedy_responses_are_llama_cpp_s_own_in_any_company(fresh: Engine, models: Path) -> None:
    """Token for token what `llama_cpp.Llama` with flash attention generates alone, whoever else runs,
    and in any order."""
    with closing(
        llama_cpp.Llama(str(models / "quick.gguf"), n_ctx=1024, flash_attn=True, verbose=False)
    ) as llama:
        expected = []
        for number, prompt in enumerate(PROMPTS):
            tokens = (await fresh.post("/extras/tokenize", {"input": prompt})).json["tokens"]
            generated = list(islice(llama.generate(tokens, temp=0.0), 40 - number))
            expected.append((await fresh.post("/extras/detokenize", {"tokens": generated})).json["text"])

    alone = [await complete(fresh, number, **GREEDY) for number in range(8)]
    order = list(range(8))
    for seed in range(3):
        random.Random(seed).shuffle(order)  # noqa: S311
        together = await asyncio.gather(*(complete(fresh, number, **GREEDY) for number in order))
        assert [answer.choice["text"] for answer in together] == [expected[number] for number in order]
    assert [answer.choice["text"] for answer in alone] == expected


async def test_a_trained_model_says_the_same_in_any_company(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Its probabilities are nothing like those of random weights: the likeliest token is far ahead."""
    questions = [
        "How do I create a user?",
        "What is a key?",
        "How do I stop the server?",
        "Who are you?",
        "How do I switch the model?",
        "What does the proxy do?",
        "Where are the logs?",
        "How do I limit a user?",
    ]
    chats = [
        {"messages": [{"role": "user", "content": question}], "max_tokens": 60, **GREEDY}
        for question in questions
    ]
    starter = ROOT / "models/starter/llamaserve-starter.gguf"
    with Engine(
        tmp_path_factory.mktemp("starter"), starter, env={"LLAMA_SERVER_PARALLEL": "8"}
    ) as engine:
        engine.start()
        alone = [(await engine.post(CHAT, chat)).content for chat in chats]
        together = await asyncio.gather(*(engine.post(CHAT, chat) for chat in chats))

    assert [answer.content for answer in together] == alone
    assert all(alone)


@pytest.mark.parametrize("more", [{}, {"top_k": 0, "temperature": 1.5}, {"mirostat_mode": 2}])
async def test_a_seed_gives_the_same_response_in_any_company(
    fresh: Engine, more: dict[str, Any]
) -> None:
    """Each sequence has a sampler of its own; the penalties see its own tokens only."""
    alone = [await complete(fresh, number, seed=number, **more) for number in range(8)]
    together = await asyncio.gather(
        *(complete(fresh, number, seed=number, **more) for number in range(8))
    )

    assert [answer.choice["text"] for answer in together] == [a.choice["text"] for a in alone]
    assert len({answer.choice["text"] for answer in alone}) == 8


async def test_penalties_are_llama_cpp_s_own(fresh: Engine, models: Path) -> None:
    """At temperature 0 a wrong bit would choose another token sooner or later."""
    penalties: dict[str, Any] = {
        "repeat_penalty": 1.3,
        "presence_penalty": 0.4,
        "frequency_penalty": 0.3,
    }
    tokens = (await fresh.post("/extras/tokenize", {"input": "again and again"})).json["tokens"]
    with closing(
        llama_cpp.Llama(str(models / "quick.gguf"), n_ctx=1024, flash_attn=True, verbose=False)
    ) as llama:
        generated = list(islice(llama.generate(tokens, temp=0.0, **penalties), 200))
    expected = (await fresh.post("/extras/detokenize", {"tokens": generated})).json["text"]

    answer = await fresh.complete(tokens, temperature=0, max_tokens=200, **penalties)

    assert answer.choice["text"] == expected


async def test_responses_grow_at_the_same_time(slow: Engine) -> None:
    """Eight streams: the last one's first token comes long before the first one's end."""
    async with eight_streams(slow):
        assert await slow.metric("llama_slots_running") == 8
        assert await slow.metric("llama_slots") == 8
    await until_free(slow)


async def test_a_newcomer_does_not_wait_for_a_long_prompt(slow: Engine) -> None:
    """Another user's prompt of 3,000 tokens is being read, which takes ten seconds or more."""
    long = asyncio.create_task(
        slow.chat(messages=[{"role": "user", "content": "y " * 1500}], max_tokens=1)
    )
    await until(slow.is_generating, "the long prompt to be read")
    short = await slow.post(
        "/v1/completions",
        {"prompt": "Hello", "max_tokens": 3},
        headers={"X-Llamaserve-User": "newcomer"},
    )

    assert short.usage["completion_tokens"] == 3
    assert not long.done()
    assert (await long).status == 200


async def test_a_newcomer_does_not_wait_for_another_s_many_responses(slow: Engine) -> None:
    """One request may ask for more responses than there are slots; a slot is left to others."""
    before = await slow.metric("llama_generated_tokens_total")
    body = {"messages": HELLO, "n": 16}
    many = asyncio.create_task(slow.post(CHAT, {**body, "max_tokens": 1000}))

    async def are_running() -> bool:
        return await slow.metric("llama_slots_running") >= 7

    await until(are_running, "several to be under way")
    short = await slow.post(
        CHAT, {"messages": HELLO, "max_tokens": 1}, headers={"X-Llamaserve-User": "newcomer"}
    )

    assert short.usage["completion_tokens"] == 1
    assert await slow.metric("llama_generated_tokens_total") - before == 1, "none of the many has ended"
    many.cancel()
    assert len((await slow.post(CHAT, {**body, "max_tokens": 2})).json["choices"]) == 16
    await until_free(slow)


async def test_those_who_leave_do_not_change_the_others(fresh: Engine) -> None:
    """Gaps in the slots are closed by moving sequences, whose responses go on as if nothing had been."""
    alone = [await complete(fresh, number, max_tokens=300, **GREEDY) for number in range(8)]
    tasks = [
        asyncio.create_task(
            complete(fresh, number, max_tokens=300 if number % 3 else 10 + number, **GREEDY)
        )
        for number in range(8)
    ]
    together = [await task for task in tasks]

    for number, answer in enumerate(together):
        whole = alone[number].choice["text"]
        assert whole.startswith(answer.choice["text"])
        assert answer.usage["completion_tokens"] == (300 if number % 3 else 10 + number)


async def test_more_than_there_are_slots_wait_and_are_all_answered(slow: Engine) -> None:
    """Thirty at once on eight slots; health tells how many run and wait."""

    async def are_waiting() -> bool:
        health = (await slow.get("/health", key="")).json
        return bool(health["running"] == health["slots"] == 8 and health["waiting"] == 22)

    async with eight_streams(slow):
        tasks = [asyncio.create_task(slow.chat(max_tokens=20, seed=number)) for number in range(22)]
        await until(are_waiting, "all slots to be taken")
    answers = await asyncio.gather(*tasks)

    assert all(answer.usage["completion_tokens"] == 20 for answer in answers)
    health = (await slow.get("/health")).json
    assert (health["status"], health["slots"]) == ("ok", 8)
    assert (health["running"], health["waiting"]) == (0, 0)


async def test_what_kills_the_stock_server_ends_nobody_else_s_stream(slow: Engine) -> None:
    """All of it at once, beside seven streams: schemas, grammars, odd tokens, those who leave."""
    pid = slow.pid
    streams = [
        asyncio.create_task(slow.stream(max_tokens=150, seed=number, logit_bias={"300": 100}))
        for number in range(7)
    ]
    await until(slow.is_generating, "the streams to begin")
    bodies = [{**way(schema), "max_tokens": 4} for schema in KILLING_SCHEMAS.values() for way in (
        named_tool, json_schema)]  # fmt: skip
    bodies += [{"grammar": grammar, "max_tokens": 4} for grammar in INVALID_GRAMMARS.values()]
    answers = await asyncio.gather(*(slow.chat(**body) for body in bodies))
    for token in (-1, 10**6):
        answers.append(await slow.complete([token]))
        answers.append(await slow.post("/extras/detokenize", {"tokens": [token]}))
    async with slow.streaming(max_tokens=100) as leaving:
        await leaving.content.readline()

    assert {answer.status for answer in answers} <= {200, 400}
    for stream in [await task for task in streams]:
        assert stream.finish_reasons == ["length"]
        assert stream.events[-1] == "[DONE]"
    assert slow.pid == pid
    assert slow.alive
