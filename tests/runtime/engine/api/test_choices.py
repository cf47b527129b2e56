"""Several responses to one request: `n`, lists of prompts; and prompts with their own probabilities."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest

from tests.support.client import CHAT, HELLO
from tests.support.engine import Engine


async def test_a_chat_has_as_many_choices_as_are_asked_for(quick: Engine) -> None:
    """Each with a seed of its own; the prompt counts once, and the same request gives the same again."""
    body: dict[str, Any] = {"n": 3, "max_tokens": 6, "seed": 11, "messages": HELLO}
    answer = (await quick.post(CHAT, body)).json
    again = (await quick.post(CHAT, body)).json
    single = await quick.chat(max_tokens=6, seed=12)

    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert texts[1] == single.content
    assert [choice["message"]["content"] for choice in again["choices"]] == texts
    assert answer["usage"]["completion_tokens"] == 18
    assert answer["usage"]["prompt_tokens"] == single.usage["prompt_tokens"]


async def test_choices_of_a_stream_come_side_by_side(quick: Engine) -> None:
    """Each begins with its role and ends with its reason; the usage is that of all."""
    body: dict[str, Any] = {"n": 3, "max_tokens": 6, "seed": 11}
    whole = (await quick.post(CHAT, {**body, "messages": HELLO})).json
    answer = await quick.stream(**body, stream_options={"include_usage": True})

    choices = [choice for chunk in answer.chunks for choice in chunk["choices"]]
    for index in range(3):
        ours = [choice for choice in choices if choice["index"] == index]
        text = "".join(choice["delta"].get("content", "") for choice in ours)
        assert ours[0]["delta"] == {"role": "assistant"}
        assert ours[-1]["finish_reason"] == "length"
        assert text == whole["choices"][index]["message"]["content"]
    assert answer.chunks[-1]["usage"]["completion_tokens"] == 18
    assert answer.events[-1] == "[DONE]"


async def test_the_best_of_several_are_returned(quick: Engine) -> None:
    """Those with the highest mean log probability, best first; all that was generated counts."""
    body: dict[str, Any] = {"max_tokens": 6, "seed": 11, "temperature": 1.5, "logprobs": 0}
    every = (await quick.complete("Hello", n=5, **body)).json["choices"]
    means = {one["text"]: np.mean(one["logprobs"]["token_logprobs"]) for one in every}
    wanted = sorted(means, key=lambda text: -means[text])[:2]

    told = (await quick.complete("Hello", n=2, best_of=5, **body)).json
    del body["logprobs"]
    untold = (await quick.complete(["Hello", "Hello"], n=2, best_of=5, **body)).json

    assert [choice["text"] for choice in told["choices"]] == wanted
    assert [choice["index"] for choice in told["choices"]] == [0, 1]
    assert told["usage"]["completion_tokens"] == 30
    assert [choice["text"] for choice in untold["choices"][:2]] == wanted
    assert [choice["index"] for choice in untold["choices"]] == [0, 1, 2, 3]
    assert untold["choices"][0]["logprobs"] is None


async def test_what_best_of_cannot_do_is_refused(quick: Engine) -> None:
    """Fewer than n; and a stream, as the best are known at the end only."""
    for more in ({"n": 3, "best_of": 2}, {"n": 1, "best_of": 2, "stream": True}):
        answer = await quick.complete("Hello", max_tokens=2, **more)
        assert (answer.status, answer.error["param"]) == (400, "best_of")


async def test_each_of_several_prompts_is_answered(quick: Engine) -> None:
    """Texts and tokens; `n` for each, in their order."""
    prompts: list[Any] = [
        "one",
        "two",
        (await quick.post("/extras/tokenize", {"input": "two"})).json["tokens"],
    ]
    answer = (await quick.complete(prompts, n=2, max_tokens=4, seed=3, echo=True)).json
    single = await quick.complete("two", max_tokens=4, seed=4)

    texts = [choice["text"] for choice in answer["choices"]]
    assert [choice["index"] for choice in answer["choices"]] == list(range(6))
    assert [text.strip()[:3] for text in texts] == ["one"] * 2 + ["two"] * 4
    assert texts[3].removeprefix("two") == single.choice["text"]
    assert answer["usage"]["completion_tokens"] == 24


async def test_one_bad_prompt_of_several_refuses_the_request(quick: Engine) -> None:
    """Before anything is generated."""
    answer = await quick.complete(["fine", [10**6]])

    assert (answer.status, answer.error["param"]) == (400, "prompt")


@pytest.mark.parametrize("max_tokens", [0, 1])
async def test_a_prompt_s_own_probabilities_are_llama_cpp_s(
    quick: Engine, models: Path, max_tokens: int
) -> None:
    """`echo` with `logprobs`, the shape that lm-evaluation-harness sends: null for the first token."""
    tokens = [1, *range(300, 420)]
    answer = await quick.complete(
        [tokens, tokens[:50]], echo=True, logprobs=2, max_tokens=max_tokens, temperature=0
    )
    with closing(
        llama_cpp.Llama(str(models / "quick.gguf"), n_ctx=512, logits_all=True, verbose=False)
    ) as llama:
        llama.eval(tokens)
        logits = llama.scores[: len(tokens)].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    for choice, given in zip(answer.json["choices"], (tokens, tokens[:50]), strict=True):
        logprobs = choice["logprobs"]
        assert len(logprobs["tokens"]) == len(given) + max_tokens
        assert (logprobs["token_logprobs"][0], logprobs["top_logprobs"][0]) == (None, None)
        assert logprobs["text_offset"][0] == 0
        of_given = [expected[at, token] for at, token in enumerate(given[1:])]
        assert logprobs["token_logprobs"][1 : len(given)] == pytest.approx(of_given, abs=1e-3)
        assert all(len(top) == 2 for top in logprobs["top_logprobs"][1:])
    assert answer.json["usage"]["completion_tokens"] == 2 * max_tokens


async def test_a_request_reports_only_as_many_probabilities_as_memory_should_hold(quick: Engine) -> None:
    """128 responses of a whole context with 20 alternatives each would take gigabytes."""
    body: dict[str, Any] = {"max_tokens": 460, "logprobs": 20}
    refused = await quick.complete(["a"] * 128, **body)
    fewer = await quick.complete(["a"] * 8, **{**body, "max_tokens": 4})

    assert (refused.status, refused.error["param"]) == (400, "logprobs")
    assert "fewer responses" in refused.error["message"]
    assert fewer.status == 200
