"""LlamaIndex with llama-index-llms-openai-like."""

from __future__ import annotations

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from report import ANSWER, CITY, KEY, MODEL, QUESTION, URL, capability


class City(BaseModel):
    """A city."""

    city: str


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"21 degrees in {city}"


def main() -> None:
    """Try chats, tools and structured answers."""
    model = OpenAILike(
        api_base=f"{URL}/v1",
        api_key=KEY,
        model=MODEL,
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
    )
    with capability("chat"):
        assert model.chat([ChatMessage(QUESTION)]).message.content.strip() == ANSWER
    with capability("stream"):
        *_, last = model.stream_chat([ChatMessage(QUESTION)])
        assert last.message.content.strip() == ANSWER
    with capability("tools"):
        tool = FunctionTool.from_defaults(get_weather)
        response = model.predict_and_call([tool], QUESTION)
        assert str(response) == f"21 degrees in {CITY}"
    with capability("structured"):
        found = model.as_structured_llm(City).complete(QUESTION)
        assert isinstance(found.raw, City)


main()
