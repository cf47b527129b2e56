"""Turns requests to /v1/messages and /v1/messages/count_tokens into chat requests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from runtime.engine import errors
from runtime.engine.api.body import parse
from runtime.engine.api.dialects.conversation import Conversation
from runtime.engine.api.dialects.form import ChatForm, passed, tool_of
from runtime.engine.api.dialects.message_blocks import add_turns, system_text
from runtime.engine.api.dialects.message_fields import (
    CountRequest,
    MessagesRequest,
    MessageTool,
    MessageToolChoice,
    Thinking,
)
from runtime.engine.api.shapes.messages import MessagesShape

CHAT_NAMES = {
    "messages": "messages",
    "stop": "stop_sequences",
    "response_format": "output_config.format",
    "reasoning_effort": "output_config.effort",
    "reasoning_budget": "thinking.budget_tokens",
    "continue_final_message": "messages",
}
"""The names that the chat request's fields have in this API. A message's number differs too."""

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_form(body: bytes, *, reads_images: bool = False) -> ChatForm:
    """Return the chat request for a body.

    Args:
        body: the request's.
        reads_images: whether the server does.

    Raises:
        Refusal: 400 that names the field.
    """
    request, sent = parse(MessagesRequest, body)
    chat = _chat(request, reads_images=reads_images) | {
        **passed(sent),
        "max_tokens": request.max_tokens,
        "stop": request.stop_sequences,
    }
    shape = partial(MessagesShape, stops=request.stop_sequences)
    return ChatForm(chat=chat, shape=shape)


def counted_form(body: bytes, *, reads_images: bool = False) -> dict[str, Any]:
    """Return the chat request whose prompt is to be counted.

    Raises:
        Refusal: 400 that names the field.
    """
    request, sent = parse(CountRequest, body)
    model = {name: value for name, value in passed(sent).items() if name == "model"}
    return _chat(request, reads_images=reads_images) | model


def _chat(request: CountRequest, *, reads_images: bool) -> dict[str, Any]:
    """The fields that determine the prompt."""
    for name in ("mcp_servers", "container"):
        if getattr(request, name):
            raise errors.not_supported(
                name, f"{name}: this server runs no tools itself. Leave {name} out."
            )
    conversation = Conversation("messages", reads_images=reads_images)
    if system := system_text(request.system):
        conversation.say("system", system)
    add_turns(conversation, request.messages)
    messages = conversation.messages
    chat: dict[str, Any] = {
        "messages": messages,
        "continue_final_message": _ends_within_reply(messages),
        **_thinking(request.thinking),
    }
    if request.output_config.effort is not None:
        chat.setdefault("reasoning_effort", request.output_config.effort)
    form = request.output_config.format or request.output_format
    if form is not None:
        schema = {"name": "output", "schema": form.schema_, "strict": False}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.tools:
        chat["tools"] = [_tool(tool, number) for number, tool in enumerate(request.tools)]
        chat["tool_choice"] = _choice(request.tool_choice)
        chat["parallel_tool_calls"] = not request.tool_choice.disable_parallel_tool_use
    elif request.tool_choice.type in ("any", "tool"):
        raise errors.invalid("tool_choice", "tool_choice: there are no tools to choose from.")
    return chat


def _ends_within_reply(messages: Sequence[dict[str, Any]]) -> bool:
    """Whether the last message is a text of the model's, from which the response goes on."""
    return any(
        last["role"] == "assistant" and last["content"] and "tool_calls" not in last
        for last in messages[-1:]
    )


def _thinking(thinking: Thinking | None) -> dict[str, Any]:
    """Whether the model thinks. Without the field it does not, like Anthropic's."""
    if thinking is None or thinking.type == "disabled":
        return {"reasoning_effort": "none"}
    return {} if thinking.budget_tokens is None else {"reasoning_budget": thinking.budget_tokens}


def _tool(tool: MessageTool, number: int) -> dict[str, Any]:
    param = f"tools[{number}]"
    if tool.type != "custom":
        raise errors.not_supported(
            f"{param}.type",
            f"{param}.type: this server has no tools of its own. Only custom is possible, with an "
            "input_schema.",
        )
    if tool.input_schema is None:
        raise errors.invalid(
            f"{param}.input_schema",
            f"{param}.input_schema: is required.",
            code="missing_required_parameter",
        )
    function = {"name": tool.name, "parameters": tool.input_schema, "strict": tool.strict}
    if tool.description:
        function["description"] = tool.description
    return tool_of(function, param)


def _choice(choice: MessageToolChoice) -> Any:
    if choice.type != "tool":
        return _CHOICES[choice.type]
    if choice.name is None:
        raise errors.invalid(
            "tool_choice.name",
            "tool_choice.name: is required.",
            code="missing_required_parameter",
        )
    return {"type": "function", "function": {"name": choice.name}}
