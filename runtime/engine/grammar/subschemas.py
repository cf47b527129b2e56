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


def parts(schema: Schema) -> Iterator[tuple[Path, Any]]:
    """What stands where a schema should, in well-formed keywords: its place, and itself."""
    for name in BY_NAME:
        if isinstance(schema.get(name), dict):
            yield from (((name, key), part) for key, part in schema[name].items())
    for name in LISTS:
        if isinstance(schema.get(name), list):
            yield from (((name, number), part) for number, part in enumerate(schema[name]))
    for name in SINGLE:
        if isinstance(schema.get(name), dict | bool):
            yield (name,), schema[name]


def walk(schema: Any, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """The schemas in a schema, itself first."""
    if isinstance(schema, dict):
        yield path, schema
        for place, part in parts(schema):
            yield from walk(part, (*path, *place))
