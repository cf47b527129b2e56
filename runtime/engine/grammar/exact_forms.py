"""Bounds and patterns of a schema, in forms that llguidance enforces exactly."""

from __future__ import annotations

from typing import Any

from runtime.engine.grammar.patterns import exact
from runtime.engine.grammar.subschemas import Schema, places
from runtime.engine.grammar.tidying import tidied

_TINY = 1e-9
_EXACT = 10**6  # below it, a whole number has others beside it that are that near


def in_exact_forms(schema: Any) -> Any:
    """The schema with bounds and patterns in forms that are enforced exactly.

    llguidance (1.9.1) allows a whole number that is an exclusive bound if the other bound is near; the
    bound becomes an inclusive one beside it. Bounds of draft 4, whose `exclusiveMinimum` is true or
    false, become today's.
    """
    if not isinstance(schema, dict):
        return schema
    made = tidied(schema)
    for bound, exclusive, sign in (
        ("minimum", "exclusiveMinimum", 1.0),
        ("maximum", "exclusiveMaximum", -1.0),
    ):
        if isinstance(made.get(exclusive), bool):
            is_exclusive = made.pop(exclusive)
            if is_exclusive and bound in made:
                made[exclusive] = made.pop(bound)
        if _is_whole(made.get(exclusive)) and made.get("type") != "integer":
            _put_beside(made, bound, exclusive, sign)
    if isinstance(made.get("pattern"), str):
        made["pattern"] = exact(made["pattern"])
    if isinstance(patterns := made.get("patternProperties"), dict):
        # Two patterns that are one in their exact forms stay as they are.
        forms = {exact(pattern): schema for pattern, schema in patterns.items()}
        made["patternProperties"] = forms if len(forms) == len(patterns) else patterns
    for keyword, place in places(made):
        place[keyword] = in_exact_forms(place[keyword])
    return made


def _is_whole(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _EXACT and value == int(value)


def _put_beside(schema: Schema, bound: str, exclusive: str, sign: float) -> None:
    """Replace an exclusive bound, if the one on the other side is near."""
    value = schema[exclusive]
    others = ("maximum", "exclusiveMaximum") if sign > 0 else ("minimum", "exclusiveMinimum")
    far = [abs(other - value) for name in others if isinstance(other := schema.get(name), int | float)]
    inclusive = schema.get(bound)
    is_needless = isinstance(inclusive, int | float) and inclusive * sign > value * sign
    if not far or min(far) > 1 or is_needless:
        return
    del schema[exclusive]
    schema[bound] = value + sign * min(_TINY, min(far) / 1000 or _TINY)
