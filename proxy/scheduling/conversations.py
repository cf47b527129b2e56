"""Remembers which backend has answered a conversation last: it has the beginning evaluated already.

A request is known by a hash of all its messages, for its user alone. The next request of the
conversation begins with the same messages, so the hashes of the beginnings of its messages are looked
up, the longest first. A beginning of system messages alone is no conversation: applications send the
same one in all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import orjson

MAX_USERS = 1024
MAX_OF_USER = 128
"""How many conversations of a user are remembered; those used last."""
MAX_BEGINNINGS = 64
"""How many beginnings of a request's messages are looked up; the longest."""
INLINE_BYTES = 16_384
"""A longer body is parsed in a thread."""
MAX_BYTES = 2**22
MAX_VALUES = 100_000
"""A longer body, or one with more values, is not looked at: 16 MB of empty objects would take half a
gigabyte and a second of the processor. It goes where most slots are free."""
HASH_BYTES = 12
_SYSTEM = ("system", "developer")
_FIELDS = {"/v1/chat/completions": "messages", "/v1/messages": "messages", "/v1/responses": "input"}

Beginnings = Sequence[bytes]
"""Hashes of the beginnings of a request's messages, the longest first: that is all of them."""


class Conversations:
    """The backends of conversations, within bounds."""

    def __init__(self) -> None:
        self._users: OrderedDict[int, OrderedDict[bytes, int]] = OrderedDict()

    def find(self, user_id: int, beginnings: Beginnings) -> int | None:
        """The backend that has answered the longest of these beginnings; None if none is known."""
        known = self._users.get(user_id)
        if known is None:
            return None
        for beginning in beginnings:
            backend = known.get(beginning)
            if backend is not None:
                known.move_to_end(beginning)
                return backend
        return None

    def note(self, user_id: int, beginnings: Beginnings, backend: int) -> None:
        """Remember which backend gets a request."""
        if not beginnings:
            return
        known = self._users.get(user_id)
        if known is None:
            known = self._users[user_id] = OrderedDict()
            if len(self._users) > MAX_USERS:
                self._users.popitem(last=False)
        else:
            self._users.move_to_end(user_id)
        known[beginnings[0]] = backend
        known.move_to_end(beginnings[0])
        if len(known) > MAX_OF_USER:
            known.popitem(last=False)


async def beginnings_of(path: str, body: bytes) -> Beginnings:
    """The beginnings of a request's messages; none if it has no messages, or no valid body."""
    field = _FIELDS.get(path)
    if field is None:
        return ()
    if len(body) <= INLINE_BYTES:
        return _beginnings(body, field)
    # Before each value of a list, and each pair of an object, is one of these.
    if len(body) > MAX_BYTES or sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        return ()
    return await asyncio.to_thread(_beginnings, body, field)


def _beginnings(body: bytes, field: str) -> Beginnings:
    try:
        fields = orjson.loads(body)
        messages = fields.get(field)
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if not isinstance(messages, list):
            return ()
        return _hashes(messages)
    except (ValueError, AttributeError, TypeError):
        return ()


def _hashes(messages: list[object]) -> Beginnings:
    hashes: list[bytes] = []
    running = blake2b(digest_size=HASH_BYTES)
    said = False
    first = len(messages) - MAX_BEGINNINGS
    for number, message in enumerate(messages):
        running.update(orjson.dumps(message, option=orjson.OPT_SORT_KEYS))
        said = said or not (isinstance(message, dict) and message.get("role") in _SYSTEM)
        if said and number >= first:
            hashes.append(running.digest())
    hashes.reverse()
    return hashes
