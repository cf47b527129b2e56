"""Schemas as other programs write them: what says nothing is left out, everywhere in a schema."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.engine.grammar.exact_forms import in_exact_forms


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        ({"type": "object", "properties": None, "required": None}, {"type": "object"}),
        ({"type": "array", "items": None, "maxItems": 2.0}, {"type": "array", "maxItems": 2}),
        ({"type": "string", "maxLength": 3.5}, {"type": "string", "maxLength": 3.5}),
        ({"const": None}, {"const": None}),
        (
            {"type": "null", "default": None, "enum": [None]},
            {"type": "null", "default": None, "enum": [None]},
        ),
        ({"$schema": "nonsense", "type": "integer"}, {"type": "integer"}),
        ({"$schema": "http://json-schema.org/draft-04/schema#"},) * 2,
        (
            {"properties": {"a": {"minLength": 1.0, "title": None}}},
            {"properties": {"a": {"minLength": 1}}},
        ),
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "any", "title": "a"}, {"title": "a"}),
        ({"type": ["Float", "none", 5]}, {"type": ["number", "null", 5]}),
        (
            {"type": "dict", "properties": {"a": {"type": "list", "items": {"type": "int"}}}},
            {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}},
        ),
        ({"anyOf": [{"type": "null", "format": None}]}, {"anyOf": [{"type": "null"}]}),
    ],
)
def test_what_says_nothing_is_left_out(sent: dict[str, Any], taken: dict[str, Any]) -> None:
    """Null keywords, counts with a fraction of 0, and a `$schema` of nobody's; types in other words."""
    assert in_exact_forms(sent) == taken
