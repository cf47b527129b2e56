"""Determines how much of a prompt's prefix users share: LLAMA_SERVER_SHARED_PREFIX.

A user who guesses the beginning of another user's prompt could learn from a quick response that the
guess is right. So only what the operator declares is shared: nothing of theirs, the system messages at
the beginning of a chat, or everything. What the model's template puts before the first message, often a
system message of its own, is the same for everybody and is always shared.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, Literal

import numpy as np
import orjson

from runtime.engine.api.schemas import ChatRequest, Message
from runtime.engine.errors import Refusal
from runtime.engine.generation.decisions import SHORT_REUSE
from runtime.engine.generation.slots import common_prefix

Mode = Literal["none", "system", "all"]
Tokenize = Callable[[ChatRequest, list[dict[str, Any]]], Sequence[int]]

MAX_KNOWN = 64
"""System messages whose tokens are remembered."""
_SYSTEM = ("system", "developer")
_BARE = ChatRequest.model_validate({"messages": [{"role": "user", "content": ""}]})


class SharedPrefix:
    """Tells for each prompt how many of its first tokens are shared. Thread-safe.

    Args:
        mode: what is shared.
        tokenize: a chat's tokens.
    """

    def __init__(self, mode: Mode, tokenize: Tokenize) -> None:
        self._mode = mode
        self._tokenize = tokenize
        # Replaces the user's text. Nobody can guess it, so no user's text begins in the same way.
        self._probe = Message(role="user", content=secrets.token_hex(16))
        self._known: OrderedDict[bytes, Sequence[int]] = OrderedDict()

    def of_completion(self, tokens: Sequence[int]) -> int:
        """Return the shared length of a completion's prompt, which has no system messages."""
        return len(tokens) if self._mode == "all" else 0

    def of_chat(self, request: ChatRequest, tools: list[dict[str, Any]], tokens: Sequence[int]) -> int:
        """Return the shared length of a chat's prompt with these tokens."""
        if self._mode == "all":
            return len(tokens)
        if self._mode == "none":
            n_common = _common(tokens, self._probed(_BARE, [], []))
            return n_common if n_common >= SHORT_REUSE else 0
        system = list(takewhile(lambda message: message.role in _SYSTEM, request.messages))
        return _common(tokens, self._probed(request, system, tools))

    def _probed(
        self, request: ChatRequest, system: list[Message], tools: list[dict[str, Any]]
    ) -> Sequence[int]:
        """The tokens of a chat of these system messages and another user's text."""
        # A hash: tools that the template leaves out may be as long as a body.
        said = [message.model_dump() for message in system]
        text = orjson.dumps([said, tools, request.chat_template_kwargs])
        key = hashlib.blake2b(text, digest_size=32).digest()
        found = self._known.get(key)
        if found is None:
            try:
                chat = request.model_copy(
                    update={"messages": [*system, self._probe], "continue_final_message": False}
                )
                found = self._tokenize(chat, tools)
            except Refusal:
                found = ()
            self._known[key] = found
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return found


def _common(tokens: Sequence[int], others: Sequence[int]) -> int:
    """How many tokens two prompts share at their beginning."""
    return common_prefix(np.asarray(tokens, dtype=np.int32), np.asarray(others, dtype=np.int32))
