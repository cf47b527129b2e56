"""Chats as OpenAI's clients send them today, and the prompt that the model's template makes of them."""

from __future__ import annotations

import re
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from runtime.engine.templates.messages import EMPTY
from tests.support.client import HELLO
from tests.support.engine import API_KEY, Engine

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


async def prompt_tokens(engine: Engine, messages: list[dict[str, Any]]) -> int:
    answer = await engine.chat(messages=messages, max_tokens=1)
    return answer.usage["prompt_tokens"]


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ([{"role": "developer", "content": "Be kind"}], [{"role": "system", "content": "Be kind"}]),
        ([user([part("Hello")])], [user("Hello")]),
        ([user([part("Hello"), part("you")])], [user("Hello\nyou")]),
        (
            [{"role": "system", "content": [part("Be kind")]}, user("Hello")],
            [{"role": "system", "content": "Be kind"}, user("Hello")],
        ),
        (
            [{"role": "assistant", "content": [part("Yes")]}, user("Hello")],
            [{"role": "assistant", "content": "Yes"}, user("Hello")],
        ),
        (
            [{"role": "assistant", "content": None, "tool_calls": [CALL]}, user("Hello")],
            [{"role": "assistant", "content": "", "tool_calls": [CALL]}, user("Hello")],
        ),
        (
            [{"role": "assistant", "tool_calls": [CALL]}, user("Hello")],
            [{"role": "assistant", "content": "", "tool_calls": [CALL]}, user("Hello")],
        ),
        (
            [{"role": "tool", "tool_call_id": "call_1", "content": [part("4")]}],
            [{"role": "function", "content": "4"}],
        ),
        (
            [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}],
            [{"role": "assistant", "content": "No"}],
        ),
        *(
            (
                [
                    {"role": "assistant", "content": "Yes", "tool_calls": empty, "name": empty},
                    user(empty),
                ],
                [{"role": "assistant", "content": "Yes"}, user("")],
            )
            for empty in EMPTY
        ),
    ],
    ids=[
        *("developer", "part", "parts", "system", "assistant", "null", "absent", "tool", "refusal"),
        *("null fields", "empty texts", "empty lists", "empty objects"),
    ],
)
async def test_newer_forms_give_the_prompt_of_the_plain_one(
    quick: Engine, sent: list[dict[str, Any]], plain: list[dict[str, Any]]
) -> None:
    """The stock server answers each with a 500."""
    assert await prompt_tokens(quick, sent) == await prompt_tokens(quick, plain)


async def test_the_real_client_s_own_types_are_understood(quick: Engine) -> None:
    """A conversation with a tool's call and its result, as the openai client's types have it."""
    messages: list[ChatCompletionMessageParam] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Add"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "4"},
    ]
    async with openai.AsyncOpenAI(base_url=quick.url + "/v1", api_key=API_KEY) as client:
        answer = await client.chat.completions.create(
            model="quick.gguf", messages=messages, max_completion_tokens=4, store=True, user="alice"
        )
        stream = await client.chat.completions.create(
            model="quick",
            messages=messages,
            max_completion_tokens=4,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        with pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(model="quick", messages=messages, n=17)
        with pytest.raises(openai.NotFoundError) as missing:
            await client.chat.completions.create(model="gpt-4o", messages=messages)

    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == answer.usage.prompt_tokens
    assert raised.value.param == "n"
    assert missing.value.code == "model_not_found"


async def test_structured_output_of_the_real_client(quick: Engine) -> None:
    """`parse` with a pydantic model: its schema goes out, the answer comes back as an object."""
    import pydantic  # noqa: PLC0415 - of this test alone

    class Flags(pydantic.BaseModel):
        first: bool
        second: bool

    async with openai.AsyncOpenAI(base_url=quick.url + "/v1", api_key=API_KEY) as client:
        answer = await client.chat.completions.parse(
            model="quick",
            messages=[{"role": "user", "content": "Flags, please"}],
            response_format=Flags,
            max_completion_tokens=60,
        )

    assert isinstance(answer.choices[0].message.parsed, Flags)


async def test_the_answer_of_one_prompt_does_not_depend_on_the_one_before(quick: Engine) -> None:
    """What is reused of earlier prompts is what is the same in them."""
    first = await quick.chat(messages=HELLO, temperature=0, max_tokens=12)
    for text in ("Hello you", "Hello", "H", "Good evening"):
        await quick.chat(messages=[user(text)], max_tokens=12)
    again = await quick.chat(messages=HELLO, temperature=0, max_tokens=12)

    assert again.content == first.content


async def test_responses_tell_which_system_made_them(quick: Engine) -> None:
    """`system_fingerprint` is the same in whole responses, in every chunk, and in completions."""
    whole = (await quick.chat()).json["system_fingerprint"]
    streamed = await quick.stream()
    completed = (await quick.complete()).json["system_fingerprint"]

    assert re.fullmatch("fp_[0-9a-f]{10}", whole)
    assert {chunk["system_fingerprint"] for chunk in streamed.chunks} == {whole}
    assert completed == whole
