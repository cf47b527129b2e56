"""/v1/responses, by OpenAI's own client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent

from tests.support.engine import API_KEY, Engine

RESPONSES = "/v1/responses"
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.fixture
async def client(quick: Engine) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=API_KEY, base_url=f"{quick.url}/v1", max_retries=0) as client:
        yield client


async def test_a_text_is_answered(client: openai.AsyncOpenAI) -> None:
    """Cut off by max_output_tokens, it says so; nothing is stored, and the response says that too."""
    response = await client.responses.create(
        model="quick", input="Hello", instructions="Speak.", max_output_tokens=5, metadata={"a": "b"}
    )

    assert len(response.output_text) > 0
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert response.usage.output_tokens == 5
    assert response.usage.total_tokens == response.usage.input_tokens + 5
    assert response.metadata == {"a": "b"}
    assert response.store is False  # type: ignore[attr-defined]


async def test_a_stream_has_openai_s_events_in_order(client: openai.AsyncOpenAI) -> None:
    """Numbered from 0; the last one holds the whole response, which the deltas add up to."""
    events = [
        event
        async for event in await client.responses.create(
            model="quick", input="Hello", max_output_tokens=4, stream=True, top_logprobs=1
        )
    ]

    kinds = [event.type.removeprefix("response.") for event in events]
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * len(deltas),
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = _final(events)
    assert "".join(event.delta for event in deltas) == final.output_text
    assert sum(len(event.logprobs) for event in deltas) == 4
    assert final.usage is not None
    assert final.usage.output_tokens == 4


def _final(events: list[ResponseStreamEvent]) -> Response:
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    return last.response


async def test_a_call_is_an_item_with_its_arguments(client: openai.AsyncOpenAI) -> None:
    """Whole and streamed; the output of the call is taken up in the next request."""
    tool = openai.types.responses.FunctionToolParam(
        type="function", name="count", parameters=SCHEMA, strict=True
    )
    events = [
        event
        async for event in await client.responses.create(
            model="quick",
            input="Hello",
            tools=[tool],
            tool_choice={"type": "function", "name": "count"},
            max_output_tokens=200,
            stream=True,
        )
    ]
    response = _final(events)
    (call,) = response.output

    assert response.status == "completed"
    assert call.type == "function_call"
    assert call.name == "count"
    assert set(json.loads(call.arguments)) == {"n"}
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == call.arguments
    kinds = [event.type for event in events if "delta" not in event.type]
    assert [kind.removeprefix("response.") for kind in kinds] == [
        "created",
        "in_progress",
        "output_item.added",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    following = await client.responses.create(
        model="quick",
        input=[
            {"role": "user", "content": "Hello"},
            {
                "type": "function_call",
                "call_id": call.call_id,
                "name": "count",
                "arguments": call.arguments,
            },
            {"type": "function_call_output", "call_id": call.call_id, "output": "5"},
        ],
        max_output_tokens=3,
    )
    assert following.output_text


async def test_a_format_holds_the_text_to_a_schema(client: openai.AsyncOpenAI) -> None:
    """text.format has the schema itself, not within json_schema."""
    response = await client.responses.create(
        model="quick",
        input="Hello",
        text={"format": {"type": "json_schema", "name": "count", "schema": SCHEMA, "strict": True}},
    )

    assert response.status == "completed"
    assert set(json.loads(response.output_text)) == {"n"}


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
async def test_every_effort_of_the_api_is_taken(client: openai.AsyncOpenAI, effort: str) -> None:
    """Whatever the model makes of it."""
    reasoning: Any = {"effort": effort}
    response = await client.responses.create(
        model="quick", input="Hello", max_output_tokens=2, reasoning=reasoning
    )

    assert response.status == "incomplete"


async def test_errors_name_the_fields_of_this_api(client: openai.AsyncOpenAI) -> None:
    """Those of the chat request that it becomes too: nobody sent `messages`."""
    with pytest.raises(openai.BadRequestError) as too_long:
        await client.responses.create(model="quick", input="word " * 2000)
    with pytest.raises(openai.BadRequestError) as stored:
        await client.responses.create(model="quick", input="Hello", previous_response_id="resp_1")
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="gpt-5", input="Hello")

    hard: Any = {"type": "json_schema", "name": "x", "strict": True}
    hard["schema"] = {"type": "string", "pattern": "(?=a)b"}
    tool: Any = {"type": "function", "name": "f"}
    for tools in ([], [tool]):
        with pytest.raises(openai.BadRequestError, match=r"text\.format: pattern cannot") as refused:
            await client.responses.create(model="quick", input="a", text={"format": hard}, tools=tools)
        assert refused.value.param == "text.format"

    assert (too_long.value.param, too_long.value.code) == ("input", "context_length_exceeded")
    assert stored.value.param == "previous_response_id"


async def test_the_proxy_is_told_the_usage_before_the_last_event(quick: Engine) -> None:
    """A client that leaves after the last event is charged all the same."""
    headers = {"X-Llamaserve-Usage": "1"}
    body = {"input": "Hello", "max_output_tokens": 3}
    streamed = await quick.post(RESPONSES, {**body, "stream": True}, headers=headers)
    whole = await quick.post(RESPONSES, body, headers=headers)

    early, late = [json.loads(line.removeprefix(": usage ")) for line in streamed.comments]
    assert early["completion_tokens"] == 0
    assert late["completion_tokens"] == 3
    assert streamed.text.index(streamed.comments[-1]) < streamed.text.index("event: response.incomplete")
    assert "[DONE]" not in streamed.text
    assert json.loads(whole.headers["X-Llamaserve-Usage"])["completion_tokens"] == 3
