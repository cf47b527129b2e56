"""Reads a request's body: from bytes to checked fields, or a 400 that names the field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from runtime.engine import errors
from runtime.engine.api.fields import FIELD_ERROR, Body

MAX_VALUES = 500_000
"""The most values in one body, approximately. Parsing holds the interpreter's lock: some 500,000 values
take a quarter of a second."""

MAX_NESTING = 128
"""The deepest nesting of arrays and objects in a field: what reads them recurses."""

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
        Refusal: 400; it is not, has too many values, or is nested too deep.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise errors.invalid(None, f"The request body has more than {MAX_VALUES} values or commas.")
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.invalid_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    if not isinstance(sent, dict):
        raise errors.invalid_json("an object is wanted")
    if body.count(b"[") + body.count(b"{") > MAX_NESTING:
        _check_nesting(sent)
    return sent


def _check_nesting(sent: dict[str, Any]) -> None:
    """Refuse fields that are nested too deep; without recursion."""
    for name, field in sent.items():
        level = [field]
        for _ in range(MAX_NESTING + 1):
            level = [
                item
                for container in level
                if isinstance(container, dict | list)
                for item in (container.values() if isinstance(container, dict) else container)
            ]
        if level:
            shown = name[:100]
            raise errors.invalid(shown, f"{shown} is nested more than {MAX_NESTING} levels deep.")


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
    found = error.errors(include_url=False, include_input=False)
    first = max(found, key=lambda one: _depth(sent, one["loc"], of=found[0]["loc"]))
    missing = first["type"] == "missing"
    if first["type"] == FIELD_ERROR:
        param = first["ctx"]["field"]
    else:
        param = _param(sent, first["loc"], missing=missing)
    text = "is required" if missing else first["msg"].removeprefix("Value error, ")
    code = "missing_required_parameter" if missing else "invalid_value"
    return errors.invalid(param or None, f"{param or 'The body'}: {text}.", code=code)


def _depth(sent: Any, location: tuple[int | str, ...], *, of: tuple[int | str, ...]) -> int:
    """How many steps of an error's location are in the body; -1 unless it is about the field `of`.

    The members of a union fail one by one: the one that failed deepest is the one that was meant.
    """
    if location[:1] != of[:1]:
        return -1
    return sum(1 for _ in _steps(sent, location))


def _steps(sent: Any, location: tuple[int | str, ...]) -> Iterator[int | str]:
    """Those steps of a location that are in the body.

    pydantic's locations also name the members of unions, and validators: they are no fields.
    """
    here = sent
    for step in location:
        is_item = isinstance(step, int) and isinstance(here, list) and step < len(here)
        if is_item or (isinstance(step, str) and isinstance(here, dict) and step in here):
            here = here[step]
            yield step


def _param(sent: Any, location: tuple[int | str, ...], *, missing: bool) -> str:
    """A field's name as OpenAI's errors write it: messages[0].content.

    A field that is missing, or null, is the last step.
    """
    steps = list(_steps(sent, location))
    if missing:
        steps = [*_steps(sent, location[:-1]), location[-1]]
    name = ""
    for step in steps:
        if isinstance(step, int):
            name += f"[{step}]"
        else:
            name += f".{step}" if name else step
    return name[:200]
