"""Models whose state is not keys and values for each token: recurrent ones, and sliding windows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine
from tests.support.gguf_kinds import build_gemma, build_mamba

GREEDY: dict[str, Any] = {"temperature": 0, "repeat_penalty": 1.0, "min_tokens": 24, "max_tokens": 24}
TEXT = "a conversation that goes on and on " * 12


@pytest.fixture(params=[build_mamba, build_gemma], ids=["recurrent", "sliding window"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A running engine of three slots with a model of that kind."""
    build: Callable[[Path], Path] = request.param
    model = build(tmp_path / "model.gguf")
    root = tmp_path / "root"
    root.mkdir()
    with Engine(root, model, env={"LLAMA_SERVER_PARALLEL": "3"}) as engine:
        yield engine.start()


async def test_responses_are_the_same_alone_and_in_company(kind: Engine) -> None:
    """More than there are slots, so that states are saved and brought back."""
    prompts = [f"{TEXT} number {number}" for number in range(6)]
    alone = [await kind.complete(prompt, **GREEDY) for prompt in prompts]
    together = await asyncio.gather(*(kind.complete(prompt, **GREEDY) for prompt in prompts))
    again = [await kind.complete(prompt, **GREEDY) for prompt in reversed(prompts)]

    texts = [answer.choice["text"] for answer in alone]
    assert [answer.choice["text"] for answer in together] == texts
    assert [answer.choice["text"] for answer in reversed(again)] == texts
    assert len(set(texts)) > 1


async def test_a_conversation_that_goes_on_is_not_read_anew(kind: Engine) -> None:
    """What has been read and generated is reused, though it cannot be cut back in every kind."""
    tokens = (await kind.post("/extras/tokenize", {"input": TEXT})).json["tokens"]
    first = await kind.complete(tokens, **{**GREEDY, "max_tokens": 1, "min_tokens": 1})
    longer = [*tokens, *tokens[-40:]]
    second = await kind.complete(longer, **GREEDY)
    fresh = await kind.post(
        "/v1/completions", {"prompt": longer, **GREEDY}, headers={"X-Llamaserve-User": "another"}
    )

    assert first.cached_tokens == fresh.cached_tokens == 0
    assert second.cached_tokens == len(tokens)
    assert second.choice["text"] == fresh.choice["text"]
