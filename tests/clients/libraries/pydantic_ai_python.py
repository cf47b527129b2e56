"""pydantic-ai with its models for chats, responses and messages."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from report import ANSWER, CITY, KEY, MODEL, QUESTION, URL, capability


class Town(BaseModel):
    """A town."""

    town: str


def agent(model: object, **options: object) -> Agent:
    """An agent with one tool."""
    made = Agent(model, retries=0, **options)

    @made.tool_plain
    def get_weather(city: str) -> str:
        assert city == CITY
        return f"21 degrees in {city}"

    return made


async def main() -> None:
    """Try text, tools and structured output with each."""
    provider = OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY)
    chat = OpenAIChatModel(MODEL, provider=provider)
    responses = OpenAIResponsesModel(MODEL, provider=provider)
    messages = AnthropicModel(MODEL, provider=AnthropicProvider(base_url=URL, api_key=KEY))
    with capability("chat"):
        assert (await Agent(chat).run(QUESTION)).output.strip() == ANSWER
    with capability("stream"):
        async with Agent(chat).run_stream(QUESTION) as stream:
            assert (await stream.get_output()).strip() == ANSWER
    with capability("tools"):
        assert (await agent(chat).run(QUESTION)).output.strip() == ANSWER
    with capability("structured"):
        assert isinstance((await agent(chat, output_type=Town).run(QUESTION)).output, Town)
    with capability("responses"):
        assert (await agent(responses).run(QUESTION)).output.strip() == ANSWER
        assert isinstance((await agent(responses, output_type=Town).run(QUESTION)).output, Town)
    with capability("messages"):
        assert (await agent(messages).run(QUESTION)).output.strip() == ANSWER


asyncio.run(main())
