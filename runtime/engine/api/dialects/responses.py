"""Turns requests to /v1/responses into chat requests. A request holds the whole conversation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from runtime.engine import errors
from runtime.engine.api.body import parse
from runtime.engine.api.dialects.conversation import Conversation
from runtime.engine.api.dialects.form import ChatForm, object_of, passed, text_of, tool_of
from runtime.engine.api.dialects.response_fields import ResponsesRequest
from runtime.engine.api.dialects.response_items import add_items, joined_name
from runtime.engine.api.schemas import MAX_TOOLS
from runtime.engine.api.shapes.responses import Echo, ResponsesShape

Names = dict[str, tuple[str, str]]
"""The namespace and name of each function of a namespace, by the name that the model knows."""

CHAT_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "top_logprobs",
    "tool_choice": "tool_choice",
}
"""The names that the chat request's fields have in this API."""

_LOGPROBS = "message.output_text.logprobs"
_ENCRYPTED_REASONING = "reasoning.encrypted_content"


def chat_form(body: bytes, *, reads_images: bool = False) -> ChatForm:
    """Return the chat request for a body.

    Args:
        body: the request's.
        reads_images: whether the server does.

    Raises:
        Refusal: 400 that names the field.
    """
    request, sent = parse(ResponsesRequest, body)
    _check_stateless(request)
    conversation = Conversation("input", reads_images=reads_images)
    if request.instructions:
        conversation.say("system", request.instructions)
    if isinstance(request.input, str):
        conversation.say("user", request.input)
    else:
        add_items(conversation, request.input)
    names: Names = {}
    tools = _tools(request.tools, names)
    chat: dict[str, Any] = {
        **passed(sent),
        "messages": conversation.messages,
        "max_tokens": request.max_output_tokens,
        "reasoning_effort": request.reasoning.effort,
        **_format(request),
        **_logprobs(request),
    }
    if not tools and request.tool_choice not in ("auto", "none"):
        raise errors.invalid("tool_choice", "tool_choice: there are no tools to choose from.")
    if tools:
        chat |= {
            "tools": tools,
            "tool_choice": _choice(request.tool_choice),
            "parallel_tool_calls": request.parallel_tool_calls,
        }
    echo = _echo(request, tools, names)
    return ChatForm(chat=chat, shape=partial(ResponsesShape, echo=echo))


def _check_stateless(request: ResponsesRequest) -> None:
    """Refuse what needs a memory of earlier responses."""
    for name in ("previous_response_id", "conversation", "prompt"):
        if getattr(request, name) is not None:
            raise errors.not_supported(
                name, f"{name}: this server stores nothing. Send the whole conversation as input."
            )
    if request.store:
        raise errors.not_supported(
            "store", "store: this server does not store responses. Leave store out, or send false."
        )
    if request.background:
        raise errors.not_supported(
            "background", "background: this server answers at once. Leave background out."
        )
    if request.truncation != "disabled":
        raise errors.not_supported(
            "truncation", "truncation: this server leaves nothing out of the input. Send disabled."
        )


def _tools(sent: list[dict[str, Any]], names: Names) -> list[dict[str, Any]]:
    """The tools as a chat request has them."""
    tools: list[dict[str, Any]] = []
    for number, tool in enumerate(sent):
        param = f"tools[{number}]"
        kind = tool.get("type")
        if kind == "function":
            tools.append(_function(tool, param))
        elif kind == "namespace":
            tools += _namespace(tool, param, names)
        elif not (kind == "web_search" and tool.get("external_web_access") is False):
            # codex always sends that one. A search that may not reach the web has nothing to find here.
            raise errors.not_supported(
                f"{param}.type",
                f"{param}.type: this server has no tools of its own. Only function and namespace are "
                "possible.",
            )
    if len(tools) > MAX_TOOLS:
        raise errors.invalid("tools", f"tools: at most {MAX_TOOLS} functions are allowed.")
    return tools


