"""How steps treat images in prompts, without a model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from runtime.engine.generation.generation import Prompt
from runtime.engine.generation.pictures import Picture, Placed, stretch
from runtime.engine.generation.sampling.lookup import Lookup
from runtime.engine.generation.slots import Sequence, Slot
from runtime.engine.generation.steps import Part, Planner

PLACED = [Placed(4, Picture(ids=[-5, -6, -7])), Placed(7, Picture(ids=[-8, -9, -3], is_whole=True))]
TOKENS = [1, 9, 9, 9, -5, -6, -7, -8, -9, -3, 2]


def sequence(tokens: list[int], *, n_past: int, is_decoding: bool) -> Sequence:
    """A sequence with the images of `PLACED`, so many of whose tokens have been evaluated."""
    slot = Slot(0, 64)
    slot.set_tokens(tokens, n_past=n_past)
    prompt = Prompt(tokens=TOKENS, pictures=PLACED)
    limits = SimpleNamespace(max_tokens=50)
    user = SimpleNamespace(tag="", weight=1.0, is_batch=False)
    generation = SimpleNamespace(prompt=prompt, limits=limits, user=user, completion_tokens=0)
    made: Any = SimpleNamespace(
        slot=slot,
        generation=generation,
        is_decoding=is_decoding,
        leader=None,
        lookup=Lookup(),
        waited=0,
    )
    return cast("Sequence", made)


def plan(one: Sequence, *, n_batch: int = 32) -> Part:
    (part,) = Planner(n_batch, looks_up=True).plan([one])
    return part


@pytest.mark.parametrize(
    ("at", "expected"),
    [(0, (None, 4)), (4, (0, 7)), (6, (0, 7)), (7, (1, 10)), (10, (None, None)), (50, (None, None))],
)
def test_what_stands_at_a_position(at: int, expected: tuple[int | None, int | None]) -> None:
    placed, end = stretch(PLACED, at)
    assert (None if placed is None else PLACED.index(placed), end) == expected


def test_a_step_has_text_or_one_image() -> None:
    """In the order of the prompt; an image that is read in one piece in one step, whatever the batch."""
    n_past, seen = 0, []
    while n_past < len(TOKENS):
        part = plan(sequence(TOKENS, n_past=n_past, is_decoding=False), n_batch=2 if n_past else 32)
        index = None if part.placed is None else PLACED.index(part.placed)
        seen.append((index, part.n_tokens))
        n_past += part.n_tokens
    assert seen == [(None, 4), (0, 2), (0, 1), (1, 3), (None, 1)]


def test_guessed_tokens_are_none_of_an_image() -> None:
    """Prompt lookup guesses what followed the same tokens before: here, a token and then an image."""
    tokens = [1, 9, 9, 3, 4, -5, -6, 2, 9, 9, 3]
    part = plan(sequence(tokens, n_past=len(tokens) - 1, is_decoding=True))
    assert part.drafts == (4,)
