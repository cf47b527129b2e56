"""smolagents with its OpenAI model."""

from __future__ import annotations

from report import KEY, MODEL, QUESTION, URL, capability
from smolagents import OpenAIServerModel, ToolCallingAgent, tool


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city.

    Args:
        city: its name
    """
    return f"21 degrees in {city}"


def main() -> None:
    """Try a chat, and an agent that calls a tool and then gives its final answer."""
    model = OpenAIServerModel(MODEL, api_base=f"{URL}/v1", api_key=KEY)
    with capability("chat"):
        message = model([{"role": "user", "content": [{"type": "text", "text": QUESTION}]}])
        assert message.content
    with capability("tools"):
        agent = ToolCallingAgent(tools=[get_weather], model=model, max_steps=3, verbosity_level=0)
        assert agent.run(QUESTION) == "21 degrees"
        assert any("get_weather" in str(step) for step in agent.memory.steps)


main()
