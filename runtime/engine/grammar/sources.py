"""Makes sources for the compiler, and refuses what is too large or too deep for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llguidance import LLMatcher

from runtime.engine import errors
from runtime.engine.grammar.compiler import Source
from runtime.engine.grammar.refusals import refusal
from runtime.engine.grammar.subschemas import Schema

MAX_DEPTH = 64
"""The deepest nesting of a schema: llguidance recurses into it, on the stack."""
MAX_GRAMMAR_CHARACTERS = 262_144
"""The longest grammar or schema."""


def json_source(schema: Schema, param: str, *, is_strict: bool) -> Source:
    """The source of a schema's grammar.

    Raises:
        Refusal: it is no schema, or too large.
    """
    text = json.dumps(schema)
    check_length(text, param)
    options: dict[str, Any] = {"whitespace_flexible": False, "lenient": not is_strict}
    compiler: Any = LLMatcher.grammar_from_json_schema
    try:
        return Source(text=compiler(text, overrides=options), is_converted=True)
    except ValueError as error:
        raise refusal(param, str(error)) from error


def check_length(text: str, param: str) -> None:
    """Refuse a grammar or schema that is too long."""
    if len(text) > MAX_GRAMMAR_CHARACTERS:
        raise errors.invalid(param, f"{param} must have at most {MAX_GRAMMAR_CHARACTERS} characters.")


def check_depth(schema: Mapping[str, Any], param: str) -> None:
    """Refuse a schema that is nested too deep for the compiler."""
    if _depth(schema) > MAX_DEPTH:
        raise errors.invalid(param, f"{param} is nested more than {MAX_DEPTH} levels deep.")


def _depth(value: Any) -> int:
    """How deep objects and arrays are nested; without recursion."""
    depth, level = 0, [value]
    while level := [
        item
        for container in level
        if isinstance(container, Mapping | list)
        for item in (container.values() if isinstance(container, Mapping) else container)
    ]:
        depth += 1
    return depth
