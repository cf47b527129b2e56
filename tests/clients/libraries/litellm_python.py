"""LiteLLM as a library."""

from __future__ import annotations

import litellm
from pydantic import BaseModel
from report import ANSWER, CITY, KEY, MODEL, QUESTION, URL, capability

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class City(BaseModel):
    """A city."""

    city: str


def main() -> None:
    """Try the ways through its providers."""
    messages = [{"role": "user", "content": QUESTION}]
    openai_s = {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": KEY}
    anthropic_s = {"model": f"anthropic/{MODEL}", "api_base": URL, "api_key": KEY}
    with capability("chat"):
        done = litellm.completion(messages=messages, **openai_s)
        assert done.choices[0].message.content.strip() == ANSWER
    with capability("stream"):
        chunks = litellm.completion(messages=messages, stream=True, **openai_s)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert text.strip() == ANSWER
    with capability("tools"):
        done = litellm.completion(messages=messages, tools=[TOOL], **openai_s)
        (call,) = done.choices[0].message.tool_calls
        assert CITY in call.function.arguments
    with capability("structured"):
        done = litellm.completion(messages=messages, response_format=City, **openai_s)
        City.model_validate_json(done.choices[0].message.content)
    with capability("responses"):
        response = litellm.responses(input=QUESTION, **openai_s)
        assert response.output[0].content[0].text.strip() == ANSWER
    with capability("messages"):
        done = litellm.completion(messages=messages, max_tokens=300, **anthropic_s)
        assert done.choices[0].message.content.strip() == ANSWER


main()
