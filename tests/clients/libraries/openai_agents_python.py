"""OpenAI's Agents SDK, which uses the Responses API."""

from __future__ import annotations

import asyncio

from agents import Agent, Runner, function_tool, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI
from report import ANSWER, KEY, MODEL, QUESTION, URL, capability


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"21 degrees in {city}"


async def main() -> None:
    """Try an agent, whole and streamed."""
    set_tracing_disabled(disabled=True)
    set_default_openai_client(AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY))
    agent = Agent("weather", model=MODEL, tools=[get_weather])
    with capability("responses"):
        assert (await Runner.run(agent, QUESTION)).final_output.strip() == ANSWER
    with capability("stream"):
        run = Runner.run_streamed(agent, QUESTION)
        async for _ in run.stream_events():
            pass
        assert run.final_output.strip() == ANSWER


asyncio.run(main())
