"""What a chat's messages may hold, in one form for all templates.

One rule: an empty or null field is a field that is not there. Beyond that, content is text (a refusal
too), arguments of calls are JSON objects, and older and newer forms of the API become the common one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from runtime.engine import errors
from runtime.engine.templates.results import pair_results
from runtime.engine.templates.template import Message

REASONING = ("reasoning_content", "reasoning", "thinking")
"""The names under which clients and templates have an assistant's reasoning."""
_ROLES = {"developer": "system", "function": "tool"}
_MEDIA = ("image_url", "input_audio", "file", "image", "video_url", "audio_url", "video", "audio")
EMPTY: tuple[Any, ...] = (None, "", [], {})
"""Values of fields that count as absent."""
_MAX_DEPTH = 64
"""The deepest nesting of arguments: templates, and JSON, recurse into them."""


def normalised(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The messages in the form that all templates are given.

    Raises:
        Refusal: 400 that names the field.
    """
    made = [_message(message, f"messages[{number}]") for number, message in enumerate(messages)]
    pair_results(made)
    return made


def _message(sent: Mapping[str, Any], param: str) -> Message:
    message = present(sent)
    role = str(message.pop("role"))
    message["content"] = _text(sent.get("content"), f"{param}.content")
    if role == "assistant" and not message["content"] and isinstance(message.get("refusal"), str):
        message["content"] = message.pop("refusal")
    calls = _calls(message, param)
    if calls and role != "assistant":
        raise errors.invalid(
            f"{param}.tool_calls", f"{param}.tool_calls: only messages of the assistant have calls."
        )
    if calls:
        message["tool_calls"] = calls
    for name in REASONING:
        if name in message and not isinstance(message[name], str):
            raise errors.invalid(f"{param}.{name}", f"{param}.{name} must be a text.")
    return {"role": _ROLES.get(role, role), **message}


def present(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are there: an empty one counts as absent."""
    return {name: value for name, value in sent.items() if value not in EMPTY}


def _text(content: Any, param: str) -> str:
    if content in EMPTY:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise errors.invalid(param, f"{param} must be a text or a list of parts.")
    return "\n".join(_part(part, f"{param}[{number}]") for number, part in enumerate(content))


def _part(part: Any, param: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    text = part.get(kind) if kind in ("text", "refusal") else None
    if isinstance(text, str):
        return text
    if kind in ("text", "refusal"):
        raise errors.invalid(param, f"{param} has no {kind}.")
    if isinstance(kind, str) and kind in _MEDIA:
        raise errors.not_supported(
            param, f"{param}: this model reads text only. Nothing is fetched: leave {kind} parts out."
        )
    raise errors.invalid(param, f'{param} must be {{"type": "text", "text": …}}.')


def _calls(message: Message, param: str) -> list[dict[str, Any]]:
    """The calls of a message, which are taken out of it."""
    calls = [
        _call(call, f"{param}.tool_calls[{number}]")
        for number, call in enumerate(message.pop("tool_calls", ()))
    ]
    if (function := message.pop("function_call", None)) is not None:  # the older form of one call
        param = f"{param}.function_call"
        calls.append({"type": "function", "function": _function(function, param)})
    return calls


def _call(sent: Any, param: str) -> dict[str, Any]:
    if not isinstance(sent, Mapping):
        raise errors.invalid(param, f"{param} must be an object.")
    call = present(sent)
    if call.get("type", "function") != "function":
        raise errors.not_supported(f"{param}.type", f"{param}.type: functions are the only kind.")
    if not isinstance(call.get("id", ""), str):
        raise errors.invalid(f"{param}.id", f"{param}.id must be a text.")
    function = _function(sent.get("function"), f"{param}.function")
    return {**call, "type": "function", "function": function}


def _function(sent: Any, param: str) -> dict[str, Any]:
    if not isinstance(sent, Mapping):
        raise errors.invalid(param, f"{param} must be an object with a name and arguments.")
    function = present(sent)
    if not isinstance(function.get("name"), str):
        raise errors.invalid(f"{param}.name", f"{param}.name must be the name of a function.")
    arguments = arguments_of(function.get("arguments"), f"{param}.arguments")
    return {**function, "arguments": arguments}


def arguments_of(sent: Any, param: str) -> dict[str, Any]:
    """The arguments of a call, which are an object, its JSON, or absent.

    Raises:
        Refusal: 400 that names the field.
    """
    arguments = {} if sent in EMPTY else sent
    if isinstance(sent, str):
        try:
            arguments = orjson.loads(sent) if sent.strip() else {}
        except orjson.JSONDecodeError:
            arguments = None
    if not isinstance(arguments, dict):
        raise errors.invalid(param, f"{param} must be a JSON object, or the text of one.")
    if too_deep(arguments):
        raise errors.invalid(param, f"{param} is nested more than {_MAX_DEPTH} levels deep.")
    return arguments


def too_deep(value: Any) -> bool:
    """Whether objects and arrays are nested deeper than templates are given; without recursion."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return False
        level = [
            item
            for container in containers
            for item in (container.values() if isinstance(container, dict) else container)
        ]
    return any(isinstance(item, dict | list) for item in level)


def argument_texts(sent: Sequence[Mapping[str, Any]], made: Sequence[Message]) -> list[Message]:
    """The messages with the arguments of calls as text, as the client wrote it, for templates that want
    it.

    Args:
        sent: the messages as they came.
        made: `normalised` of them.
    """
    return [
        message
        if "tool_calls" not in message
        else {**message, "tool_calls": _text_calls(_sent_functions(before), message["tool_calls"])}
        for before, message in zip(sent, made, strict=True)
    ]


def _sent_functions(sent: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    functions = [call["function"] for call in sent.get("tool_calls") or ()]
    return [*functions, sent["function_call"]] if sent.get("function_call") else functions


def _text_calls(
    sent: Sequence[Mapping[str, Any]], calls: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    return [
        {**call, "function": {**call["function"], "arguments": _argument_text(before, call["function"])}}
        for before, call in zip(sent, calls, strict=True)
    ]


def _argument_text(sent: Mapping[str, Any], function: Mapping[str, Any]) -> str:
    text = sent.get("arguments")
    if isinstance(text, str) and text.strip():
        return text
    return json.dumps(function["arguments"], ensure_ascii=False)
