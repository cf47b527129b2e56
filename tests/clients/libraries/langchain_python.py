"""LangChain with langchain-openai and langchain-anthropic."""

from __future__ import annotations

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from report import ANSWER, CITY, KEY, MODEL, QUESTION, URL, capability


class City(BaseModel):
    """A city."""

    city: str


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"21 degrees in {city}"


def round_trip(model: object) -> None:
    """A call, its result and the answer."""
    bound = model.bind_tools([get_weather])
    asked = bound.invoke(QUESTION)
    (call,) = asked.tool_calls
    assert call["args"] == {"city": CITY}
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    answer = bound.invoke([HumanMessage(QUESTION), asked, result])
    assert answer.text.strip() == ANSWER if isinstance(answer.text, str) else ANSWER in answer.text()


def main() -> None:
    """Try each of its ways to our API."""
    model = ChatOpenAI(base_url=f"{URL}/v1", api_key=KEY, model=MODEL, max_retries=0)
    with capability("chat"):
        assert model.invoke(QUESTION).content.strip() == ANSWER
    with capability("stream"):
        assert "".join(chunk.content for chunk in model.stream(QUESTION)).strip() == ANSWER
    with capability("tools"):
        round_trip(model)
    with capability("structured"):
        for method in ("json_schema", "function_calling"):
            found = model.with_structured_output(City, method=method).invoke(QUESTION)
            assert isinstance(found, City), method
    with capability("responses"):
        round_trip(model.model_copy(update={"use_responses_api": True}))
    with capability("messages"):
        round_trip(ChatAnthropic(base_url=URL, api_key=KEY, model=MODEL, max_tokens=300))


main()
