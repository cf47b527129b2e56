"""Functions for tests of tool calls, and a check of what calls of them hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema import validate

FUNCTIONS: list[dict[str, Any]] = [
    {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
                "unit": {"enum": ["celsius", "kelvin"]},
                "on": {"type": "boolean"},
                "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
                "note": {"anyOf": [{"type": "null"}, {"enum": ["x", 'y"\n']}]},
            },
            "required": ["days", "on"],
            "additionalProperties": False,
        },
    },
    {"name": "ping"},
    {
        "name": "files.read-all",
        "parameters": {
            "type": "object",
            "properties": {"where": {"$ref": "#/$defs/place"}},
            "required": ["where"],
            "additionalProperties": False,
            "$defs": {
                "place": {
                    "type": "object",
                    "properties": {"line": {"type": "integer", "maximum": 99, "minimum": 0}},
                    "required": ["line"],
                    "additionalProperties": False,
                }
            },
        },
    },
]
"""With one that takes nothing, references, and names that are no identifiers."""

TOOLS: list[dict[str, Any]] = [{"type": "function", "function": one} for one in FUNCTIONS]


def check_call(name: str, arguments: str, functions: Sequence[Mapping[str, Any]] = FUNCTIONS) -> None:
    """Assert that a call is one of the functions, and that its arguments fit the schema."""
    (function,) = [one for one in functions if one["name"] == name]
    validate(json.loads(arguments), function.get("parameters") or {"maxProperties": 0})
