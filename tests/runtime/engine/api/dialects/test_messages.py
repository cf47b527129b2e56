"""/v1/messages and /v1/messages/count_tokens, by Anthropic's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from tests.support.engine import API_KEY, Engine

MESSAGES = "/v1/messages"
HELLO: Any = [{"role": "user", "content": "Hello"}]
TOOL: Any = {
    "name": "count",
    "input_schema": {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["n"],
        "additionalProperties": False,
    },
}
CHOICE: Any = {"type": "tool", "name": "count"}


@pytest.fixture
async def client(quick: Engine) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(auth_token=API_KEY, base_url=quick.url, max_retries=0) as client:
        yield client


async def test_a_message_is_answered(client: anthropic.AsyncAnthropic) -> None:
    """With Anthropic's names for why it ended, and the reused tokens counted apart."""
    counted = await client.messages.count_tokens(model="quick", messages=HELLO, system="Speak.")
    for _ in range(2):
        message = await client.messages.create(
            model="quick", messages=HELLO, system="Speak.", max_tokens=5
        )

    (block,) = message.content
    assert block.type == "text"
    assert block.text
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 5
    cached = message.usage.cache_read_input_tokens or 0
    assert cached > 0
    assert message.usage.input_tokens + cached == counted.input_tokens


async def test_a_stop_sequence_is_named(client: anthropic.AsyncAnthropic) -> None:
    """The one of several that ended the message."""
    asked: Any = {"model": "quick", "messages": HELLO, "max_tokens": 20}
    asked["extra_body"] = {"temperature": 0}
    whole = await client.messages.create(**asked)
    (block,) = whole.content
    assert block.type == "text"
    stop = block.text[4:7]
    cut = await client.messages.create(**asked, stop_sequences=["\n\n\n", stop])

    (block,) = cut.content
    assert (cut.stop_reason, cut.stop_sequence) == ("stop_sequence", stop)
    assert block.type == "text"
    assert stop not in block.text


async def test_a_stream_has_anthropic_s_events_in_order(client: anthropic.AsyncAnthropic) -> None:
    """The usage at both ends; a call's arguments as pieces of JSON."""
    text = [
        event
        async for event in await client.messages.create(
            model="quick", messages=HELLO, max_tokens=3, stream=True
        )
    ]
    async with client.messages.stream(
        model="quick", messages=HELLO, max_tokens=200, tools=[TOOL], tool_choice=CHOICE
    ) as stream:
        called = [event.type async for event in stream]
        message = await stream.get_final_message()

    kinds = [event.type for event in text]
    assert kinds[0] == "message_start"
    assert kinds[1] == "content_block_start"  # the client leaves out pings
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert text[0].type == "message_start"
    assert text[0].message.usage.input_tokens > 0
    assert text[-2].type == "message_delta"
    assert text[-2].usage.output_tokens == 3
    (block,) = message.content
    assert block.type == "tool_use"
    assert block.id.startswith("toolu_")
    assert set(block.input) == {"n"}
    assert message.stop_reason == "tool_use"
    assert "input_json" in called


async def test_a_reply_that_has_begun_goes_on(quick: Engine, client: anthropic.AsyncAnthropic) -> None:
    """The prompt ends within a last message of the assistant's, as that of a chat that is continued."""
    begun: Any = [*HELLO, {"role": "assistant", "content": "Yes, "}]
    sampling: Any = {"temperature": 0}
    counted = await client.messages.count_tokens(model="quick", messages=begun)
    message = await client.messages.create(
        model="quick", messages=begun, max_tokens=5, extra_body=sampling
    )
    chat = await quick.chat(messages=begun, continue_final_message=True, max_tokens=5, **sampling)

    (block,) = message.content
    assert block.type == "text"
    assert block.text == chat.content
    assert counted.input_tokens == chat.usage["prompt_tokens"]


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
async def test_every_effort_of_the_api_is_taken(client: anthropic.AsyncAnthropic, effort: str) -> None:
    """Whatever the model makes of it."""
    body: Any = {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}
    message = await client.messages.create(model="quick", messages=HELLO, max_tokens=2, extra_body=body)

    assert message.stop_reason == "max_tokens"


async def test_errors_have_anthropic_s_envelope(quick: Engine, client: anthropic.AsyncAnthropic) -> None:
    """Those before the request is read too, each with the request's id."""
    wrong_key = await quick.post(MESSAGES, {}, key="wrong-key-of-some-length")
    wrong_method = await quick.get(f"{MESSAGES}/count_tokens")
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: is required"):
        await client.post(MESSAGES, body={"messages": HELLO}, cast_to=object)
    wrong: Any = {"format": {"type": "json_schema", "schema": {"type": "string", "pattern": "[z-a]"}}}
    with pytest.raises(anthropic.BadRequestError, match=r"'output_config\.format cannot be used"):
        await client.messages.create(
            model="quick", messages=HELLO, max_tokens=1, extra_body={"output_config": wrong}
        )
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.create(model="claude-x", messages=HELLO, max_tokens=1)
    with pytest.raises(anthropic.BadRequestError, match="Prompt is too long") as too_long:
        await client.messages.count_tokens(
            model="quick", messages=[{"role": "user", "content": "word " * 2000}]
        )

    assert wrong_key.json["error"]["type"] == "authentication_error"
    assert wrong_method.json["error"]["type"] == "invalid_request_error"
    for answer in (wrong_key, wrong_method):
        assert answer.json["type"] == "error"
        assert answer.json["request_id"] == answer.headers["request-id"]
    assert too_long.value.request_id


async def test_the_proxy_is_told_the_usage_before_the_last_event(quick: Engine) -> None:
    """A client that leaves after the last event is charged all the same."""
    body = {"messages": HELLO, "max_tokens": 3, "stream": True}
    answer = await quick.post(MESSAGES, body, headers={"X-Llamaserve-Usage": "1"})

    assert len(answer.comments) == 2
    assert answer.text.index(answer.comments[-1]) < answer.text.index("event: message_stop")


async def test_the_models_are_listed_for_both_clients(client: anthropic.AsyncAnthropic) -> None:
    """Anthropic's client reads the list that OpenAI's reads."""
    (model,) = (await client.models.list()).data

    assert (model.id, model.type, model.display_name) == ("quick.gguf", "model", "quick")
    assert model.created_at.year > 2000
    assert (await client.models.retrieve("quick")).id == "quick.gguf"
