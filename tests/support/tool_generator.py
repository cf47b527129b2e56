"""Functions with random schemas, as agents offer them."""

from __future__ import annotations

from random import Random
from typing import Any

Json = dict[str, Any]

_NAMES = ("city", "path", "query", "limit", "unit", "recursive", "tags", "when", "filter", "x-id")
_DEPTH = 2
_SENTENCE = "Says something about it that a model should know. "


def random_tool(random: Random, number: int, *, description_characters: int = 40) -> Json:
    """A tool with a random schema.

    Args:
        random: draws it.
        number: a part of its name.
        description_characters: how much is said of it.
    """
    separator = random.choice("_.-/:")
    text = (_SENTENCE * (1 + description_characters // len(_SENTENCE)))[:description_characters]
    function: Json = {"name": f"do{separator}{number}", "description": text}
    if random.random() < 0.95:
        function["parameters"] = _object(random, _DEPTH)
    if random.random() < 0.3:
        function["strict"] = True
    return {"type": "function", "function": function}


def _object(random: Random, depth: int) -> Json:
    names = random.sample(_NAMES, random.randrange(5))
    return {
        "type": "object",
        "properties": {name: _value(random, depth - 1) for name in names},
        "required": [name for name in names if random.random() < 0.6],
        "additionalProperties": False,
    }


def _value(random: Random, depth: int) -> Json:
    low = random.randrange(-5, 5)
    kinds: list[Json] = [
        {"type": "integer", "minimum": low, "maximum": low + random.randrange(1, 99)},
        {"type": "boolean"},
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "maxLength": random.randrange(1, 12)},
        {"type": "string", "pattern": "^[a-z]{1,6}-[0-9]{2}$"},
        {"enum": random.sample(["celsius", "kelvin", 'a "b"', "", "é", "</parameter>"], 3)},
        {"enum": [1, "two", None]},
        {"anyOf": [{"type": "string", "maxLength": 4}, {"type": "null"}]},
        {"const": "only"},
    ]
    if depth > 0:
        kinds.append({"type": "array", "items": _value(random, depth - 1), "maxItems": 3})
        kinds.append(_object(random, depth))
    return random.choice(kinds)
