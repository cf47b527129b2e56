"""The text of answers: bytes that are no UTF-8, stop sequences, long pieces, probabilities, bias."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.text import TextAssembler
from tests.runtime.engine.conftest import LONG_PIECE
from tests.support.client import CHAT, COMPLETIONS, HELLO
from tests.support.engine import Engine
from tests.support.gguf import token_ids

IDS = token_ids([LONG_PIECE])
ASKS_USAGE = {"X-Llamaserve-Usage": "1"}
SPLIT = st.lists(st.integers(0, 60), max_size=10)


def cut(content: bytes, places: list[int]) -> list[bytes]:
    """The bytes in pieces, cut at some places."""
    borders = [0, *sorted(place for place in places if place <= len(content)), len(content)]
    return [content[a:b] for a, b in pairwise(borders)]


@given(content=st.binary(max_size=60), places=SPLIT)
def test_any_bytes_in_any_pieces_give_the_same_text(content: bytes, places: list[int]) -> None:
    """What cannot be read comes out as U+FFFD, as if decoded at once."""
    assembler = TextAssembler([])
    text = "".join(assembler.feed(piece) for piece in cut(content, places)) + assembler.finish()

    assert text == content.decode("utf-8", "replace")


@given(
    text=st.text("abä", max_size=30),
    stops=st.lists(st.text("abä", max_size=4), max_size=3),
    places=SPLIT,
)
def test_a_stop_sequence_ends_the_text_wherever_it_is_cut(
    text: str, stops: list[str], places: list[int]
) -> None:
    """Against a search in the whole; nothing after it, nothing of it."""
    assembler = TextAssembler(stops)
    given_out = ""
    for piece in cut(text.encode(), places):
        given_out += assembler.feed(piece)
        if assembler.stopped_by:
            break
    given_out += assembler.finish()

    found = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    earliest_end = min((text.find(s) + len(s) for s in stops if s and s in text), default=None)
    assert bool(assembler.stopped_by) == bool(found)
    if earliest_end is None:
        assert given_out == text
    else:
        assert text.startswith(given_out)
        assert len(given_out) < earliest_end
        assert not any(stop and stop in given_out for stop in stops)


def test_a_broken_character_is_given_as_soon_as_it_is_certain() -> None:
    """With the byte that cannot go on, not at the end of the answer."""
    assembler = TextAssembler([])

    assert [assembler.feed(byte) for byte in (b"\xe4", b"\xe4", b"a", b"\xff")] == [
        "", "\N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER}a", "\N{REPLACEMENT CHARACTER}",
    ]  # fmt: skip


@pytest.mark.parametrize("byte", ["<0xE4>", "<0xFF>", "<0x80>"])
async def test_a_stream_of_undecodable_bytes_does_not_fall_silent(quick: Engine, byte: str) -> None:
    """The stock server says nothing until the end, and runs past max_tokens."""
    answer = await quick.stream(max_tokens=40, logit_bias={str(IDS[byte]): 100})
    whole = await quick.chat(max_tokens=40, logit_bias={str(IDS[byte]): 100})

    texts = [chunk["choices"][0]["delta"].get("content") for chunk in answer.chunks]
    # Prompt lookup guesses some of them, and what a step brings comes together.
    assert len([text for text in texts if text]) >= 10
    assert answer.streamed == whole.content == "\N{REPLACEMENT CHARACTER}" * 40
    assert whole.usage["completion_tokens"] == 40


async def test_a_piece_of_any_length_is_given(quick: Engine) -> None:
    """The stock server loses those over 32 bytes."""
    answer = await quick.chat(max_tokens=2, logit_bias={str(IDS[LONG_PIECE]): 100})
    detokenized = await quick.post("/extras/detokenize", {"tokens": [IDS[LONG_PIECE]]})

    assert answer.content == LONG_PIECE * 2
    assert detokenized.json == {"text": LONG_PIECE}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_sequence_across_tokens_ends_the_answer(quick: Engine, stream: bool) -> None:
    """It does not appear, nor does anything after it."""
    body = {"grammar": 'root ::= "one two three"', "stop": ["o th"], "max_tokens": 40}
    if stream:
        answer = await quick.stream(**body)
        text, reason = answer.streamed, answer.finish_reasons
    else:
        whole = await quick.chat(**body)
        text, reason = whole.content, [whole.choice["finish_reason"]]

    assert text == "one tw"
    assert reason == ["stop"]


async def test_a_stream_has_the_same_text_and_usage_as_the_whole(quick: Engine) -> None:
    """For the same seed; the usage in a chunk of its own where it was asked for."""
    body = {"max_tokens": 20, "seed": 7}
    whole = await quick.chat(**body)
    streamed = await quick.stream(**body, stream_options={"include_usage": True})
    plain = await quick.stream(**body)

    *chunks, last = streamed.chunks
    assert whole.content == plain.streamed == _of(chunks)
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    assert last["choices"] == []
    assert [last["usage"][name] for name in counts] == [whole.usage[name] for name in counts]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert not any("usage" in chunk for chunk in plain.chunks)
    assert plain.comments == []


def _of(chunks: list[dict[str, object]]) -> str:
    texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]  # type: ignore[index]
    return "".join(text or "" for text in texts)


def usage_of(comment: str) -> dict[str, int]:
    """What a comment tells."""
    usage = json.loads(comment.removeprefix(": usage "))
    assert isinstance(usage, dict)
    return usage


async def test_the_proxy_is_told_the_usage_of_a_stream_in_comments(quick: Engine) -> None:
    """Once the prompt has been read, and before [DONE]; the client sees no extra chunk."""
    whole = await quick.chat(seed=3)
    answer = await quick.stream(seed=3, headers=ASKS_USAGE)

    early, final = answer.comments
    prompt_tokens, tokens = whole.usage["prompt_tokens"], whole.usage["completion_tokens"]
    cached = prompt_tokens - 1  # all of it, but the one that gives the logits
    assert answer.text.startswith(f"{early}\n\ndata: ")
    assert answer.text.endswith(f"{final}\n\ndata: [DONE]\n\n")
    assert usage_of(early) == {
        "prompt_tokens": prompt_tokens, "completion_tokens": 0, "cached_tokens": cached,
    }  # fmt: skip
    assert usage_of(final) == {**usage_of(early), "completion_tokens": tokens}
    assert not any("usage" in chunk for chunk in answer.chunks)


async def test_a_prompt_that_is_read_later_tells_no_early_usage(quick: Engine) -> None:
    """It would say "0 tokens generated" after others' text: the proxy would charge nothing for that.

    There are more prompts than slots, so that some are read once others have been answered.
    """
    prompts = [f"{number} of many" for number in range(12)]
    body = {"prompt": prompts, "max_tokens": 8, "stream": True}
    answer = await quick.post(COMPLETIONS, body, headers=ASKS_USAGE)

    early, final = answer.comments
    assert answer.text.startswith(f"{early}\n\ndata: ")
    assert answer.text.endswith(f"{final}\n\ndata: [DONE]\n\n")
    assert usage_of(early)["completion_tokens"] == 0
    assert usage_of(final)["completion_tokens"] > 12


async def test_the_proxy_is_told_the_usage_of_a_whole_response_in_a_header(quick: Engine) -> None:
    """Only when its own header asks; the body is the same with it."""
    asked = await quick.post(CHAT, {"messages": HELLO, "max_tokens": 3, "seed": 3}, headers=ASKS_USAGE)
    plain = await quick.chat(max_tokens=3, seed=3)

    usage = json.loads(asked.headers["X-Llamaserve-Usage"])
    assert usage["prompt_tokens"] == asked.usage["prompt_tokens"]
    assert usage["completion_tokens"] == 3
    assert usage["cached_tokens"] == asked.cached_tokens
    assert "X-Llamaserve-Usage" not in plain.headers
    assert asked.content == plain.content


async def test_bias_holds_beside_a_minimum_length(quick: Engine) -> None:
    """The stock server drops both when both are asked for."""
    answer = await quick.chat(
        max_tokens=8, min_tokens=4, logit_bias={str(IDS["!"]): 100, str(IDS["</s>"]): 90}
    )

    assert answer.content == "!" * 8


async def test_a_bias_may_name_its_tokens_by_text(quick: Engine) -> None:
    """llama_cpp.server's own way."""
    answer = await quick.chat(max_tokens=6, logit_bias={"!": 100}, logit_bias_type="tokens")

    assert set(answer.content) <= {"!", " "}
    assert "!" in answer.content


