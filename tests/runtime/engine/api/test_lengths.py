"""How long an answer is: asked for, by default, by the context, by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.engine.api.tokenizing import LEAST_TOKENS
from tests.support.client import CHAT, HELLO
from tests.support.engine import Engine


@pytest.mark.parametrize(
    "asked",
    [{}, {"max_tokens": None}, {"max_tokens": 0}, {"max_tokens": -1}, {"max_completion_tokens": 0}],
    ids=["absent", "null", "0", "-1", "newer"],
)
async def test_a_length_left_open_is_the_configured_one(quick: Engine, asked: dict[str, Any]) -> None:
    """LLAMA_SERVER_MAX_TOKENS, 24 here; the stock server fills the context."""
    answer = await quick.post(CHAT, {"messages": HELLO, **asked})

    assert answer.usage["completion_tokens"] == 24
    assert answer.choice["finish_reason"] == "length"


async def test_max_completion_tokens_is_the_newer_name(quick: Engine) -> None:
    """Both may be sent if they agree."""
    answer = await quick.chat(max_completion_tokens=3, max_tokens=3)

    assert answer.usage["completion_tokens"] == 3


@pytest.mark.parametrize("asked", [511, 10**12])
async def test_a_length_beyond_the_context_is_held_to_it(quick: Engine, asked: int) -> None:
    """10¹² tokens are neither an error nor a hang."""
    answer = await quick.chat(max_tokens=asked)

    assert answer.usage["total_tokens"] == 512
    assert answer.choice["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_beyond_the_context_is_a_400(quick: Engine, stream: bool) -> None:
    """Before the first byte, streamed or not: the stock server ends such a stream without a word."""
    for words in ("z" * 600, "z" * 10**6):
        answer = await quick.chat(messages=[{"role": "user", "content": words}], stream=stream)
        assert answer.status == 400
        assert answer.error["code"] == "context_length_exceeded"
        assert answer.error["param"] == "messages"
        assert "512" in answer.error["message"]


@pytest.mark.parametrize("path", ["/extras/tokenize", "/extras/tokenize/count"])
async def test_a_text_far_beyond_the_context_is_not_tokenized(quick: Engine, path: str) -> None:
    """4 MB would take seconds of a core beside others' answers; a few contexts are tokenized."""
    for times, has in ((2**19, "4194304 bytes"), (2**15, f"more than {LEAST_TOKENS} tokens")):
        refused = await quick.post(path, b'{"input": "%b"}' % (b"abc def " * times))
        assert (refused.status, refused.error["param"]) == (400, "input")
        assert refused.error["code"] == "context_length_exceeded"
        assert has in refused.error["message"]
    assert (await quick.post(path, {"input": "abc def " * 1000})).status == 200


async def test_the_longest_prompt_leaves_one_token(quick: Engine) -> None:
    """One token more is refused."""
    prompt = [40] * 511

    answer = await quick.complete(prompt)

    assert answer.usage == {"prompt_tokens": 511, "completion_tokens": 1, "total_tokens": 512}
    assert (await quick.complete([*prompt, 40])).status == 400


async def test_min_tokens_keeps_the_end_away(quick: Engine) -> None:
    """A bias makes the end all but certain; it comes once it may."""
    end = {"2": 100}

    at_once = await quick.chat(logit_bias=end)
    later = await quick.chat(logit_bias=end, min_tokens=5)

    assert at_once.usage["completion_tokens"] == 0
    assert later.usage["completion_tokens"] == 5
    assert later.choice["finish_reason"] == "stop"


@pytest.fixture
def hasty(models: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine that gives each answer half a second."""
    env = {"LLAMA_SERVER_REQUEST_SECONDS": "0.5"}
    with Engine(tmp_path, models / "slow.gguf", env=env) as engine:
        yield engine.start()


async def test_an_answer_whose_time_is_up_ends_as_too_long(hasty: Engine) -> None:
    """In the answer, streamed or not; and in the prompt, of which nothing comes."""
    plain = await hasty.chat(max_tokens=4000)
    streamed = await hasty.stream(max_tokens=4000)
    in_prompt = await hasty.chat(messages=[{"role": "user", "content": "z " * 1900}])

    assert 0 < plain.usage["completion_tokens"] < 3000
    assert plain.choice["finish_reason"] == "length"
    assert streamed.finish_reasons == ["length"]
    assert streamed.events[-1] == "[DONE]"
    assert in_prompt.choice["finish_reason"] == "length"
    assert in_prompt.usage["completion_tokens"] == 0
