"""A conversation with tools, by OpenAI's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.support.engine import API_KEY, Engine
from tests.support.tool_schemas import TOOLS, check_call


@pytest.fixture(params=["hermes", "plain"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[openai.AsyncOpenAI]:
    server: Engine = request.getfixturevalue(request.param)
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, max_retries=0) as client:
        yield client


async def test_calls_and_their_results_go_round(client: openai.AsyncOpenAI) -> None:
    """The message with the calls and the results are sent back as they are; the model answers."""
    messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    tools: Any = TOOLS
    called = await client.chat.completions.create(
        model="model",
        messages=messages,
        tools=tools,
        tool_choice="required",
        temperature=1,
        max_tokens=400,
    )
    calls = called.choices[0].message.tool_calls or []
    for call in calls:
        assert call.type == "function"
        check_call(call.function.name, call.function.arguments)
    messages.append(called.choices[0].message)
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in calls]

    answered = await client.chat.completions.create(
        model="model", messages=messages, tools=tools, max_tokens=8
    )

    assert calls
    assert answered.choices[0].message.content
    assert answered.usage is not None
    assert called.usage is not None
    assert answered.usage.prompt_tokens > called.usage.prompt_tokens + 20


async def test_a_stream_of_calls_is_put_together(client: openai.AsyncOpenAI) -> None:
    """By the client's helper, into the same calls."""
    tools: Any = TOOLS
    async with client.chat.completions.stream(
        model="model",
        messages=[{"role": "user", "content": "Hello"}],
        tools=tools,
        tool_choice="required",
        max_tokens=400,
    ) as stream:
        kinds = {event.type async for event in stream}
        completion = await stream.get_final_completion()

    calls = completion.choices[0].message.tool_calls or []
    for call in calls:
        check_call(call.function.name, call.function.arguments)
    assert calls
    assert "tool_calls.function.arguments.done" in kinds
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_each_of_several_answers_has_calls_of_its_own(client: openai.AsyncOpenAI) -> None:
    """n with tools: every answer is held to the schemas by itself."""
    tools: Any = TOOLS
    answers = await client.chat.completions.create(
        model="model",
        messages=[{"role": "user", "content": "Hello"}],
        tools=tools,
        tool_choice="required",
        n=4,
        seed=1,
        temperature=1,
        max_tokens=400,
    )

    ids = []
    for choice in answers.choices:
        for call in choice.message.tool_calls or []:
            assert call.type == "function"
            check_call(call.function.name, call.function.arguments)
            ids.append(call.id)
    assert len(ids) >= 4
    assert len(set(ids)) == len(ids)
