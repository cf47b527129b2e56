"""What an operation of the admin API is: its path, its fields, and the function that carries it out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from psycopg import Connection

from proxy.operators import errors
from runtime.config import Config

Parse = Callable[[str], object]
"""Raises ValueError with a text that says what is allowed."""
Schema = Mapping[str, object]
"""A JSON schema."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a body, or a parameter of a query."""

    name: str
    parse: Parse
    help: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    required: bool = False
    nullable: bool = False
    """Whether null is a value of its own; it means the default, or none."""

    def value_of(self, given: object) -> object:
        """The value of what a request has for this field.

        Raises:
            ApiError: 400.
        """
        if given is None and self.nullable:
            return None
        if self.schema.get("type") == "boolean":
            if not isinstance(given, bool) and given not in ("true", "false"):
                raise errors.invalid_field(self.name, "must be true or false")
            return given in (True, "true")
        if self.schema.get("type") == "array":
            return self._list_of(given)
        wanted = str if self.schema.get("type") == "string" else int | float | str
        if isinstance(given, bool) or not isinstance(given, wanted):
            raise errors.invalid_field(self.name, f"must be a {self.schema.get('type')}")
        try:
            return self.parse(str(given))
        except ValueError as error:
            raise errors.invalid_field(self.name, str(error)) from error

    def _list_of(self, given: object) -> list[object]:
        most = self.schema.get("maxItems")
        if not isinstance(given, list) or len(given) > int(str(most)):
            raise errors.invalid_field(self.name, f"must be a list of at most {most} texts")
        try:
            return [self.parse(str(item)) for item in given]
        except ValueError as error:
            raise errors.invalid_field(self.name, str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of an operation. `values` has the checked fields that were given."""

    path: Mapping[str, str]
    values: Mapping[str, Any]
    administrator: str
    """Who calls."""
    now: datetime
    config: Config

    def given(self, *names: str) -> dict[str, Any]:
        """Those of these fields that were given."""
        return {name: self.values[name] for name in names if name in self.values}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path. `run` returns what the response has as JSON."""

    method: str
    path: str
    """With names of parameters in braces."""
    summary: str
    run: Callable[[Connection, Call], object]
    fields: tuple[Field, ...] = ()
    """Of the query for GET and DELETE, else of the body."""
    status: int = 200

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the path; a name is what stands between two slashes."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))

    def values_of(self, given: Mapping[str, object]) -> dict[str, object]:
        """The checked fields.

        Raises:
            ApiError: 400, one is unknown, missing or has a bad value.
        """
        known = {one.name: one for one in self.fields}
        for name in given:
            if name not in known:
                allowed = ", ".join(known) or "none"
                raise errors.invalid_field(name[:80], f"is not known here; there are: {allowed}")
        for one in self.fields:
            if one.required and given.get(one.name) is None:
                raise errors.missing_field(one.name)
        return {name: known[name].value_of(value) for name, value in given.items()}


def page_of(found: list[Any], limit: int, cursor: Callable[[Any], object]) -> dict[str, object]:
    """A page of a list that was read with one row more than `limit`. `after` asks for the next one."""
    page = found[:limit]
    more = len(found) > limit
    return {"data": page, "has_more": more, "next": cursor(page[-1]) if more else None}
