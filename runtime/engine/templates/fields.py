"""Which texts in messages and tools are a user's, and which names of fields are the API's own.

The API's own names, and JSON Schema's, are never changed: templates look for fields by them. The names
of arguments and of a schema's properties are texts that a user has chosen, like any value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_OWN = frozenset(
    # messages, calls and tools
    "id index type function name arguments description parameters strict content text "
    # JSON Schema: https://json-schema.org/draft/2020-12/meta/validation and the vocabularies beside it
    "$defs $id $ref $schema additionalItems additionalProperties allOf anyOf const contains "
    "default definitions dependentRequired dependentSchemas deprecated else enum examples "
    "exclusiveMaximum exclusiveMinimum format if items maximum maxItems maxLength maxProperties minimum "
    "minItems minLength minProperties multipleOf not nullable oneOf pattern patternProperties "
    "prefixItems properties propertyNames readOnly required then title unevaluatedItems "
    "unevaluatedProperties uniqueItems writeOnly".split()
)
_NAMED_BY_USERS = frozenset(
    "$defs definitions dependentRequired dependentSchemas patternProperties properties".split()
)
"""Fields whose own fields have names that a user chooses and values that are schemas."""
_DATA = frozenset("arguments const default enum examples".split())
"""Fields whose values are a user's with all their names."""


def texts_in(value: Any, own: frozenset[str] = _OWN) -> Iterator[str]:
    """All texts of users in a part of a message or a tool."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if name not in own:
                yield str(name)
            if own and name in _NAMED_BY_USERS and isinstance(item, Mapping):
                yield from map(str, item)
                for schema in item.values():
                    yield from texts_in(schema, own)
            else:
                yield from texts_in(item, _within(name, own))
    elif isinstance(value, Sequence):
        for item in value:
            yield from texts_in(item, own)


def replaced(value: Any, change: Callable[[str], str], own: frozenset[str] = _OWN) -> Any:
    """A part of a message or a tool with each text of a user in it changed by a function."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {
            name if name in own else change(name): {
                change(chosen): replaced(schema, change, own) for chosen, schema in item.items()
            }
            if own and name in _NAMED_BY_USERS and isinstance(item, Mapping)
            else replaced(item, change, _within(name, own))
            for name, item in value.items()
        }
    if isinstance(value, Sequence):
        return [replaced(item, change, own) for item in value]
    return value


def _within(name: str, own: frozenset[str]) -> frozenset[str]:
    """The API's own names among those of a field's value."""
    return frozenset() if name in _DATA else own
