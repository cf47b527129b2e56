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
