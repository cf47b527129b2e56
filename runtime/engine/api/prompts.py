"""Renders a chat's messages into a prompt, with the model's own template.

Converts what templates cannot handle: newer roles, content in parts, content that is null. llama_cpp's
chat handlers do the rendering: the handler that the stock server would use is called with a stand-in for
the model, which records the prompt instead of generating.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import llama_cpp
import orjson
from jinja2 import TemplateError

from runtime.engine import errors
from runtime.engine.api.schemas import ChatRequest, Message

_StockLlama = llama_cpp.Llama
"""The original class: `stock.py` replaces the name in the module by our class."""
_REASON_CHARACTERS = 200


@dataclass
class Rendered:
    """A prompt's text and how to read it."""

    text: str = ""
    add_special: bool = False
    stops: list[str] = field(default_factory=list)


class _Rendering:
    """Stands in for the model in a chat handler: records the prompt and generates nothing."""

    def __init__(self, llama: llama_cpp.Llama) -> None:
        self._llama = llama
        self.rendered = Rendered()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llama, name)

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        self.rendered.text = text.decode()
        self.rendered.add_special = add_bos
        return []

    def create_completion(self, *, stop: Any = None, **_: Any) -> Iterator[Any]:
        self.rendered.stops = [stop] if isinstance(stop, str) else list(stop or ())
        return iter(())


def render(llama: llama_cpp.Llama, request: ChatRequest, tools: list[dict[str, Any]]) -> Rendered:
    """The prompt for a chat. Needs no lock; may take long for long chats.

    Raises:
        Refusal: a message is not one for this model, or its template says so.
    """
    messages = [plain(message, number) for number, message in enumerate(request.messages)]
    choice = request.tool_choice if isinstance(request.tool_choice, str) else None
    decoded = [_with_decoded_arguments(message) for message in messages]
    if decoded != messages:
        # Most templates are written for arguments as objects, OpenAI's clients send them as text.
        with suppress(errors.Refusal):
            return _rendered(llama, decoded, tools, choice)
    return _rendered(llama, messages, tools, choice)


def _rendered(
    llama: llama_cpp.Llama,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]],
    choice: str | None,
) -> Rendered:
    rendering = _Rendering(llama)
    try:
        # As a stream, so that the handler only prepares its answer. A choice by name would have it
        # compile the function's schema, and fetch what that refers to.
        render_with: Any = _StockLlama.create_chat_completion
        render_with(rendering, messages=messages, tools=tools or None, tool_choice=choice, stream=True)
    except (TemplateError, ValueError) as error:
        reason = " ".join(str(error).split())[:_REASON_CHARACTERS]
        raise _refused(reason) from error
    except (TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        # From within the template's own arithmetic; the text would not help.
        raise _refused("they have a form that it does not expect") from error
    return rendering.rendered


def _refused(reason: str) -> errors.Refusal:
    return errors.invalid("messages", f"The model's chat template refuses the messages: {reason}.")


def _with_decoded_arguments(message: dict[str, Any]) -> dict[str, Any]:
    """The message with the arguments of its calls as objects, where they are the JSON of one."""
    calls = message.get("tool_calls")
    return message if not calls else {**message, "tool_calls": [_decoded(call) for call in calls]}


def _decoded(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(text := function.get("arguments"), str):
        return call
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        return call
    return (
        {**call, "function": {**function, "arguments": arguments}}
        if isinstance(arguments, dict)
        else call
    )


def plain(message: Message, number: int) -> dict[str, Any]:
    """A message as templates expect it: known roles, and content that is text."""
    content = _text(message.content, f"messages[{number}].content")
    fields = message.model_dump(exclude_unset=True)
    role = "system" if message.role == "developer" else message.role
    return {**fields, "role": role, "content": content}


def _text(content: Any, param: str) -> str:
    if content is None:
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
    if isinstance(kind, str) and kind in ("image_url", "input_audio", "file", "image", "video_url"):
        raise errors.not_supported(
            param, f"{param}: this model reads text only. Nothing is fetched: leave {kind} parts out."
        )
    raise errors.invalid(param, f'{param} must be {{"type": "text", "text": …}}.')
