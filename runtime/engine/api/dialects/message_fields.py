"""The fields of a request to /v1/messages: https://docs.anthropic.com/en/api/messages.

What is sent beside them is ignored (metadata, service_tier, cache_control, context_management …) or the
chat request's (temperature …).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from runtime.engine.api.fields import Body, Stop, Whole, bounded
from runtime.engine.api.schemas import MAX_MESSAGES, MAX_STOPS, MAX_TOOLS


class Thinking(Body):
    """Whether the model thinks before its response, and how long."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="With the type enabled: tokens after which thinking is ended."
    )


class OutputFormat(Body):
    """The form of the response's text."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] | bool = Field(alias="schema")


class OutputConfig(Body):
    """How much effort the response takes, and its form."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class MessageTool(Body):
    """A tool that the client runs."""

    type: Annotated[str, Field(max_length=128)] = "custom"
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str = ""
    input_schema: dict[str, Any] | None = None
    strict: bool = False


class MessageToolChoice(Body):
    """Which tools the model may or must call."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class MessageTurn(Body):
    """What one side says."""

    role: Literal["user", "assistant", "system"]
    content: str | Annotated[list[dict[str, Any]], bounded(MAX_MESSAGES)]


class CountRequest(Body):
    """POST /v1/messages/count_tokens."""

    model: Annotated[str, Field(max_length=512)] | None = None
    messages: Annotated[list[MessageTurn], Field(min_length=1, fail_fast=True), bounded(MAX_MESSAGES)]
    system: str | Annotated[list[dict[str, Any]], bounded(MAX_MESSAGES)] = ""
    tools: Annotated[list[MessageTool], bounded(MAX_TOOLS)] = Field(default_factory=list)
    tool_choice: MessageToolChoice = Field(
        default_factory=lambda: MessageToolChoice.model_validate({"type": "auto"})
    )
    thinking: Thinking | None = None
    output_config: OutputConfig = OutputConfig()
    output_format: OutputFormat | None = Field(None, description="Older place of output_config.format.")
    mcp_servers: JsonValue = Field(None, description="Refused: this server connects to no others.")
    container: JsonValue = Field(None, description="Refused: this server runs no code.")


class MessagesRequest(CountRequest):
    """POST /v1/messages."""

    max_tokens: Annotated[Whole, Field(ge=1)]
    stop_sequences: Annotated[list[Stop], bounded(MAX_STOPS)] = Field(default_factory=list)
    stream: bool = False
