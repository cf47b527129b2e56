"""What a function's schema says of its arguments, one by one: for syntaxes that do not write JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Schema = dict[str, Any]

_MAX_REFERENCES = 8
_TEXT_BOUNDS = frozenset(("minLength", "maxLength", "pattern", "format"))
_COMPOSITION = frozenset(("$ref", "anyOf", "oneOf", "allOf", "enum", "const", "not", "if"))
_BESIDE_REFERENCE = frozenset("$ref $defs definitions $schema $id $comment title description".split())
EMPTY: Schema = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument of a function."""

    key: str
    schema: Schema
    definitions: Schema = field(default_factory=dict)
    """What the schema may refer to: the function's `$defs`."""
    is_required: bool
    texts: tuple[str, ...] | None = None
    """The texts that it may be, if it is one of some; empty for any text; None if it is no text."""
    may_be_null: bool = False
    """Whether null is allowed for a text."""

    @property
    def is_any_boolean(self) -> bool:
        return self.schema.get("type") == "boolean" and not _COMPOSITION & self.schema.keys()

    def complete_schema(self) -> Schema:
        """The schema with the definitions, if it refers to any."""
        has_references = '"$ref"' in json.dumps(self.schema)
        return {**self.schema, **self.definitions} if has_references else self.schema

    def with_schema_of(self, other: Argument | None) -> Argument:
        """The argument with the schema of another; with any, if there is no other."""
        if other is None:
            return replace(self, schema={}, definitions={})
        return replace(self, schema=other.schema, definitions=other.definitions)


def object_schema(parameters: Mapping[str, Any]) -> Schema:
    """A function's schema, as one of an object. A function without parameters takes none."""
    schema = _without_reference(dict(parameters))
    if not schema:
        return EMPTY
    if "type" not in schema and not _COMPOSITION & schema.keys():
        schema["type"] = "object"
    is_open = {"additionalProperties", "patternProperties", *_COMPOSITION} & schema.keys()
    if schema.get("type") == "object" and not schema.get("properties") and not is_open:
        # What else a model would make up is no argument of the function.
        return schema | {"properties": {}, "additionalProperties": False}
    return schema


def _without_reference(schema: Schema) -> Schema:
    """The schema with what it refers to in place of the reference, if it says nothing else."""
    found = _resolved(schema, schema) if schema.keys() <= _BESIDE_REFERENCE else {}
    if not found:
        return schema
    return {**found, **{name: value for name, value in schema.items() if name != "$ref"}}


def arguments(parameters: Mapping[str, Any]) -> list[Argument] | None:
    """The arguments that a schema names; None if it is not a list of such."""
    root = object_schema(parameters)
    properties, required = root.get("properties"), root.get("required", [])
    if root.get("type") != "object" or not isinstance(properties, Mapping):
        return None
    names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    keys = list(dict.fromkeys((*properties, *names)))
    return [_argument(key, properties.get(key, {}), root, key in names) for key in keys]


def other_argument(parameters: Mapping[str, Any]) -> Argument | None:
    """What any argument is where a schema does not name them, if it says that."""
    root = object_schema(parameters)
    schema = root.get("additionalProperties")
    return _argument("", schema, root, is_required=False) if isinstance(schema, dict) else None


def _argument(key: str, given: Any, root: Schema, is_required: bool) -> Argument:
    schema = given if isinstance(given, dict) else {}
    definitions: Schema = {name: root[name] for name in ("$defs", "definitions") if name in root}
    texts, may_be_null = _texts(_resolved(schema, root), root)
    return Argument(
        key=key,
        schema=schema,
        definitions=definitions,
        is_required=is_required,
        texts=texts,
        may_be_null=may_be_null,
    )


def _texts(schema: Schema, root: Schema) -> tuple[tuple[str, ...] | None, bool]:
    """The texts that a value may be (see `Argument.texts`), and whether it may be null."""
    alternatives = list(_alternatives(schema, root))
    may_be_null = any(one.get("type") == "null" for one in alternatives)
    wanted = [one for one in alternatives if one.get("type") != "null"]
    if len(wanted) != 1:
        return None, False
    (only,) = wanted
    values = only.get("enum", [only["const"]] if "const" in only else None)
    if values is not None:
        is_text = isinstance(values, list) and values and all(isinstance(one, str) for one in values)
        return (tuple(values), may_be_null) if is_text else (None, False)
    is_text = only.get("type") == "string" and not _TEXT_BOUNDS & only.keys()
    return ((), may_be_null) if is_text else (None, False)


def _alternatives(schema: Schema, root: Schema) -> Iterator[Schema]:
    """The kinds of values of a schema, where it says no more than which they are."""
    types = schema.get("type")
    if isinstance(types, list):
        yield from ({**schema, "type": one} for one in types)
        return
    choices = schema.get("anyOf")
    if isinstance(choices, list) and "type" not in schema:
        yield from (_resolved(one, root) for one in choices if isinstance(one, dict))
        return
    yield schema


def _resolved(schema: Schema, root: Schema) -> Schema:
    """What a schema refers to, within `root`."""
    for _ in range(_MAX_REFERENCES):
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        found: Any = root
        for step in reference[2:].split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        schema = found if isinstance(found, dict) else {}
    return {}
