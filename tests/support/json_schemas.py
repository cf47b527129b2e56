"""Random JSON schemas, as people write them, and what is checked of answers that are held to them."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from random import Random
from typing import Any

import jsonschema

PATTERNS = [
    "^a+$",
    "[0-9]{2}",
    r"^\d+$",
    r"^\w{1,3}$",
    "^(a|b)*$",
    "a.b",
    "b$",
    "^[^a]*$",
    r"^\S+$",
    r"\.",
    r"^[\w.-]+@x$",
]
HARD_PATTERNS = ["^(?!0)[0-9]{2}$", r"\bab\b", r"(a)\1", "^a(?=b)b$", "(?<!x)a$", r"^(?<n>a)\k<n>$"]
"""Patterns that llguidance does not compile."""
_BOUNDS = [0, 1, -1, 0.5, -0.5, 0.1, 0.001, 1.25, 10, 100, -100, 2.5, 1e-7, 1e10, -0.25, 0.0]
_VALUES: list[Any] = [1, 0, -1, "a", "b", None, True, False, 1.5, "", {"a": 1}, [1, 2], 'é"\\', "</s>"]
_FORMATS = ["date", "date-time", "time", "email", "ipv4", "uuid", "uri", "hostname", "nonsense"]
_NAMES = ["a", "b", "c", "ab", "é"]
_MAX_DEPTH = 3

UNENFORCED = frozenset(
    "oneOf not if then else contains minContains maxContains uniqueItems propertyNames "
    "dependentRequired dependentSchemas dependencies unevaluatedProperties unevaluatedItems".split()
)
"""Keywords that are left out of schemas that are not strict."""


def random_schema(random: Random, *, hard: bool, depth: int = 0) -> dict[str, Any]:
    """A schema; `hard` allows what cannot be compiled or enforced."""
    kinds = [_integer, _number, _string, _boolean, _enum]
    if depth < _MAX_DEPTH:
        kinds += [_object, _object, _array, _any_of, _several]
        if hard:
            kinds += [_one_of, _all_of]
    return random.choice(kinds)(random, hard, depth)


def _integer(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    return {"type": "integer", **_bounds(random, 0.25)}


def _number(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    schema = {"type": "number", **_bounds(random, 0.3)}
    if hard and random.random() < 0.1:
        schema[random.choice(["minimum", "maximum"])] = 1e20
    return schema


def _bounds(random: Random, chance: float) -> dict[str, Any]:
    names = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]
    return {name: random.choice(_BOUNDS) for name in names if random.random() < chance}


def _string(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "maxLength": random.randint(3, 9)}
    if random.random() < 0.3:
        schema["minLength"] = random.randint(0, 3)
    if random.random() < 0.4:
        schema["pattern"] = random.choice(PATTERNS + HARD_PATTERNS * hard)
    elif random.random() < 0.2:
        del schema["maxLength"]
        schema["format"] = random.choice(_FORMATS[: None if hard else -1])
    return schema


def _boolean(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    return {"type": random.choice(["boolean", "null"])}


def _enum(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    if random.random() < 0.3:
        return {"const": random.choice(_VALUES)}
    return {"enum": random.sample(_VALUES, random.randint(1, 4))}


def _object(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    names = random.sample(_NAMES, random.randint(1, 4))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: random_schema(random, hard=hard, depth=depth + 1) for name in names},
        "required": random.sample(names, random.randint(0, len(names))),
        "additionalProperties": False,
    }
    if hard and random.random() < 0.2:
        part = random_schema(random, hard=hard, depth=depth + 1)
        schema["patternProperties"] = {random.choice(["^x", "^(?!a)"]): part}
    if hard and random.random() < 0.2:
        schema |= random.choice(
            [
                {"propertyNames": {"pattern": "^a"}},
                {"dependentRequired": {"a": ["b"]}},
                {"minProperties": 1},
            ]
        )
    return schema


def _array(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array", "maxItems": random.randint(1, 3)}
    schema["items"] = random_schema(random, hard=hard, depth=depth + 1)
    if random.random() < 0.3:
        schema["minItems"] = random.randint(0, 1)
    if hard and random.random() < 0.3:
        schema |= random.choice([{"uniqueItems": True}, {"contains": {"type": "integer"}}])
    return schema


def _any_of(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    parts = [random_schema(random, hard=hard, depth=depth + 1) for _ in range(random.randint(1, 3))]
    return {"anyOf": parts}


def _one_of(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    return {"oneOf": _any_of(random, hard, depth)["anyOf"]}


def _all_of(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    return {"allOf": [random_schema(random, hard=hard, depth=depth + 1)]}


def _several(random: Random, hard: bool, depth: int) -> dict[str, Any]:
    kinds = random.sample(["integer", "null", "number", "boolean"], random.randint(1, 3))
    return {"type": kinds, "minimum": random.choice(_BOUNDS)}


def violations(text: str, schema: Any, *, strict: bool) -> list[str]:
    """What of a schema an answer does not fit; without `strict`, of what is promised then."""
    value = json.loads(text, parse_float=_exact)
    promised = schema if strict else _promised(schema)
    validator = jsonschema.Draft202012Validator(json.loads(json.dumps(promised), parse_float=_exact))
    return [f"{error.json_path}: {error.validator}" for error in validator.iter_errors(value)]


def _exact(number: str) -> Decimal | float:
    """As in JSON: 0.47 is a multiple of 0.01."""
    try:
        return Decimal(number)
    except InvalidOperation:  # an exponent of more digits than it takes
        return float(number)


def _promised(schema: Any) -> Any:
    """The schema without what is left out if it is not strict."""
    if isinstance(schema, list):
        return [_promised(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {}
    for name, value in schema.items():
        if name == "oneOf":
            made["anyOf"] = _promised(value)
        elif name == "properties":
            made[name] = {key: _promised(part) for key, part in value.items()}
        elif name == "patternProperties":
            made[name] = {key: _promised(part) for key, part in value.items() if "(?" not in key}
        elif name in ("enum", "const", "required"):
            made[name] = value
        elif (name, value) in _HARD or name in UNENFORCED or value == 1e20:
            continue
        else:
            made[name] = _promised(value)
    return made


class _Hard:
    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and item[0] == "pattern" and item[1] in HARD_PATTERNS


_HARD = _Hard()
