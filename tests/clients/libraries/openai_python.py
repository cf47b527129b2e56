"""OpenAI's client for Python."""

from __future__ import annotations

import openai
from pydantic import BaseModel
from report import ANSWER, CITY, KEY, MODEL, QUESTION, URL, capability

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


class City(BaseModel):
    """A structured answer."""

    city: str


def main() -> None:
    """Try chats and responses."""
    messages = [{"role": "user", "content": QUESTION}]
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
    with capability("chat"):
        done = client.chat.completions.create(model=MODEL, messages=messages)
        assert done.choices[0].message.content.strip() == ANSWER
    with capability("stream"):
        chunks = list(client.chat.completions.create(model=MODEL, messages=messages, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert text.strip() == ANSWER
    with capability("tools"):
        done = client.chat.completions.create(model=MODEL, messages=messages, tools=[tool])
        (call,) = done.choices[0].message.tool_calls
        assert CITY in call.function.arguments
        result = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
        history = [*messages, done.choices[0].message, result]
        done = client.chat.completions.create(model=MODEL, messages=history, tools=[tool])
        assert done.choices[0].message.content.strip() == ANSWER
    with capability("structured"):
        parsed = client.chat.completions.parse(model=MODEL, messages=messages, response_format=City)
        assert isinstance(parsed.choices[0].message.parsed, City)
    with capability("responses"):
        flat = {"type": "function", "name": "get_weather", "parameters": PARAMETERS}
        response = client.responses.create(model=MODEL, input=QUESTION, tools=[flat])
        (item,) = response.output
        assert CITY in item.arguments
        output = {"type": "function_call_output", "call_id": item.call_id, "output": "21"}
        history = [*messages, *response.output, output]
        with client.responses.stream(model=MODEL, input=history, tools=[flat]) as stream:
            assert stream.get_final_response().output_text.strip() == ANSWER
        parsed = client.responses.parse(model=MODEL, input=QUESTION, text_format=City)
        assert isinstance(parsed.output_parsed, City)
    with capability("errors"):
        try:
            openai.OpenAI(base_url=f"{URL}/v1", api_key="wrong").models.list()
        except openai.AuthenticationError:
            pass
        else:
            raise AssertionError("a wrong key was accepted")


main()
