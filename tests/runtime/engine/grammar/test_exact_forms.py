"""Bounds of numbers: what llguidance makes of them."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from runtime.engine.grammar.exact_forms import in_exact_forms
from tests.runtime.engine.grammar.test_patterns import answer, matcher_of

STEPS = ("0", "1e-20", "1e-15", "1e-9", "0.5", "1", "2", "1024")


def texts_near(value: float) -> list[str]:
    """Texts of numbers at a bound and on both sides of it."""
    at = Decimal(repr(value))
    return [format(at + sign * Decimal(step), "f") for step in STEPS for sign in (1, -1)]


def fits(value: float, schema: dict[str, Any]) -> bool:
    return (
        ("minimum" not in schema or value >= schema["minimum"])
        and ("maximum" not in schema or value <= schema["maximum"])
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
    )


@pytest.mark.parametrize("kind", ["number", "integer"])
@pytest.mark.parametrize(
    "bounds",
    [
        {"exclusiveMinimum": 1},
        {"exclusiveMaximum": -3.75},
        {"exclusiveMinimum": -100, "exclusiveMaximum": 0.3333333333333333},
        {"minimum": 100.00000000000001},
        {"maximum": 0.30000000000000004, "minimum": -0.1},
        {"exclusiveMinimum": 1e-10, "maximum": 7},
        {"minimum": 2.5e-12, "exclusiveMaximum": 1e16},
        {"exclusiveMinimum": 1e17},
        {"exclusiveMaximum": -1e16},
        {"minimum": 9007199254740993},
        {"exclusiveMinimum": 1000000000000000.5},
        {"minimum": -(2**63), "maximum": 2**63 - 1},
        {"exclusiveMaximum": 2**63 - 1, "minimum": 0.1},
        {"minimum": 3, "exclusiveMinimum": 1e15, "maximum": 1e18},
    ],
)
def test_a_number_is_within_its_bounds(bounds: dict[str, float], kind: str) -> None:
    """As a client reads it, which has floats."""
    schema = {"type": kind, **bounds}
    matcher = matcher_of(in_exact_forms(schema))
    assert not matcher.is_error(), matcher.get_error()
    random = Random(1)  # noqa: S311
    near = [text for value in bounds.values() for text in texts_near(value)]
    allowed = [
        text for text in near if matcher.deep_copy().validate_tokens(list(text.encode())) == len(text)
    ]
    generated = [answer(matcher, random).decode() for _ in range(8)]

    # A text may go on: 1 is allowed where 10 is.
    ended = [text for text in allowed if _may_end(matcher, text)]
    assert ended or kind == "integer"
    assert not [text for text in [*ended, *generated] if not fits(json.loads(text), schema)]


def _may_end(matcher: Any, text: str) -> bool:
    copy = matcher.deep_copy()
    copy.consume_tokens(list(text.encode()))
    return bool(copy.is_accepting())
