"""Requests that end the stock llama_cpp.server's process, with a signal and no word to the client.

Each test that fails tells that a release no longer dies of it: its guard in runtime/engine can go.
"""

from __future__ import annotations

import asyncio
import json
import signal
import string
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.support.client import CHAT, COMPLETIONS, HELLO
from tests.support.gguf import build_model, token_ids
from tests.support.killers import (
    INVALID_GRAMMARS,
    KILLING_SCHEMAS,
    json_schema,
    named_tool,
)
from tests.support.stock import StockServer

IDS = token_ids()
EOS = str(IDS["</s>"])
CRASHES = (-signal.SIGSEGV, -signal.SIGABRT)
"""A null sampler is followed, or C++ throws what Python cannot catch."""

FINISHED: dict[str, Any] = {"grammar": 'root ::= "a"', "max_tokens": 40}
"""After one letter the grammar allows nothing but the end of the text."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockServer]:
    folder = tmp_path_factory.mktemp("dies")
    with StockServer(folder, build_model(folder / "tiny.gguf"), n_ctx=512, ours=True) as server:
        yield server


@pytest.fixture
def server(shared: StockServer) -> StockServer:
    """A running stock server with our settings; the test before may have ended it."""
    return shared if shared.alive else shared.start()


async def assert_dies_of(server: StockServer, path: str, body: object) -> None:
    """The client's connection breaks off without an answer, and the process has ended."""
    with pytest.raises(aiohttp.ClientError):
        await server.post(path, body)

    assert await asyncio.to_thread(server.wait, 10) in CRASHES


@pytest.mark.parametrize("name", KILLING_SCHEMAS)
async def test_a_schema_it_makes_a_bad_grammar_of_ends_it(server: StockServer, name: str) -> None:
    """Its converter passes on what llama.cpp's parser refuses, and nobody looks at the refusal."""
    body = {"messages": HELLO, **json_schema(KILLING_SCHEMAS[name])}

    await assert_dies_of(server, CHAT, body)


@pytest.mark.parametrize("way", ["named tool", "legacy function", "stream"])
async def test_every_way_to_give_a_schema_ends_it(server: StockServer, way: str) -> None:
    """A tool called by name, the older form of that, and a stream."""
    schema = KILLING_SCHEMAS["digits"]
    functions = {"functions": [{"name": "f", "parameters": schema}], "function_call": {"name": "f"}}
    ways = {
        "named tool": named_tool(schema),
        "legacy function": functions,
        "stream": {**json_schema(schema), "stream": True},
    }

    await assert_dies_of(server, CHAT, {"messages": HELLO, **ways[way]})


@pytest.mark.parametrize(
    ("pattern", "letters"),
    [("^[a-z]+$", string.ascii_lowercase), ("^[0-9]{3}$", string.digits), (r"^a\-b$", "ab-")],
)
async def test_a_pattern_of_plain_classes_is_followed(
    server: StockServer, pattern: str, letters: str
) -> None:
    """Not every pattern is dangerous."""
    answer = await server.chat(**json_schema({"type": "string", "pattern": pattern}))

    content = answer.choice["message"]["content"]
    assert content.startswith('"')
    assert set(content) - set('" ') <= set(letters)
    assert server.alive


@pytest.mark.parametrize("length", [500, 1000])
async def test_a_bound_of_some_hundred_does_no_harm(server: StockServer, length: int) -> None:
    """The optional rest is nested as deep as the bound; somewhere over 1,000 that is too deep."""
    answer = await server.chat(**json_schema({"type": "string", "maxLength": length}))

    assert answer.status == 200
    assert server.alive


@pytest.mark.parametrize("name", INVALID_GRAMMARS)
async def test_a_grammar_that_cannot_be_used_ends_it(server: StockServer, name: str) -> None:
    """llama.cpp answers with a null sampler, which goes into the chain unchecked."""
    await assert_dies_of(server, CHAT, {"messages": HELLO, "grammar": INVALID_GRAMMARS[name]})


async def test_a_bad_grammar_ends_it_through_completions_too(server: StockServer) -> None:
    await assert_dies_of(server, COMPLETIONS, {"prompt": "a", "grammar": "root ::= ["})


@pytest.mark.parametrize(
    "more",
    [
        {"min_tokens": 2},
        {"logit_bias": {EOS: float("-inf")}},
        {"logit_bias": {EOS: -1e300}},
        {"logit_bias": {str(int(EOS) - len(IDS)): -1e300}},
        {"temperature": float("inf"), "top_p": 1, "min_p": 0},
    ],
    ids=["min_tokens", "bias of -inf", "bias that rounds to -inf", "id from the end", "temperature"],
)
async def test_a_grammar_with_no_token_left_to_draw_ends_it(
    server: StockServer, more: dict[str, Any]
) -> None:
    """A forbidden end of the text leaves nothing once the grammar is through; an infinite temperature
    makes forbidden tokens as likely as others. The one drawn is refused with a C++ exception.

    JSON has no infinity, but Python's parser takes `Infinity`, and 1e999 is one.
    """
    body = json.dumps({"messages": HELLO, **FINISHED, **more}).encode()

    await assert_dies_of(server, CHAT, body)


async def test_min_tokens_with_a_schema_ends_it(server: StockServer) -> None:
    """Nothing but ordinary fields: an answer of one word that is asked to be longer."""
    body = {"messages": HELLO, "min_tokens": 20, "max_tokens": 40, **json_schema({"type": "boolean"})}

    await assert_dies_of(server, CHAT, body)


@pytest.mark.parametrize("more", [{}, {"logit_bias": {EOS: -100}}], ids=["nothing", "bias"])
async def test_such_a_grammar_is_finished_where_the_end_can_be_drawn(
    server: StockServer, more: dict[str, Any]
) -> None:
    """OpenAI's strongest bias does no harm."""
    answer = await server.chat(**FINISHED, **more)

    assert answer.choice["message"]["content"] == "a"
    assert answer.choice["finish_reason"] == "stop"


@pytest.mark.parametrize("token", [-1, len(IDS), -(2**31)])
async def test_detokenizing_a_token_that_there_is_not_ends_it(server: StockServer, token: int) -> None:
    """The first id past the vocabulary is enough."""
    await assert_dies_of(server, "/extras/detokenize", {"tokens": [token]})


async def test_token_ids_wrap_around_at_32_bits(server: StockServer) -> None:
    """So a check of the bounds must be made on the number as it was sent."""
    answer = await server.post("/extras/detokenize", {"tokens": [2**32 + IDS["a"]]})

    assert answer.json == {"text": "a"}
