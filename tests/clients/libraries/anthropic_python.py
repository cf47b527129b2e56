"""Anthropic's client for Python."""

from __future__ import annotations

import anthropic
from report import ANSWER, CITY, KEY, MODEL, QUESTION, URL, capability

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
TOOL = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def main() -> None:
    """Try messages."""
    messages = [{"role": "user", "content": QUESTION}]
    asked = {"model": MODEL, "max_tokens": 300}
    with capability("chat"):
        message = client.messages.create(messages=messages, **asked)
        assert message.content[0].text.strip() == ANSWER
        assert client.messages.count_tokens(model=MODEL, messages=messages).input_tokens > 0
        assert client.models.list().data[0].id == MODEL
    with capability("stream"), client.messages.stream(messages=messages, **asked) as stream:
        assert "".join(stream.text_stream).strip() == ANSWER
    with capability("tools"):
        with client.messages.stream(messages=messages, tools=[TOOL], **asked) as stream:
            message = stream.get_final_message()
        (call,) = [block for block in message.content if block.type == "tool_use"]
        assert call.input == {"city": CITY}
        assert message.stop_reason == "tool_use"
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}
        history = [
            *messages,
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [result]},
        ]
        message = client.messages.create(messages=history, tools=[TOOL], **asked)
        assert message.content[0].text.strip() == ANSWER
    with capability("errors"):
        try:
            anthropic.Anthropic(base_url=URL, api_key="wrong").models.list()
        except anthropic.AuthenticationError:
            pass
        else:
            raise AssertionError("a wrong key was accepted")


main()
