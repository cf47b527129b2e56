"""The fields of a request to /v1/responses.

https://platform.openai.com/docs/api-reference/responses/create. What is sent beside them is ignored
(user, service_tier, prompt_cache_key, safety_identifier …) or the chat request's (temperature …).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from runtime.engine.api.fields import Body, Number, Whole, bounded
from runtime.engine.api.schemas import MAX_MESSAGES, MAX_TOOLS, MAX_TOP_LOGPROBS

MAX_METADATA = 16
MAX_METADATA_CHARACTERS = 512
_MAX_ITEMS = 4 * MAX_MESSAGES

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_Metadata = Annotated[str, Field(max_length=MAX_METADATA_CHARACTERS)]


class ReasoningOptions(Body):
    """How much the model thinks, and how its thoughts are shown."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = Field(
        None, description="Any: the thoughts come as a summary, in full."
    )
    generate_summary: Literal["auto", "concise", "detailed"] | None = Field(
        None, description="Older name of summary."
    )


class TextFormat(Body):
    """The form of the response's text."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = ""
    schema_: dict[str, Any] | bool | None = Field(None, alias="schema")
    strict: bool = False


class TextOptions(Body):
    """What the response's text is like."""

    format: TextFormat = Field(default_factory=lambda: TextFormat.model_validate({}))


class ResponsesRequest(Body):
    """POST /v1/responses."""

    model: Annotated[str, Field(max_length=512)] | None = None
    input: str | Annotated[list[Any], bounded(_MAX_ITEMS)]
    instructions: str | None = None
    max_output_tokens: Annotated[Whole, Field(ge=1)] | None = None
    tools: Annotated[list[dict[str, Any]], bounded(MAX_TOOLS)] = Field(default_factory=list)
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    reasoning: ReasoningOptions = Field(default_factory=lambda: ReasoningOptions.model_validate({}))
    text: TextOptions = Field(default_factory=lambda: TextOptions.model_validate({}))
    temperature: Number | None = None
    top_p: Number | None = None
    top_logprobs: Annotated[Whole, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    stream: bool = False
    include: Annotated[list[str], bounded(64)] = Field(default_factory=list)
    metadata: Annotated[dict[_Metadata, _Metadata], bounded(MAX_METADATA)] = Field(default_factory=dict)
    truncation: Literal["auto", "disabled"] = Field(
        "disabled", description="auto is refused: nothing is left out of the input."
    )
    store: bool = Field(False, description="true is refused: responses are not stored.")
    background: bool = Field(False, description="true is refused.")
    previous_response_id: JsonValue = Field(None, description="Refused: send the items themselves.")
    conversation: JsonValue = Field(None, description="Refused: send the items themselves.")
    prompt: JsonValue = Field(None, description="Refused: there are no stored prompts.")
