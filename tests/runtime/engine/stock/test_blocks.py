"""What holds the stock llama_cpp.server's one model up, or cuts short who has it.

Each test that fails tells that a release no longer does it: its guard in runtime/engine can go. They
assert order by the server's own log, which speaks when a generation begins and when it has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.client import CHAT, DONE, MODELS
from tests.support.gguf import SLOW, build_model, token_ids
from tests.support.stock import StockServer
from tests.support.wait import until

LONG = 700
"""Tokens: an answer of the slow model's that lasts some seconds."""

CONTINUATION, TWO_BYTES_BEGIN = (str(token_ids()[f"<0x{byte:02X}>"]) for byte in (0x80, 0xC3))

SILENT: dict[str, Any] = {
    "logit_bias": {CONTINUATION: 100},
    "repeat_penalty": 1000,
    "temperature": 0,
    "max_tokens": 150,
}
"""Its first token is a byte that is no text by itself, and it goes on with words."""

ALL_CACHED = "remaining 1 prompt|full prompt already cached"
"""How the log says that a prompt need not be read. The last token is read once more, mostly."""

HANGS_S = 2.0
"""What takes longer than this hangs: such a request is answered in some 10 ms otherwise."""


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("slow") / "slow.gguf", shape=SLOW)


@pytest.fixture(scope="module")
def shared_default(slow_model: Path) -> Iterator[StockServer]:
    with StockServer(slow_model.parent, slow_model) as server:
        yield server.start()


@pytest.fixture(scope="module")
def shared(slow_model: Path) -> Iterator[StockServer]:
    with StockServer(slow_model.parent, slow_model, ours=True, n_batch=64) as server:
        yield server.start()


@pytest.fixture
async def default(shared_default: StockServer) -> StockServer:
    """The slow model with the default settings. HELLO was its last prompt."""
    assert (await shared_default.chat(max_tokens=1)).status == 200
    return shared_default


@pytest.fixture
async def server(shared: StockServer) -> StockServer:
    """The same with our settings. Whatever the test before has left running has ended."""
    assert (await shared.chat(max_tokens=1)).status == 200
    return shared


@pytest.fixture
async def fresh(slow_model: Path, tmp_path: Path) -> AsyncIterator[StockServer]:
    """The same, but its own process: for a test that ends it."""
    with StockServer(tmp_path, slow_model, ours=True) as server:
        server.start()
        assert (await server.chat(max_tokens=1)).status == 200
        yield server


async def leave(task: asyncio.Task[Any]) -> None:
    """Close the connection of a request under way."""
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def last_begin(server: StockServer) -> str:
    """What the log says of the generation begun last."""
    return [line for line in server.log.splitlines() if line.startswith("Llama.generate: ")][-1]


# One lock, one generation at a time


async def test_generations_wait_for_each_other(server: StockServer) -> None:
    """Three at once: none begins before the one in front has ended."""
    said = len(server.log)

    await asyncio.gather(*(server.chat(max_tokens=30) for _ in range(3)))

    steps = re.findall("Llama.generate: |total time", server.log[said:])
    assert steps == ["Llama.generate: ", "total time"] * 3


@pytest.mark.parametrize(
    "ask",
    [
        lambda server: server.get(MODELS),
        lambda server: server.post("/extras/tokenize", {"input": "a"}),
        lambda server: server.post("/extras/detokenize", {"tokens": [300]}),
    ],
    ids=["models", "tokenize", "detokenize"],
)
async def test_requests_that_need_no_generation_wait_for_one(
    server: StockServer, ask: Callable[[StockServer], Any]
) -> None:
    """They take the model's lock; a look at /v1/models tells a busy server from a dead one only late."""
    ended = len(server.ended)
    generation = await server.begin(max_tokens=300)

    answer = await ask(server)

    assert answer.status == 200
    assert len(server.ended) == ended + 1
    await generation


async def test_openapi_is_answered_during_a_generation(server: StockServer) -> None:
    """The one page that takes no lock, and asks for no key: it shows that the process lives, no more."""
    ended = len(server.ended)

    async with server.streaming(max_tokens=1900) as stream:
        await stream.content.readline()
        answer = await server.get("/openapi.json", key="wrong")
        assert len(server.ended) == ended

    assert answer.status == 200


# interrupt_requests


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda server: server.get(MODELS), 200),
        (lambda server: server.post("/extras/tokenize", {"input": "a"}), 200),
        (lambda server: server.post("/extras/tokenize", {"no": "input"}), 500),
    ],
    ids=["models", "tokenize", "an invalid request"],
)
async def test_by_default_any_request_cuts_the_stream_that_runs(
    default: StockServer, ask: Callable[[StockServer], Any], status: int
) -> None:
    """The victim gets [DONE] without a finish_reason, and its chunked body breaks off.

    interrupt_requests is true by default.
    """
    begun = default.begun
    victim = asyncio.create_task(default.stream(max_tokens=1900))
    await until(lambda: default.begun > begun, "the stream to begin")

    assert (await ask(default)).status == status
    cut = await victim

    assert cut.finish_reasons == []
    assert cut.events[-1] == DONE
    assert cut.broken


