"""Keywords with values of another form than JSON Schema's are refused by their place."""

from __future__ import annotations

import re
from typing import Any

import pytest

from runtime.engine.errors import Refusal
from runtime.engine.grammar.forms import check_forms
from tests.runtime.engine.grammar.test_constraints import call_of, json_schema, object_of
from tests.support.engine import Engine

ODD: list[tuple[Any, str]] = [
    ({"type": "colour"}, "a.type"),
    ({"type": ["string", 5]}, "a.type"),
    ({"required": "b"}, "a.required"),
    ({"properties": []}, "a.properties"),
    ({"enum": "b"}, "a.enum"),
    ({"items": 5}, "a.items"),
    ({"anyOf": {}}, "a.anyOf"),
    ({"anyOf": [5, {"type": "null"}]}, "a.anyOf.0"),
    ({"type": "object", "additionalProperties": "no"}, "a.additionalProperties"),
    ({"type": "object", "properties": {"b": "string"}}, "a.properties.b"),
    ({"$ref": 5}, "a.$ref"),
    ("string", "a"),
]


@pytest.mark.parametrize(("schema", "place"), ODD)
def test_what_has_another_form_is_refused_by_place(schema: Any, place: str) -> None:
    """Wherever it stands."""
    with pytest.raises(Refusal, match=rf"^tools: f\.properties\.{re.escape(place)} must be "):
        check_forms(object_of(schema), "tools", ("f",))


async def test_the_place_is_told_in_each_way(quick: Engine) -> None:
    """With strict and without; of a function that must be called, too. Others take any object."""
    whole = object_of({"type": "colour"})

    forms = [json_schema(whole), json_schema(whole, strict=False)]
    answers = [await quick.chat(response_format=form) for form in forms]
    answers.append(await quick.chat(**call_of(whole)))
    offered = await quick.chat(max_tokens=4, tools=call_of(whole)["tools"])

    assert offered.status == 200
    assert [answer.status for answer in answers] == [400] * 3
    assert [answer.error["message"].partition(" must be ")[0] for answer in answers] == [
        "response_format: properties.a.type",
        "response_format: properties.a.type",
        "tools: f.properties.a.type",
    ]


def test_what_is_well_formed_passes() -> None:
    """Booleans are schemas, and items may be a list."""
    check_forms(
        {
            "type": ["object", "null"],
            "properties": {"a": True, "b": {"items": [{"type": "null"}, False]}},
            "additionalProperties": {"enum": [1]},
            "required": ["a"],
            "$defs": {"c": {"$ref": "#"}},
        },
        "response_format",
    )
