"""Which of several completions are returned."""

from __future__ import annotations

from runtime.engine.api.pieces import End
from runtime.engine.api.shapes.completion import Best
from runtime.engine.api.shapes.shape import Reply
from runtime.engine.generation.channel import TokenLogprob


def _reply(*logprobs: float) -> Reply:
    tokens = [TokenLogprob(piece=b"x", logprob=logprob, top=[]) for logprob in logprobs]
    return Reply(logprobs=tokens, end=End(0, "stop"))


def test_the_likeliest_of_each_prompt_are_chosen_and_empty_ones_last() -> None:
    """By the mean over their tokens, so that length does not count."""
    replies = {
        0: _reply(-3.0, -1.0),
        1: _reply(),
        2: _reply(-1.0, -1.0, -1.0),
        3: _reply(),
        4: _reply(-9.0),
        5: _reply(-8.0),
    }
    assert Best(n=2, of=3).chosen(replies) == [2, 0, 5, 4]
