"""The parameters of a chat: fields, their ranges, and the request that they make."""

from __future__ import annotations

import re
from typing import Any

import orjson
from nicegui import ui

from proxy.dashboard.data import errors

MAX_TEXT_CHARS = 32_768


class Parameters:
    """Fields beside a chat; an empty one leaves the parameter to the server."""

    def __init__(self, models: list[str]) -> None:
        self._model = ui.select(models, value=models[0] if models else None, label="Model")
        self._model.props("outlined dense")
        self._system = _area("System prompt", "You are a helpful assistant.")
        self._numbers = {
            name: ui.input(label, placeholder=hint).props("outlined dense inputmode=decimal")
            for name, label, hint in (
                ("max_tokens", "Most tokens", "the server's"),
                ("temperature", "Temperature", "0 to 2"),
                ("top_p", "Top p", "0 to 1"),
                ("seed", "Seed", "any"),
            )
        }
        self._schema = _area("JSON schema of the answer", '{"type": "object", …}').classes("mono")

    def body(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        """The request's body.

        Raises:
            DashboardError: a field has a bad value.
        """
        found: dict[str, Any] = {
            name: read_number(name, field.label or name, field.value or "")
            for name, field in self._numbers.items()
        }
        body = {name: value for name, value in found.items() if value is not None}
        if self._model.value:
            body["model"] = self._model.value
        if schema := (self._schema.value or "").strip():
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": read_schema(schema), "strict": True},
            }
        system = (self._system.value or "").strip()
        first = [{"role": "system", "content": system[:MAX_TEXT_CHARS]}] if system else []
        return {**body, "messages": [*first, *messages], "stream_options": {"include_usage": True}}


def _area(label: str, placeholder: str) -> ui.textarea:
    return ui.textarea(label, placeholder=placeholder).props(
        f"outlined dense autogrow maxlength={MAX_TEXT_CHARS}"
    )


_RANGES: dict[str, tuple[type[int] | type[float], float, float]] = {
    "max_tokens": (int, 1, 2**24),
    "temperature": (float, 0, 2),
    "top_p": (float, 0, 1),
    "seed": (int, 0, 2**32 - 1),
}


def read_number(name: str, label: str, text: str) -> int | float | None:
    """The value of a field; None if it is empty.

    Raises:
        DashboardError: it is no number in the parameter's range.
    """
    kind, low, high = _RANGES[name]
    text = text.strip().replace(",", ".")
    if not text:
        return None
    form = r"[0-9]{1,10}" if kind is int else r"[0-9]{1,4}(\.[0-9]{1,6})?"
    if not re.fullmatch(form, text) or not low <= kind(text) <= high:
        what = "a whole number" if kind is int else "a number"
        raise errors.bad_field(label, f"must be {what} from {low:g} to {high:.12g}")
    return kind(text)


def read_schema(text: str) -> dict[str, Any]:
    """A JSON schema.

    Raises:
        DashboardError: it is no JSON object.
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise errors.bad_field("The schema", f"is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise errors.bad_field("The schema", 'must be an object such as {"type": "object"}')
    return found