async def test_by_default_streams_at_once_cut_each_other(default: StockServer) -> None:
    """Of eight, each but the last has another behind it."""
    streams = await asyncio.gather(*(default.stream(max_tokens=100) for _ in range(8)))

    whole = [stream for stream in streams if stream.finish_reasons == ["length"]]
    cut = [stream for stream in streams if not stream.finish_reasons]
    assert len(whole) + len(cut) == 8
    assert len(cut) > len(whole) > 0
    assert all(stream.broken and stream.status == 200 for stream in cut)


async def test_without_interruption_streams_at_once_are_whole(server: StockServer) -> None:
    """interrupt_requests=false is enough against the above: no guard is needed for it."""
    streams = await asyncio.gather(*(server.stream(max_tokens=30) for _ in range(4)))

    assert [stream.finish_reasons for stream in streams] == [["length"]] * 4
    assert not any(stream.broken for stream in streams)


# Clients that leave


async def test_an_answer_is_made_to_its_end_although_its_client_left(server: StockServer) -> None:
    """Nobody looks at the connection of a request without `stream` once it has begun."""
    ended = len(server.ended)
    generation = await server.begin(max_tokens=LONG)

    await leave(generation)
    await until(lambda: len(server.ended) > ended, "the generation to end", deadline_s=120)

    assert server.ended[-1] >= LONG - 1


async def test_a_stream_of_plain_text_ends_when_its_client_leaves(server: StockServer) -> None:
    """No guard is needed for it."""
    ended = len(server.ended)

    async with server.streaming(max_tokens=1900) as stream:
        await stream.content.readline()
    assert (await server.get(MODELS)).status == 200

    assert len(server.ended) == ended


async def test_a_prompt_is_read_to_its_end_although_its_client_left(server: StockServer) -> None:
    """The next request with the same prompt finds all of it in the cache, of twenty batches and more."""
    prompt = [{"role": "user", "content": "z " * 900}]
    begun = server.begun
    reading = asyncio.create_task(server.stream(messages=prompt))
    await until(lambda: server.begun > begun, "the prompt to begin")

    await leave(reading)
    again = await server.chat(messages=prompt, max_tokens=1)

    assert again.usage["prompt_tokens"] > 20 * 64
    assert re.search(ALL_CACHED, last_begin(server))


# Bytes that are no text


async def test_a_stream_is_silent_from_an_undecodable_byte_to_its_end(server: StockServer) -> None:
    """It waits for the bytes that make a character of that one; all comes when the answer is whole."""
    ended = len(server.ended)

    async with server.streaming(**SILENT) as stream:
        await stream.content.readline()
        assert len(server.ended) == ended + 1
        rest = (await stream.read()).decode()

    assert rest.count('"content"') == SILENT["max_tokens"]


async def test_a_stream_of_plain_text_is_not_silent(server: StockServer) -> None:
    """What the above is to be compared with."""
    ended = len(server.ended)

    async with server.streaming(max_tokens=1900) as stream:
        await stream.content.readline()
        assert len(server.ended) == ended


async def test_a_silent_stream_goes_on_although_its_client_left(server: StockServer) -> None:
    """Only a chunk sent makes it look at the connection."""
    begun, ended = server.begun, len(server.ended)
    stream = asyncio.create_task(server.stream(**SILENT | {"max_tokens": 220}))
    await until(lambda: server.begun > begun, "the stream to begin")

    await leave(stream)
    await until(lambda: len(server.ended) > ended, "the generation to end", deadline_s=120)

    assert server.ended[-1] >= 219


async def test_a_silent_stream_costs_the_cube_of_its_length(tiny_model: Path, tmp_path: Path) -> None:
    """With each token it tries anew whether any beginning of all that is held back can be decoded. Twice
    as many tokens take some seven times as long, and the model is held meanwhile."""

    with StockServer(tmp_path, tiny_model, ours=True) as server:
        process = psutil.Process(server.start().pid)

        async def cost_s(tokens: int) -> float:
            """Of the processor's time."""
            before = process.cpu_times().user
            stream = await server.stream(**SILENT | {"max_tokens": tokens})
            assert stream.finish_reasons == ["length"]
            return process.cpu_times().user - before

        await cost_s(1)  # the first request loads what others find loaded
        once, twice = [await cost_s(tokens) for tokens in (120, 240)]

    assert twice > 4.5 * once


async def test_bytes_that_begin_characters_run_past_max_tokens(tiny_model: Path) -> None:
    """Each puts the check of max_tokens off until its character is whole, up to the context's end,
    where llama.cpp gives up: a 500, or a stream of nothing."""
    begins: dict[str, Any] = {"logit_bias": {TWO_BYTES_BEGIN: 100}, "temperature": 0, "max_tokens": 8}
    with StockServer(tiny_model.parent, tiny_model, ours=True, n_ctx=256) as server:
        server.start()
        answer = await server.chat(**begins)
        stream = await server.stream(**begins)
        after = await server.chat()

    assert (answer.status, answer.error["message"]) == (500, "llama_decode returned 1")
    assert (stream.status, stream.text) == (200, "")
    assert after.status == 200


