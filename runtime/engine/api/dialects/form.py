"""What a dialect makes of a request, and the errors of the chat request in the dialect's terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from runtime.engine import errors
from runtime.engine.api.body import validated
from runtime.engine.api.chats import MakeShape
from runtime.engine.api.schemas import Function
from runtime.engine.errors import Refusal

PASSED = (
    "model",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "logit_bias",
    "chat_template_kwargs",
)
"""Fields that have the same meaning in all APIs, and settings of this server that each of them takes."""


@dataclass(frozen=True, kw_only=True)
class ChatForm:
    """A request of another API as one to /v1/chat/completions."""

    chat: dict[str, Any]
    """The chat request's body."""
    shape: MakeShape


def passed(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a body that the chat request takes as they are."""
    return {name: sent[name] for name in PASSED if sent.get(name) is not None}


@contextmanager
def in_terms_of(names: Mapping[str, str]) -> Iterator[None]:
    """Have errors name the dialect's fields.

    Args:
        names: the dialect's name of each field of a chat request that is called otherwise. A part of
            such a field is named by the field: the parts' numbers differ.
    """
    try:
        yield
    except Refusal as refusal:
        param = refusal.param or ""
        field = param.split("[", 1)[0].split(".", 1)[0]
        if field not in names:
            raise
        name = names[field]
        message = name + refusal.message[len(param) :] if refusal.message.startswith(param) else None
        raise replace(refusal, param=name, message=message or refusal.message) from refusal


def tool_of(function: dict[str, Any], param: str) -> dict[str, Any]:
    """A tool of a chat request.

    Raises:
        Refusal: it is none; names the dialect's field.
    """
    try:
        validated(Function, function)
    except Refusal as refusal:
        place = f"{param}.{refusal.param}"
        message = place + refusal.message.removeprefix(str(refusal.param))
        raise replace(refusal, param=place, message=message) from refusal
    return {"type": "function", "function": function}


def text_of(value: Any, param: str) -> str:
    """A field that must be a text.

    Raises:
        Refusal: it is missing or something else.
    """
    if value is None:
        raise errors.invalid(param, f"{param}: is required.", code="missing_required_parameter")
    if not isinstance(value, str):
        raise errors.invalid(param, f"{param}: must be a text.")
    return value


def object_of(value: Any, param: str) -> dict[str, Any]:
    """A value that must be an object.

    Raises:
        Refusal: it is something else.
    """
    if not isinstance(value, dict):
        raise errors.invalid(param, f"{param}: must be an object.")
    return value
