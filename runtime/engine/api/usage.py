"""What a request has used, over all of its responses. A prompt counts once, however many follow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from runtime.engine.generation.generation import Generation


class Counted(Protocol):
    """What the tokens of a response are counted on: a generation, or a job of embeddings."""

    @property
    def prompt(self) -> object: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def is_ended(self) -> bool: ...


def openai_usage(generations: Sequence[Generation]) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/chat/object, its field `usage`."""
    prompts = _by_prompt(generations)
    n_prompt = sum(len(group[0].prompt.tokens) for group in prompts)
    n_completion = sum(generation.completion_tokens for generation in generations)
    usage = {
        "prompt_tokens": n_prompt,
        "completion_tokens": n_completion,
        "total_tokens": n_prompt + n_completion,
        "prompt_tokens_details": {"cached_tokens": _cached(prompts)},
    }
    if n_reasoning := sum(generation.reasoning_tokens for generation in generations):
        usage["completion_tokens_details"] = {"reasoning_tokens": n_reasoning}
    return usage


def evaluated_usage(generations: Sequence[Counted]) -> dict[str, int]:
    """What the model has really read or reused, and generated, so far: for the proxy."""
    prompts = _by_prompt(generations)
    return {
        "prompt_tokens": sum(max(one.prompt_tokens for one in group) for group in prompts),
        "completion_tokens": sum(generation.completion_tokens for generation in generations),
        "cached_tokens": _cached(prompts),
    }


def _cached(prompts: Sequence[Sequence[Counted]]) -> int:
    return sum(min(one.cached_tokens for one in group) for group in prompts)


_One = TypeVar("_One", bound=Counted)


def _by_prompt(generations: Sequence[_One]) -> list[list[_One]]:
    groups: dict[int, list[_One]] = {}
    for generation in generations:
        groups.setdefault(id(generation.prompt), []).append(generation)
    return list(groups.values())
