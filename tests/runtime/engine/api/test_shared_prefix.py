"""How much of prompts is shared, and what is remembered for that."""

from __future__ import annotations

import tracemalloc

from runtime.engine.api.schemas import ChatRequest
from runtime.engine.api.shared_prefix import MAX_KNOWN, SharedPrefix


def test_what_is_remembered_of_long_tools_is_short() -> None:
    """A model's template may leave tools out: then their text, as long as a body, is in no prompt."""
    shared = SharedPrefix("system", lambda request, tools: [1, 2, 3])
    request = ChatRequest.model_validate({"messages": [{"role": "user", "content": "x"}]})
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(MAX_KNOWN):
            tools = [{"type": "function", "function": {"name": "f", "description": f"{number:100000}"}}]
            assert shared.of_chat(request, tools, [1, 2, 9]) == 2
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000


def test_a_templates_own_beginning_is_shared() -> None:
    """By the default, too: it is the same for everybody. Nothing that a user wrote is."""

    def tokenize(request: ChatRequest, tools: object) -> list[int]:
        text = "a system message by the template:" + str(request.messages[0].content)
        return list(text.encode())

    shared = SharedPrefix("none", tokenize)
    request = ChatRequest.model_validate({"messages": [{"role": "user", "content": "secret"}]})
    n_own = len("a system message by the template:")

    assert shared.of_chat(request, [], tokenize(request, None)) == n_own
    assert shared.of_chat(request, [], list(b"a system message by the user, about x")) == 24
    assert shared.of_chat(request, [], list(b"a system, but short")) == 0, "not worth it"
