"""Where schemas stand in a schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
Path = tuple[str | int, ...]

BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
SINGLE = ("items", "additionalProperties", "additionalItems")


def places(schema: Schema) -> Iterator[tuple[Any, Any]]:
    """Where schemas stand in a schema: each a key, and the (copied) container that has it."""
    for name in BY_NAME:
        if isinstance(schema.get(name), dict):
            schema[name] = dict(schema[name])
            yield from ((key, schema[name]) for key in list(schema[name]))
    for name in LISTS:
        if isinstance(schema.get(name), list):
            schema[name] = list(schema[name])
            yield from ((number, schema[name]) for number in range(len(schema[name])))
    for name in SINGLE:
        if isinstance(schema.get(name), dict):
            yield name, schema


def walk(schema: Any, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """The schemas in a schema, itself first."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for name in BY_NAME:
        if isinstance(schema.get(name), dict):
            for key, part in schema[name].items():
                yield from walk(part, (*path, name, key))
    for name in LISTS:
        if isinstance(schema.get(name), list):
            for number, part in enumerate(schema[name]):
                yield from walk(part, (*path, name, number))
    for name in SINGLE:
        yield from walk(schema.get(name), (*path, name))