def _namespace(tool: Mapping[str, Any], param: str, names: Names) -> list[dict[str, Any]]:
    """A namespace's functions; the model knows them by the namespace and the name."""
    namespace = text_of(tool.get("name"), f"{param}.name")
    members = tool.get("tools")
    if not isinstance(members, list):
        raise errors.invalid(f"{param}.tools", f"{param}.tools: must be a list.")
    functions = []
    for number, member in enumerate(members):
        inner = f"{param}.tools[{number}]"
        function = object_of(member, inner)
        if function.get("type") != "function":
            raise errors.not_supported(f"{inner}.type", f"{inner}.type: only function is possible.")
        name = text_of(function.get("name"), f"{inner}.name")
        names[joined_name(namespace, name)] = (namespace, name)
        functions.append(_function({**function, "name": joined_name(namespace, name)}, inner))
    return functions


def _function(tool: Mapping[str, Any], param: str) -> dict[str, Any]:
    name = text_of(tool.get("name"), f"{param}.name")
    fields = {key: tool[key] for key in ("description", "parameters", "strict") if tool.get(key)}
    return tool_of({"name": name, **fields}, param)


def _choice(sent: str | dict[str, Any]) -> Any:
    """A choice of tools as a chat request has it."""
    if isinstance(sent, str):
        return sent
    kind = sent.get("type")
    if kind == "function":
        return _named(sent, "tool_choice")
    if kind == "allowed_tools":
        tools = sent.get("tools")
        if not isinstance(tools, list):
            raise errors.invalid("tool_choice.tools", "tool_choice.tools: must be a list.")
        allowed = [
            _named(object_of(tool, f"tool_choice.tools[{number}]"), f"tool_choice.tools[{number}]")
            for number, tool in enumerate(tools)
        ]
        mode = sent.get("mode", "auto")
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
    raise errors.not_supported(
        "tool_choice.type", "tool_choice.type: must be function or allowed_tools."
    )


def _named(tool: Mapping[str, Any], param: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": text_of(tool.get("name"), f"{param}.name")}}


def _format(request: ResponsesRequest) -> dict[str, Any]:
    form = request.text.format
    if form.type != "json_schema":
        return {"response_format": {"type": form.type}}
    if form.schema_ is None:
        raise errors.invalid(
            "text.format.schema",
            "text.format.schema: is required.",
            code="missing_required_parameter",
        )
    schema = {"name": form.name, "schema": form.schema_, "strict": form.strict}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _logprobs(request: ResponsesRequest) -> dict[str, Any]:
    """The probabilities are reported where the request includes them or asks for alternatives."""
    if not request.top_logprobs and _LOGPROBS not in request.include:
        return {}
    return {"logprobs": True, "top_logprobs": request.top_logprobs or 0}


def _echo(request: ResponsesRequest, tools: list[dict[str, Any]], names: Names) -> Echo:
    reasoning = request.reasoning
    summary = reasoning.summary or reasoning.generate_summary
    fields = {
        "max_output_tokens": request.max_output_tokens,
        "metadata": request.metadata,
        "parallel_tool_calls": request.parallel_tool_calls,
        "reasoning": {"effort": reasoning.effort, "summary": summary},
        "temperature": request.temperature,
        "text": {"format": {"type": request.text.format.type}},
        "tool_choice": _shown_choice(request.tool_choice),
        "tools": [_shown(tool["function"]) for tool in tools],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": request.top_p,
    }
    return Echo(
        fields=fields,
        names=names,
        summarizes=summary is not None,
        encrypts=_ENCRYPTED_REASONING in request.include,
    )


def _shown_choice(sent: str | dict[str, Any]) -> Any:
    if isinstance(sent, str):
        return sent
    if sent["type"] == "function":
        return {"type": "function", "name": sent["name"]}
    return sent.get("mode", "auto")


def _shown(function: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as the response names it: without what may be long."""
    return {
        "type": "function",
        "name": function["name"],
        "parameters": None,
        "strict": bool(function.get("strict")),
    }
