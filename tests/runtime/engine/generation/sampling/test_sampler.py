"""Penalties are those of llama.cpp, whatever was said before."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.generation.generation import Sampling
from runtime.engine.generation.sampling.sampler import WINDOW, Penalties

PENALTIES = st.sampled_from([(1.1, 0.0, 0.0), (1.0, 0.5, 0.0), (1.0, 0.0, 0.7), (1.3, -0.4, 0.2)])


@given(PENALTIES, st.lists(st.integers(0, 9), max_size=3 * WINDOW))
def test_the_last_tokens_are_penalized_by_how_often_they_occur(
    values: tuple[float, float, float], said: list[int]
) -> None:
    """llama.cpp's formula, over the window; all other logits stay."""
    repeat, frequency, presence = map(np.single, values)
    penalties = Penalties(
        Sampling(repeat_penalty=values[0], frequency_penalty=values[1], presence_penalty=values[2])
    )
    for token in said:
        penalties.accept(token)
    logits = np.linspace(-3, 3, 12, dtype=np.single)
    wanted = logits.copy()
    for token, count in Counter(said[-WINDOW:]).items():
        one = wanted[token]
        wanted[token] = one * repeat if one <= 0 else one / repeat
        wanted[token] -= np.single(count) * frequency + presence
    penalties.apply(logits)
    np.testing.assert_array_equal(logits, wanted)


def test_without_penalties_nothing_is_remembered() -> None:
    """The usual case costs nothing."""
    penalties = Penalties(Sampling(repeat_penalty=1.0))
    penalties.accept(3)
    logits = np.ones(5, dtype=np.single)
    penalties.apply(logits)
    assert logits.tolist() == [1.0] * 5
