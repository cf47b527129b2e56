"""Reads a request's body: from bytes to checked fields, or a 400 that names the field."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from runtime.engine import errors
from runtime.engine.api.schemas import Body

MAX_VALUES = 500_000
"""The most values in one body, approximately. Parsing holds the interpreter's lock: some 500,000 values
take a quarter of a second."""

Request = TypeVar("Request", bound=Body)


def parse(kind: type[Request], body: bytes) -> tuple[Request, dict[str, Any]]:
    """Read a request's body; also as it was sent.

    Raises:
        Refusal: 400 that names the field.
    """
    sent = read_object(body)
    return validated(kind, sent), sent


def read_object(body: bytes) -> dict[str, Any]:
    """Read a body that is the JSON of an object.

    Raises:
        Refusal: 400; it is not, or has too many values.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise errors.invalid(None, f"The request body has more than {MAX_VALUES} values or commas.")
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.invalid_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    if not isinstance(sent, dict):
        raise errors.invalid_json("an object is wanted")
    return sent


def validated(kind: type[Request], sent: dict[str, Any]) -> Request:
    """Check a request's fields.

    Raises:
        Refusal: 400 that names the field.
    """
    try:
        return kind.model_validate(sent)
    except ValidationError as error:
        raise _refusal(sent, error) from error


def _refusal(sent: dict[str, Any], error: ValidationError) -> errors.Refusal:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = _param(sent, first["loc"])
    missing = first["type"] == "missing"
    text = "is required" if missing else first["msg"].removeprefix("Value error, ")
    code = "missing_required_parameter" if missing else "invalid_value"
    return errors.invalid(param or None, f"{param or 'The body'}: {text}.", code=code)


def _param(sent: Any, location: tuple[int | str, ...]) -> str:
    """A field's name as OpenAI's errors write it: messages[0].content.

    pydantic's locations also name the members of unions, which are left out: they are not in the body.
    """
    name, here = "", sent
    for number, step in enumerate(location):
        if isinstance(step, int) and isinstance(here, list) and step < len(here):
            name, here = f"{name}[{step}]", here[step]
        elif isinstance(step, str) and isinstance(here, dict):
            is_last = number == len(location) - 1
            if step in here or is_last:
                name, here = f"{name}.{step}" if name else step, here.get(step)
    return name[:200]
