"""Prompt lookup: responses are the same with it, and what repeats a text takes fewer steps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.generation.context import Tokens
from runtime.engine.generation.sampling.lookup import MAX_DRAFT, NGRAM, Lookup
from tests.support.engine import Engine

WORDS = "bako dulo kiro tamu seno lako miru dolo neku bimu " * 3


def tokens(*values: int) -> Tokens:
    return np.array(values, dtype=np.int32)


def test_it_goes_on_as_it_went_on_the_last_time() -> None:
    """After the last tokens' latest occurrence before, not an earlier one."""
    known = tokens(1, 2, 3, 7, 8, 1, 2, 3, 9, 5, 1, 2, 3)

    assert Lookup().draft(known, 8).tolist() == [9, 5, 1, 2]
    assert Lookup().draft(known, 1).tolist() == [9]
    assert Lookup().draft(known[:-1], 8).tolist() == []


@given(known=st.lists(st.integers(0, 3), max_size=60), at_most=st.integers(-1, 40))
def test_guesses_stand_after_the_same_tokens(known: list[int], at_most: int) -> None:
    """For any tokens; never more than wanted."""
    found = Lookup().draft(tokens(*known), at_most).tolist()

    assert len(found) <= min(max(at_most, 0), MAX_DRAFT)
    if found:
        wanted = known[-NGRAM:] + found
        assert any(known[at : at + len(wanted)] == wanted for at in range(len(known)))


def test_it_pauses_where_guesses_are_wrong() -> None:
    """And tries again after a while."""
    lookup, known = Lookup(), tokens(*[1, 2, 3, 4] * 20)
    while len(lookup.draft(known, 4)):
        lookup.observe(len(known), proposed=4, accepted=0)

    assert len(lookup.draft(tokens(*[1, 2, 3, 4] * 40), 4)) == 4


def test_it_guesses_more_where_guesses_are_right() -> None:
    """Up to a dozen."""
    lookup, known = Lookup(), tokens(*[1, 2, 3, 4] * 20)
    lengths = []
    for _ in range(4):
        # What has followed before ends where the known tokens end.
        lengths.append(len(lookup.draft(tokens(*range(5, 40), *range(5, 8)), 40)))
        lookup.observe(len(known), proposed=4, accepted=4)

    assert lengths == [4, 8, MAX_DRAFT, MAX_DRAFT]


@pytest.fixture(scope="module")
def engines(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    """One engine with prompt lookup and one without."""
    made = [
        Engine(tmp_path_factory.mktemp("e"), models / "slow.gguf",
               env={"LLAMA_SERVER_PROMPT_LOOKUP": switch, "LLAMA_SERVER_PARALLEL": "4"})
        for switch in "10"
    ]  # fmt: skip
    with made[0] as first, made[1] as second:
        yield [first.start(), second.start()]


async def test_what_repeats_the_prompt_takes_fewer_steps(engines: list[Engine]) -> None:
    """The response is the same; metrics tell how often it helped."""
    body = {"grammar": f'root ::= "{WORDS.strip()}"', "max_tokens": 400, "seed": 1}
    taken, texts = [], []
    for engine in engines:
        before = await engine.metric("llama_steps_total")
        answer = await engine.chat(messages=[{"role": "user", "content": WORDS}], **body)
        taken.append(await engine.metric("llama_steps_total") - before)
        texts.append(answer.content)

    assert texts == [WORDS.strip()] * 2
    assert taken[0] < 0.7 * taken[1]
    proposed = await engines[0].metric("llama_lookup_drafted_tokens_total")
    accepted = await engines[0].metric("llama_lookup_accepted_tokens_total")
    assert 0.5 * proposed <= accepted <= proposed
    assert await engines[1].metric("llama_lookup_drafted_tokens_total") == 0


@pytest.mark.parametrize(
    "more",
    [{"temperature": 0, "repeat_penalty": 1}, {"temperature": 0.4, "repeat_penalty": 1, "seed": 5}],
)
async def test_responses_are_the_same_with_lookup_and_without(
    engines: list[Engine], more: dict[str, float]
) -> None:
    """Greedy ones and sampled ones, stop sequences and logprobs included, in company."""
    prompts = [f"{WORDS} {number}" for number in range(4)]
    logit_bias = {str(token): 8 for token in range(360, 366)}  # so that they repeat themselves

    async def ask(engine: Engine, prompt: str) -> tuple[str, object]:
        answer = await engine.complete(
            prompt, max_tokens=120, logprobs=2, stop=["zz"], logit_bias=logit_bias, **more
        )
        logprobs = answer.choice["logprobs"]
        return answer.choice["text"], [logprobs["tokens"], answer.choice["finish_reason"]]

    found = [await asyncio.gather(*(ask(engine, prompt) for prompt in prompts)) for engine in engines]

    assert found[0] == found[1]
    assert await engines[0].metric("llama_lookup_drafted_tokens_total") > 0
