"""Bounds and patterns of a schema, in forms that llguidance enforces exactly."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

from runtime.engine.grammar.patterns import exact
from runtime.engine.grammar.subschemas import Schema, places
from runtime.engine.grammar.tidying import tidied

_TINY = 1e-9
_LARGE = 10**15  # from here on a float has no fraction, or hardly one
_LARGEST = 2**63  # llguidance takes what is below
_DIGITS = 15  # of a decimal number that is exact as a float, however it is read


def in_exact_forms(schema: Any) -> Any:
    """The schema with bounds and patterns in forms that are enforced exactly.

    Bounds of draft 4, whose `exclusiveMinimum` is true or false, become today's.
    """
    if not isinstance(schema, dict):
        return schema
    made = tidied(schema)
    for bound, exclusive, sign in (
        ("minimum", "exclusiveMinimum", 1),
        ("maximum", "exclusiveMaximum", -1),
    ):
        if isinstance(made.get(exclusive), bool):
            is_exclusive = made.pop(exclusive)
            if is_exclusive and bound in made:
                made[exclusive] = made.pop(bound)
        for name in (bound, exclusive):
            inclusive = _inclusive(made, name, sign)
            if inclusive is not None:
                del made[name]
                _narrow(made, bound, inclusive, sign)
    if isinstance(made.get("pattern"), str):
        made["pattern"] = exact(made["pattern"])
    if isinstance(patterns := made.get("patternProperties"), dict):
        # Two patterns that are one in their exact forms stay as they are.
        forms = {exact(pattern): schema for pattern, schema in patterns.items()}
        made["patternProperties"] = forms if len(forms) == len(patterns) else patterns
    for keyword, place in places(made):
        place[keyword] = in_exact_forms(place[keyword])
    return made


def _inclusive(schema: Schema, name: str, sign: int) -> float | None:
    """The inclusive bound in place of one that llguidance (1.9.1) does not enforce exactly, or None.

    It reads bounds as floats, the last digits of long ones wrong. It allows texts that are read as an
    exclusive bound, such as 1.00000000000000000001, and a whole one itself, if the other side's is near.
    """
    value: Any = schema.get(name)
    is_exclusive = name.startswith("exclusive")
    if type(value) not in (int, float) or abs(value) > _LARGEST:
        return None
    if abs(value) >= _LARGE:
        return _whole_inside(value, sign, is_exclusive=is_exclusive)
    if schema.get("type") == "integer":
        return None
    if value != 0:
        inside = _short_inside(value, sign, is_exclusive=is_exclusive)
        return inside if inside != value else None
    others = ("maximum", "exclusiveMaximum") if sign > 0 else ("minimum", "exclusiveMinimum")
    far = [abs(other) for one in others if isinstance(other := schema.get(one), int | float)]
    is_near = is_exclusive and far and min(far) <= 1
    return sign * min(_TINY, min(far) / 1000 or _TINY) if is_near else None


def _short_inside(value: float, sign: int, *, is_exclusive: bool) -> float:
    """The first number within a bound that has few digits."""
    exact_value = Decimal(repr(value))
    context = Context(prec=_DIGITS, rounding=ROUND_CEILING if sign > 0 else ROUND_FLOOR)
    inside = context.plus(exact_value)
    if is_exclusive and inside == exact_value:
        inside = context.next_plus(inside) if sign > 0 else context.next_minus(inside)
    return float(inside)


def _whole_inside(value: float, sign: int, *, is_exclusive: bool) -> int:
    """The first whole number within a bound that is exact as a float."""
    whole = math.ceil(value) if sign > 0 else math.floor(value)
    if is_exclusive and whole == value:
        whole += sign
    near = float(whole)
    if (int(near) - whole) * sign < 0 or near == -sign * _LARGEST:
        near = math.nextafter(near, sign * math.inf)
    return int(near)


def _narrow(schema: Schema, bound: str, value: float, sign: int) -> None:
    """Set a bound, unless there is one that leaves less."""
    given = schema.get(bound)
    if not isinstance(given, int | float) or given * sign < value * sign:
        schema[bound] = value
