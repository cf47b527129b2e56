"""Forms of a tool's description for templates that do not take it as a client has sent it.

Many templates read fields that need not be there (a description, properties), or expect one form of a
schema where there may be several. A tool is given as it was sent wherever the template renders that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Tool = Mapping[str, Any]
_ANY = "string"
"""The type that a property has if its schema names none, or several."""


def tool_forms(tools: Sequence[Tool]) -> Iterator[Sequence[Tool]]:
    """The tools as they were sent; then complete; then with one type for each argument."""
    yield tools
    if tools:
        complete = [_complete(tool) for tool in tools]
        yield complete
        yield [_simple(tool) for tool in complete]


def _complete(tool: Tool) -> dict[str, Any]:
    """The tool with every field that is commonly there: empty ones where it has none."""
    function = tool.get("function")
    sent = {name: value for name, value in (function or {}).items() if value is not None}
    parameters = sent.get("parameters")
    schema = _complete_schema(parameters if isinstance(parameters, Mapping) else {})
    schema = {"type": "object", "properties": {}, "required": []} | schema
    del schema["description"]
    return {**tool, "type": "function", "function": {"description": "", **sent, "parameters": schema}}


def _complete_schema(schema: Any) -> dict[str, Any]:
    """A schema with a description, and so its properties and items; `true` and `false` are `{}`."""
    given = schema if isinstance(schema, Mapping) else {}
    made = {name: value for name, value in given.items() if value is not None}
    if not isinstance(made.get("description"), str):
        made["description"] = ""
    if "properties" in made:
        properties = made["properties"] if isinstance(made["properties"], Mapping) else {}
        made["properties"] = {name: _complete_schema(one) for name, one in properties.items()}
    if "items" in made:
        made["items"] = _complete_schema(made["items"])
    return made


def _simple(tool: dict[str, Any]) -> dict[str, Any]:
    """The tool with arguments of one type each, whose schemas stand in their descriptions."""
    function = tool["function"]
    properties = function["parameters"]["properties"]
    parameters = {
        "type": "object",
        "properties": {name: _simple_schema(schema) for name, schema in properties.items()},
        "required": function["parameters"]["required"],
    }
    return {**tool, "function": {**function, "parameters": parameters}}


def _simple_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    types = schema.get("type", _ANY)
    types = types if isinstance(types, list) else [types]
    named = [one for one in types if isinstance(one, str) and one != "null"]
    rest = {name: value for name, value in schema.items() if name != "description"}
    shown = json.dumps(rest, ensure_ascii=False) if rest.keys() - {"type"} or len(named) != 1 else ""
    description = " ".join(filter(None, (schema["description"], shown)))
    return {"type": named[0] if named else _ANY, "description": description}
