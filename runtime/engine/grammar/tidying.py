"""One schema's keywords, as clients write them, in the form that JSON Schema has them."""

from __future__ import annotations

from typing import Any

_MAY_BE_NULL = frozenset({"const", "default"})
_OTHER_NAMES = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
    "none": "null",
}
"""Types in other languages' words. Google's schemas have JSON Schema's in capitals."""
_COUNTS = frozenset(
    "minLength maxLength minItems maxItems minProperties maxProperties minContains maxContains".split()
)
_KNOWN_SCHEMAS = "json-schema.org/"


def tidied(schema: dict[str, Any]) -> dict[str, Any]:
    """A copy of a schema, but not of those in it, without what says nothing.

    A keyword that is null counts as absent, a count of 3.0 is one of 3, a type may have another
    language's name, or be `any`, and a `$schema` that is not JSON Schema's is ignored.
    """
    made = {
        name: int(value)
        if name in _COUNTS and isinstance(value, float) and value.is_integer()
        else value
        for name, value in schema.items()
        if value is not None or name in _MAY_BE_NULL
    }
    if _KNOWN_SCHEMAS not in str(made.get("$schema", _KNOWN_SCHEMAS)):
        del made["$schema"]
    if isinstance(kind := made.get("type"), str):
        made["type"] = _type(kind)
        if made["type"] == "any":
            del made["type"]
    elif isinstance(kind, list):
        made["type"] = [_type(one) if isinstance(one, str) else one for one in kind]
    return made


def _type(name: str) -> str:
    lower = name.lower()
    return _OTHER_NAMES.get(lower, lower)