# SIGTERM


async def test_sigterm_waits_for_an_answer(fresh: StockServer) -> None:
    """However long it takes: no other signal but SIGKILL is quicker."""
    generation = await fresh.begin(max_tokens=LONG)

    fresh.terminate()
    await until(lambda: "Waiting for connections to close" in fresh.log, "the shutdown to begin")
    assert fresh.alive
    assert (await generation).usage["completion_tokens"] == LONG

    assert await asyncio.to_thread(fresh.wait) == -signal.SIGTERM


async def test_sigterm_cuts_a_stream(fresh: StockServer) -> None:
    """Without a finish_reason or [DONE]."""
    begun = fresh.begun
    stream = asyncio.create_task(fresh.stream(max_tokens=1900))
    await until(lambda: fresh.begun > begun, "the stream to begin")

    fresh.terminate()
    cut = await stream

    assert await asyncio.to_thread(fresh.wait) == -signal.SIGTERM
    assert cut.broken
    assert cut.finish_reasons == []
    assert DONE not in cut.events


# Requests that never end


@pytest.mark.parametrize(
    "body",
    [
        {"response_format": {"type": "json_object", "schema": {"type": "string", "pattern": "^]$"}}},
        {"grammar": "root ::= " + " ".join(["[a-z ]*"] * 300)},
    ],
    ids=["a pattern", "a grammar"],
)
async def test_a_constraint_can_hold_the_model_until_sigkill(
    tiny_model: Path, body: dict[str, Any]
) -> None:
    """The converter of patterns turns on the spot at a lone `]` or `}`; a grammar that can be read in
    millions of ways keeps them all. The lock is held meanwhile, and SIGTERM waits."""
    with StockServer(tiny_model.parent, tiny_model, ours=True) as server:
        server.start()
        stuck = asyncio.create_task(server.chat(**body))
        done, _ = await asyncio.wait({stuck}, timeout=HANGS_S)
        assert not done
        assert (await server.get("/openapi.json")).status == 200
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.get(MODELS), HANGS_S / 4)

        server.terminate()
        await until(lambda: "Waiting for connections to close" in server.log, "the shutdown to begin")
        assert server.alive
        assert not stuck.done()
        await leave(stuck)


async def test_a_small_schema_takes_as_much_memory_as_it_likes(tiny_model: Path) -> None:
    """The grammar has each of `minItems` written out, before anyone looks whether it is too large."""
    schema = {"type": "array", "items": {"type": "string"}, "minItems": 3_000_000}
    with StockServer(tiny_model.parent, tiny_model, ours=True) as server:
        server.start()
        assert (await server.chat()).status == 200
        before, _ = server.memory()
        await server.chat(response_format={"type": "json_object", "schema": schema})
        after, _ = server.memory()

    assert after - before > 100e6


# The event loop, the cache


async def test_tokenizing_blocks_the_event_loop(server: StockServer) -> None:
    """No other request is looked at meanwhile, not even those that take no lock."""
    text = json.dumps({"input": "Hello all " * 800_000}).encode()
    probes: list[float] = []

    async def count() -> float:
        start = time.monotonic()
        assert (await server.post("/extras/tokenize/count", text)).status == 200
        return time.monotonic() - start

    counting = asyncio.create_task(count())
    while not counting.done():
        start = time.monotonic()
        assert (await server.get("/openapi.json")).status == 200
        probes.append(time.monotonic() - start)

    # Reading the body takes the rest of the time.
    assert max(probes) > await counting / 3


async def test_two_users_in_turn_lose_each_others_prefix(server: StockServer) -> None:
    """There is one cache of one prompt: the first user's is read anew after the second's."""
    first, second = ([{"role": "user", "content": f"{name} likes it. " * 10}] for name in ("Ann", "Bob"))
    await server.chat(messages=first)
    again = await server.chat(messages=first)
    kept = last_begin(server)

    await server.chat(messages=second)
    await server.chat(messages=first)

    assert again.usage["prompt_tokens"] > 100
    assert re.search(ALL_CACHED, kept)
    found = re.search(r"(\d+) prefix-match hit, remaining (\d+) prompt", last_begin(server))
    assert found is not None
    hit, remaining = map(int, found.groups())
    assert remaining > 100 > hit


async def test_the_cache_takes_several_times_the_memory_it_is_allowed(tiny_model: Path) -> None:
    """cache_size counts llama.cpp's state, not the logits and token ids that are kept beside it."""
    allowed = 4_000_000
    with StockServer(tiny_model.parent, tiny_model, cache=True, cache_size=allowed) as server:
        server.start()

        async def fill(number: int) -> None:
            prompt = [{"role": "user", "content": f"{number} " + "z " * 700}]
            assert (await server.post(CHAT, {"messages": prompt, "max_tokens": 1})).status == 200

        await fill(0)
        before, _ = server.memory()
        for number in range(1, 20):
            await fill(number)
        after, _ = server.memory()

    assert after - before > 3 * allowed