async def test_a_stream_begins_and_ends_as_openai_s(quick: Engine) -> None:
    """One id; the role first, the finish_reason in an empty delta last."""
    answer = await quick.stream(max_tokens=5)

    first, *_, last = (chunk["choices"][0] for chunk in answer.chunks)
    assert first["delta"] == {"role": "assistant"}
    assert (last["delta"], last["finish_reason"]) == ({}, "length")
    assert len({chunk["id"] for chunk in answer.chunks}) == 1
    assert {chunk["object"] for chunk in answer.chunks} == {"chat.completion.chunk"}
    assert answer.headers["Content-Type"].startswith("text/event-stream")


@pytest.mark.parametrize("stream", [False, True])
async def test_probabilities_come_with_the_tokens_they_belong_to(quick: Engine, stream: bool) -> None:
    """Of a chat: each token with the likeliest in its place, without memory for a whole context."""
    body = {"max_tokens": 6, "temperature": 0, "repeat_penalty": 1, "logprobs": True, "top_logprobs": 3}
    if stream:
        answer = await quick.stream(**body)
        usage = [chunk["choices"][0]["logprobs"] for chunk in answer.chunks]
        content = [token for logprobs in usage if logprobs for token in logprobs["content"]]
        text = answer.streamed
    else:
        whole = await quick.chat(**body)
        content, text = whole.choice["logprobs"]["content"], whole.content

    assert "".join(token["token"] for token in content) == text
    assert len(content) == 6
    for token in content:
        assert len(token["top_logprobs"]) == 3
        assert token["logprob"] == max(other["logprob"] for other in token["top_logprobs"]) < 0
        assert bytes(token["bytes"]).decode() == token["token"]


