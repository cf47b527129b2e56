"""Saved prompts: users who take turns do not have theirs evaluated anew, within a bound in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime.engine.generation.prefix_cache import Saved, first_to_drop
from tests.support.engine import Engine


def saved(tag: str, n_bytes: int) -> Saved:
    return Saved(np.zeros(0, np.int32), tag, 0, np.zeros(n_bytes, np.uint8), n_bytes)


def test_one_user_s_many_prompts_drop_that_user_s_states() -> None:
    """Above an equal share of the capacity; below it the least recently used goes, whoever's it is."""
    states = [saved("b", 100), saved("a", 300), saved("c", 100), saved("a", 400)]

    assert first_to_drop(states, "a", 200, 1000) is states[1]
    assert first_to_drop(states, "b", 100, 1000) is states[0]
    assert first_to_drop(states, "d", 100, 1000) is states[0]
    assert first_to_drop(states, "d", 900, 1000) is states[0]
    assert first_to_drop([], "a", 200, 1000) is None


LONG = {name: f"{name} " * 900 for name in "abcd"}
"""Texts of some 1,800 tokens, which share nothing beyond the template's beginning."""


def engine_of(models: Path, root: Path, n_bytes: int) -> Engine:
    env = {"LLAMA_SERVER_CACHE_BYTES": str(n_bytes), "LLAMA_SERVER_PARALLEL": "1"}
    return Engine(root, models / "quick.gguf", env=env)


@pytest.fixture
def roomy(models: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine with one slot that can save several conversations."""
    with engine_of(models, tmp_path, 2**26) as engine:
        yield engine.start()


async def say(engine: Engine, who: str, *turns: str) -> tuple[str, float]:
    """One more turn of a conversation: what is answered, and how many tokens had to be evaluated."""
    before = await _evaluated(engine)
    messages = [{"role": "user", "content": LONG[who]}]
    for number, text in enumerate(turns):
        messages.append({"role": "user" if number % 2 else "assistant", "content": text})
    answer = await engine.chat(messages=messages, temperature=0, max_tokens=8)
    return answer.content, await _evaluated(engine) - before


async def _evaluated(engine: Engine) -> float:
    total = await engine.metric("llama_prompt_tokens_total")
    return total - await engine.metric("llama_prompt_tokens_cached_total")


async def test_conversations_that_alternate_keep_their_prompts(roomy: Engine) -> None:
    """On the second turn and later only what is new is evaluated; the answers are those of always."""
    said = {who: [await say(roomy, who)] for who in "ab"}
    one_state = await roomy.metric("llama_prefix_cache_bytes")
    for _ in range(3):
        for who in "ab":
            text, evaluated = said[who][-1]
            assert evaluated > 0
            turns = [turn for answer, _ in said[who] for turn in (answer, "go on")]
            said[who].append(await say(roomy, who, *turns))

    for who in "ab":
        (_, first), *later = said[who]
        assert first > 1700
        assert all(evaluated < 100 for _, evaluated in later)
    assert one_state > 0
    # One for each conversation, not one for each turn.
    assert await roomy.metric("llama_prefix_cache_bytes") < 3 * one_state
    alone = [text for text, _ in said["a"]]
    for number in range(len(alone)):
        turns = [turn for answer in alone[:number] for turn in (answer, "go on")]
        text, _ = await say(roomy, "a", *turns)
        assert text == alone[number]


async def test_the_bound_is_honoured(models: Path, tmp_path: Path) -> None:
    """The conversation used longest ago makes room; what is held is told, and never more."""
    state_bytes = 2_000_000
    with engine_of(models, tmp_path, state_bytes) as engine:
        engine.start()
        for who in "abcdabcdabcabca":
            await say(engine, who)
            assert await engine.metric("llama_prefix_cache_bytes") <= state_bytes
        held = await engine.metric("llama_prefix_cache_bytes")
        _, recent = await say(engine, "c")

    assert held > state_bytes / 4
    assert recent < 100


async def test_nothing_is_saved_with_a_bound_of_0(models: Path, tmp_path: Path) -> None:
    """The context's own prefix is all there is."""
    with engine_of(models, tmp_path, 0) as engine:
        engine.start()
        for who in "ab":
            await say(engine, who)
        _, again = await say(engine, "b")
        _, anew = await say(engine, "a")
        held = await engine.metric("llama_prefix_cache_bytes")

    assert held == 0
    assert again < 100
    assert anew > 1700
