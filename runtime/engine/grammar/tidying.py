"""One schema's keywords, as clients write them, in the form that JSON Schema has them."""

from __future__ import annotations

from typing import Any

_MAY_BE_NULL = frozenset({"const", "default"})
_COUNTS = frozenset(
    "minLength maxLength minItems maxItems minProperties maxProperties minContains maxContains".split()
)
_KNOWN_SCHEMAS = "json-schema.org/"


def tidied(schema: dict[str, Any]) -> dict[str, Any]:
    """A copy of a schema, but not of those in it, without what says nothing.

    A keyword that is null counts as absent, a count of 3.0 is one of 3, and a `$schema` that is not
    JSON Schema's is ignored.
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
    return made
