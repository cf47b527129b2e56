"""Which backend a conversation's next request should go to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.scheduling import conversations
from proxy.scheduling.conversations import Beginnings, Conversations, beginnings_of

CHAT = "/v1/chat/completions"
SYSTEM = {"role": "system", "content": "You are terse."}


def says(text: str, role: str = "user") -> dict[str, str]:
    return {"role": role, "content": text}


async def of(*messages: Any, path: str = CHAT, field: str = "messages") -> Beginnings:
    return await beginnings_of(path, json.dumps({field: messages}).encode())


@pytest.mark.parametrize(("path", "field"), [(CHAT, "messages"), ("/v1/messages", "messages"),
                                             ("/v1/responses", "input")])  # fmt: skip
async def test_the_next_request_of_a_conversation_finds_its_backend(path: str, field: str) -> None:
    """It begins with all messages of the one before, has the answer after them, and a new question."""
    known = Conversations()
    known.note(7, await of(SYSTEM, says("one"), path=path, field=field), 2)
    further = [SYSTEM, says("one"), says("1", "assistant"), says("two")]
    assert known.find(7, await of(*further, path=path, field=field)) == 2
    assert known.find(8, await of(*further, path=path, field=field)) is None


async def test_a_shared_system_prompt_is_no_conversation() -> None:
    """Not even after a request that has nothing else."""
    known = Conversations()
    known.note(7, await of(SYSTEM), 1)
    known.note(7, await of(SYSTEM, says("one")), 2)
    assert known.find(7, await of(SYSTEM, says("another"))) is None


async def test_the_longest_beginning_counts() -> None:
    """A conversation that moved to another backend is found there; a branch of it where it began."""
    known = Conversations()
    first, second = [says("a")], [says("a"), says("b", "assistant"), says("c")]
    known.note(7, await of(*first), 1)
    known.note(7, await of(*second), 2)
    assert known.find(7, await of(*second, says("d", "assistant"), says("e"))) == 2
    assert known.find(7, await of(*first, says("x", "assistant"), says("y"))) == 1


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"messages": 3}', b'{"messages": {}}', b'{"messages": []}', b"\xff"]
)
async def test_what_is_no_conversation_has_no_beginnings(body: bytes) -> None:
    """A body that the engine will refuse is none of our business here."""
    assert list(await beginnings_of(CHAT, body)) == []
    assert list(await beginnings_of("/v1/completions", body)) == []


async def test_nothing_that_a_client_sends_makes_the_table_grow_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One user's conversations push out that user's alone; users that come push out those unused."""
    monkeypatch.setattr(conversations, "MAX_OF_USER", 3)
    monkeypatch.setattr(conversations, "MAX_USERS", 2)
    known = Conversations()
    quiet = await of(says("quiet"))
    known.note(1, quiet, 5)
    for number in range(10):
        known.note(2, await of(says(str(number))), 0)
    assert known.find(1, quiet) == 5
    assert known.find(2, await of(says("6"))) is None
    assert known.find(2, await of(says("7"))) == 0
    many = await of(*[says(str(number)) for number in range(500)])
    assert len(many) == conversations.MAX_BEGINNINGS
    known.note(2, quiet, 0)
    known.note(3, quiet, 0)
    assert known.find(1, quiet) is None


@pytest.mark.parametrize("value", [b"{}", b"[]", b"1", b'{"a":{"a":{}}}'])
async def test_a_body_of_very_many_values_is_not_looked_at(value: bytes) -> None:
    """It would take a hundred times its size; a long text does not."""
    many = b'{"messages":[%b]}' % b",".join([value] * conversations.MAX_VALUES)
    assert list(await beginnings_of(CHAT, many)) == []
    assert len(await of(says("word " * 500_000))) == 1
    assert list(await of(says("word " * 1_000_000))) == []
