"""Keywords of a schema whose values have a form that JSON Schema does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runtime.engine.grammar.exact_forms import in_exact_forms
from runtime.engine.grammar.refusals import not_well_formed
from runtime.engine.grammar.subschemas import BY_NAME, LISTS, SINGLE, Path, Schema, parts

_TYPES = frozenset("null boolean object array number string integer".split())


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return all(isinstance(name, str) and name in _TYPES for name in names)


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


_FORMS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **{name: (lambda value: isinstance(value, dict), "an object") for name in BY_NAME},
    **{name: (lambda value: isinstance(value, list), "an array") for name in (*LISTS, "enum")},
    **dict.fromkeys(SINGLE, (_is_schema, "a schema")),
    "items": (lambda value: _is_schema(value) or isinstance(value, list), "a schema"),
    "type": (_is_type, f"one or some of {', '.join(sorted(_TYPES))}"),
    "required": (
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
        "an array of strings",
    ),
    "$ref": (lambda value: isinstance(value, str), "a string"),
}
"""For keywords that others depend on: what their values are, in a function and in words."""


def check_forms(schema: Schema, param: str, path: Path = ()) -> None:
    """Refuse a schema that has malformed values.

    Args:
        schema: the schema, tidied.
        param: the request's field that it came in.
        path: where it stands there.
    """
    for place, form in _malformed(schema, path):
        raise not_well_formed(param, place, form)


def is_well_formed(schema: Schema) -> bool:
    """Whether a schema, as it was sent, has no malformed values."""
    return next(_malformed(in_exact_forms(schema), ()), None) is None


def _malformed(schema: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """The places of values that have not the form that they should have, and what it would be."""
    if not _is_schema(schema):
        yield path, "a schema"
    if not isinstance(schema, dict):
        return
    for name, (is_right, form) in _FORMS.items():
        if name in schema and not is_right(schema[name]):
            yield (*path, name), form
    for place, part in parts(schema):
        yield from _malformed(part, (*path, *place))
