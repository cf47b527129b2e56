"""Attacks of a client who has a valid key."""

from __future__ import annotations

import asyncio

from tests.support.hostile.connection import Tally, Target, ask, connected, post, request_head

SLOW_BYTES_PER_S = 1024
CHAT = "/v1/chat/completions"
_TOKENIZED_BYTES = 65_536
"""As much as is tokenized, whatever the context's length."""
_DETOKENIZED_TOKENS = 3000


def _messages(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def slow_reader_of_whole_answer(target: Target, tally: Tally) -> None:
    """Ask for half a megabyte in one response (log probabilities), and read a kilobyte a second."""
    body = {
        "messages": _messages("Tell me everything"),
        "max_tokens": 300,
        "logprobs": True,
        "top_logprobs": 20,
    }
    async with connected(target) as connection:
        await ask(connection, post(target, CHAT, body), tally)
        await connection.read_slowly(SLOW_BYTES_PER_S)


async def slow_reader_of_stream(target: Target, tally: Tally) -> None:
    """Ask for a long stream and read a kilobyte a second."""
    body = {"messages": _messages("Tell me everything, slowly"), "max_tokens": 300, "stream": True}
    async with connected(target) as connection:
        await ask(connection, post(target, CHAT, body), tally)
        await connection.read_slowly(SLOW_BYTES_PER_S)


async def reader_who_takes_nothing(target: Target, tally: Tally) -> None:
    """Ask for a long stream and read its head only, until the server closes the connection."""
    body = {"messages": _messages("Tell me, I do not listen"), "max_tokens": 300, "stream": True}
    async with connected(target) as connection:
        await ask(connection, post(target, CHAT, body), tally)
        await asyncio.sleep(60)


async def slow_upload(target: Target, tally: Tally) -> None:
    """Announce the largest body there may be and send two bytes a second."""
    length = "Content-Length: 16777216"
    head = request_head(target, f"POST {CHAT} HTTP/1.1", "Content-Type: application/json", length)
    async with connected(target) as connection:
        await connection.send(head + b'{"messages": "')
        tally["begun"] += 1
        while not connection.reader.at_eof():
            await connection.send(b"x")
            await asyncio.sleep(0.5)


async def tokenizer(target: Target, tally: Tally) -> None:
    """Have a large text tokenized, as often as it is answered."""
    body: dict[str, object] = {"input": "a llama " * (_TOKENIZED_BYTES // 8)}
    async with connected(target) as connection:
        await ask(connection, post(target, "/extras/tokenize/count", body), tally)


async def slow_reader_of_detokenized(target: Target, tally: Tally) -> None:
    """Have tokens made text and read the response slowly."""
    body: dict[str, object] = {"tokens": [300] * _DETOKENIZED_TOKENS}
    async with connected(target) as connection:
        await ask(connection, post(target, "/extras/detokenize", body), tally)
        await connection.read_slowly(SLOW_BYTES_PER_S)


async def leaver(target: Target, tally: Tally) -> None:
    """Ask for a whole answer with a long prompt, and leave while the engine reads the prompt."""
    body = {"messages": _messages("one two three " * 60), "max_tokens": 300}
    async with connected(target) as connection:
        await connection.send(post(target, CHAT, body))
        tally["left"] += 1
        await asyncio.sleep(0.3)
