"""What ends the stock llama_cpp.server's process when a request holds it."""

from __future__ import annotations

from typing import Any

KILLING_SCHEMAS: dict[str, dict[str, Any]] = {
    "digits": {"type": "string", "pattern": r"^\d+$"},
    "word characters": {"type": "string", "pattern": r"^\w+$"},
    "spaces": {"type": "string", "pattern": r"^\s+$"},
    "no spaces": {"type": "string", "pattern": r"^\S+$"},
    "an escaped dot": {"type": "string", "pattern": r"^a\.b$"},
    "an escaped slash": {"type": "string", "pattern": r"^a\/b$"},
    "a word's edge": {"type": "string", "pattern": r"^\bfoo$"},
    "a range backwards": {"type": "string", "pattern": "^[z-a]+$"},
    "an empty enum": {"enum": []},
    "an empty anyOf": {"anyOf": []},
    "no types": {"type": []},
    "NUL in a const": {"const": "a\0b"},
    "NUL in an enum": {"enum": ["a\0b"]},
    "a quote in a const": {"const": 'a"b'},
    "a quote in an enum": {"enum": ['a"b']},
    "a quote in a property's name": {
        "type": "object",
        "properties": {'a"b': {"type": "string"}},
        "required": ['a"b'],
    },
    "a quote in an optional property's name": {
        "type": "object",
        "properties": {'a"b': {"type": "string"}},
    },
    "NUL in a property's name": {
        "type": "object",
        "properties": {"a\0b": {"type": "string"}},
        "required": ["a\0b"],
    },
    "a long string allowed": {"type": "string", "maxLength": 2000},
    "a long array allowed": {"type": "array", "items": {"type": "string"}, "maxItems": 2000},
}

INVALID_GRAMMARS = {
    "an open bracket": "root ::= [",
    "no root": 'start ::= "a"',
    "an undefined rule": "root ::= nowhere",
    "left recursion": 'root ::= root "a" | "a"',
    "NUL": 'root ::= "a\0"',
    "too many repetitions": 'root ::= "a"{100000}',
    "valid, but nested deeper than the parser's stack": "root ::= "
    + "(" * 100_000
    + '"a"'
    + ")" * 100_000,
}


def named_tool(parameters: dict[str, Any]) -> dict[str, Any]:
    function = {"name": "f", "parameters": parameters}
    choice = {"type": "function", "function": {"name": "f"}}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_object", "schema": schema}}
