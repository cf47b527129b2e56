"""instructor with OpenAI's and Anthropic's clients."""

from __future__ import annotations

import anthropic
import instructor
import openai
from pydantic import BaseModel
from report import KEY, MODEL, QUESTION, URL, capability


class City(BaseModel):
    """A city."""

    city: str


def main() -> None:
    """Try its modes."""
    messages = [{"role": "user", "content": QUESTION}]
    plain = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    for name, mode in (
        ("tools", instructor.Mode.TOOLS),
        ("structured", instructor.Mode.JSON_SCHEMA),
    ):
        with capability(name):
            client = instructor.from_openai(plain, mode=mode)
            found = client.chat.completions.create(
                model=MODEL, messages=messages, response_model=City, max_retries=0
            )
            assert isinstance(found, City)
    with capability("messages"):
        client = instructor.from_anthropic(anthropic.Anthropic(base_url=URL, api_key=KEY))
        found = client.messages.create(
            model=MODEL, messages=messages, response_model=City, max_tokens=300, max_retries=0
        )
        assert isinstance(found, City)


main()