async def test_probabilities_without_alternatives(quick: Engine) -> None:
    """`logprobs` alone; the stock server wants top_logprobs with it, and a setting."""
    answer = await quick.chat(max_tokens=3, logprobs=True)

    content = answer.choice["logprobs"]["content"]
    assert [token["top_logprobs"] for token in content] == [[], [], []]
    assert all(token["logprob"] < 0 for token in content)


async def test_probabilities_of_a_completion(quick: Engine) -> None:
    """In the older form: the chosen token is the likeliest of twenty at temperature 0."""
    answer = await quick.complete(max_tokens=1, logprobs=20, temperature=0, repeat_penalty=1)

    logprobs = answer.choice["logprobs"]
    assert logprobs["tokens"] == [answer.choice["text"]]
    assert logprobs["text_offset"] == [0]
    assert len(logprobs["top_logprobs"][0]) == 20
    assert sum(math.exp(value) for value in logprobs["top_logprobs"][0].values()) < 1
    assert logprobs["token_logprobs"][0] == max(logprobs["top_logprobs"][0].values())


async def test_a_completion_can_repeat_its_prompt(quick: Engine) -> None:
    """`echo`, for a text and for tokens."""
    tokens = (await quick.post("/extras/tokenize", {"input": "Hello"})).json["tokens"]

    text = await quick.complete("Hello", echo=True, seed=1)
    by_tokens = await quick.complete(tokens, echo=True, seed=1)

    assert text.choice["text"].startswith("Hello")
    assert by_tokens.choice["text"].strip() == text.choice["text"]
