"""The input of /v1/responses: its items become a chat's messages.

https://platform.openai.com/docs/api-reference/responses/create, field `input`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from runtime.engine import errors
from runtime.engine.api.dialects.conversation import Conversation, Image, pieces
from runtime.engine.api.dialects.form import object_of, text_of
from runtime.engine.templates.messages import arguments_of

Item = Mapping[str, Any]

_ROLES = ("user", "assistant", "system", "developer")
_TEXT_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
_REASONING_PARTS = ("reasoning_text", "summary_text", "text")
_FILES = ("input_image", "input_file", "input_audio", "computer_screenshot")


def add_items(conversation: Conversation, items: list[Any]) -> None:
    """Add the items to a conversation.

    Raises:
        Refusal: an item is none that a model of texts can read.
    """
    for number, value in enumerate(items):
        param = f"input[{number}]"
        item = object_of(value, param)
        kind = item.get("type") or "message"
        add = _KINDS.get(kind) if isinstance(kind, str) else None
        if add is None:
            raise _unknown(kind, param)
        add(conversation, item, param)


def function_name(item: Item, param: str) -> str:
    """A function's name, with its namespace before it if it has one."""
    name = text_of(item.get("name"), f"{param}.name")
    namespace = item.get("namespace")
    return joined_name(text_of(namespace, f"{param}.namespace"), name) if namespace else name


def joined_name(namespace: str, name: str) -> str:
    """The name under which the model knows a function of a namespace."""
    return f"{namespace}__{name}"


def _message(conversation: Conversation, item: Item, param: str) -> None:
    role = text_of(item.get("role"), f"{param}.role")
    if role not in _ROLES:
        raise errors.invalid(f"{param}.role", f"{param}.role: must be one of {', '.join(_ROLES)}.")
    content = item.get("content")
    if role == "user" and conversation.reads_images and isinstance(content, list):
        conversation.say(role, *_with_images(content, f"{param}.content"))
        return
    text = _content(content, f"{param}.content")
    if role == "assistant":
        conversation.reply(text)
    else:
        conversation.say("user" if role == "user" else "system", text)


def _call(conversation: Conversation, item: Item, param: str) -> None:
    call_id = text_of(item.get("call_id"), f"{param}.call_id")
    arguments = item.get("arguments")
    made = arguments_of(arguments, f"{param}.arguments")
    text = arguments if isinstance(arguments, str) else orjson.dumps(made).decode()
    conversation.call(call_id, function_name(item, param), text)


def _output(conversation: Conversation, item: Item, param: str) -> None:
    call_id = text_of(item.get("call_id"), f"{param}.call_id")
    output = item.get("output")
    conversation.result(call_id, "" if output is None else _content(output, f"{param}.output"))


def _reasoning(conversation: Conversation, item: Item, param: str) -> None:
    # Whole texts both: a summary of ours is what the model thought.
    text = _thought(item, "content", param) or _thought(item, "summary", param)
    text = text or _decode_reasoning(item.get("encrypted_content"))
    if text:
        conversation.think(text)


def _thought(item: Item, name: str, param: str) -> str:
    param = f"{param}.{name}"
    return "\n".join(
        text_of(part.get("text"), f"{param}[{number}].text")
        for number, part in enumerate(_parts(item.get(name), param))
        if part.get("type") in _REASONING_PARTS
    )


def _decode_reasoning(content: Any) -> str:
    """The text that `shapes/response_items.py` encoded. Nothing for what another server wrote."""
    try:
        return base64.b64decode(content, validate=True).decode() if isinstance(content, str) else ""
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _parts(value: Any, param: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise errors.invalid(param, f"{param}: must be a list.")
    return [object_of(part, f"{param}[{number}]") for number, part in enumerate(value)]


def _content(value: Any, param: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise errors.invalid(param, f"{param}: is required.", code="missing_required_parameter")
    return "\n".join(
        _part(part, f"{param}[{number}]") for number, part in enumerate(_parts(value, param))
    )


def _with_images(value: list[Any], param: str) -> list[str | Image]:
    return pieces(
        [
            _image(part) if part.get("type") == "input_image" else _part(part, f"{param}[{number}]")
            for number, part in enumerate(_parts(value, param))
        ]
    )


def _image(part: dict[str, Any]) -> Image:
    return {"type": "image_url", "image_url": {"url": part.get("image_url")}}


def _part(part: dict[str, Any], param: str) -> str:
    kind = part.get("type")
    if isinstance(kind, str) and kind in _TEXT_PARTS:
        name = _TEXT_PARTS[kind]
        return text_of(part.get(name), f"{param}.{name}")
    if kind in _FILES:
        raise errors.not_supported(
            f"{param}.type", f"{param}.type: this model reads text only. Leave {kind} parts out."
        )
    raise errors.invalid(
        f"{param}.type", f"{param}.type: must be one of {', '.join(sorted(_TEXT_PARTS))}."
    )


def _unknown(kind: Any, param: str) -> errors.Refusal:
    param = f"{param}.type"
    if kind == "item_reference":
        return errors.not_supported(
            param,
            f"{param}: this server stores no items, so none can be referred to. Send store: false and "
            "the items themselves.",
        )
    return errors.not_supported(param, f"{param}: must be one of {', '.join(sorted(_KINDS))}.")


_KINDS: dict[str, Callable[[Conversation, Item, str], None]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "reasoning": _reasoning,
}
