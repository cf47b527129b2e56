"""Keywords that cannot be compiled: left out one by one, or refused by name if strict."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from runtime.engine.grammar.compiler import Source, Verdict
from runtime.engine.grammar.exact_forms import in_exact_forms
from runtime.engine.grammar.relaxations import MAX_CHARACTERS, Relaxations
from runtime.engine.grammar.relaxing import BUDGET_S, MAX_CHECKS, relaxed
from tests.runtime.engine.grammar.test_constraints import MAX, json_schema, object_of
from tests.support.engine import Engine
from tests.support.json_schemas import HARD_PATTERNS, random_schema, violations

LOOK_AHEAD = "^(?!0)[0-9]{2}$"


async def test_a_pattern_that_cannot_be_compiled_is_left_out(quick: Engine) -> None:
    """It alone: what else the schema says holds."""
    hard = {"type": "string", "pattern": LOOK_AHEAD, "maxLength": 4}
    schema = {
        "type": "object",
        "properties": {"a": hard, "b": {"type": "string", "pattern": "^[xy]{3}$"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }

    answer = await quick.chat(**MAX, response_format=json_schema(schema, strict=False))

    value = json.loads(answer.content)
    assert len(value["a"]) <= 4
    assert set(value["b"]) <= {"x", "y"}
    assert len(value["b"]) == 3


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        *(({"type": "string", "pattern": pattern}, "properties.a.pattern") for pattern in HARD_PATTERNS),
        ({"type": "array", "items": {"type": "string", "format": "odd"}}, "properties.a.items.format"),
        ({"type": "number", "minimum": 1e20}, "properties.a.minimum"),
        ({"anyOf": [{"not": {"type": "null"}}]}, "properties.a.anyOf.0.not"),
    ],
)
async def test_a_strict_schema_is_refused_by_keyword_and_path(
    quick: Engine, schema: Any, place: str
) -> None:
    """So that a client finds it; without strict the same schema is answered."""
    strict = await quick.chat(**MAX, response_format=json_schema(object_of(schema)))
    lenient = await quick.chat(**MAX, response_format=json_schema(object_of(schema), strict=False))

    assert strict.status == 400
    assert place in strict.error["message"]
    assert strict.error["param"] == "response_format"
    assert lenient.status == 200


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "bounds",
    [
        {"exclusiveMinimum": 0, "maximum": 0.5},
        {"exclusiveMinimum": 1, "exclusiveMaximum": 1.25},
        {"exclusiveMaximum": -7, "minimum": -7.5},
        {"exclusiveMinimum": 0.0, "exclusiveMaximum": 0.1},
        {"exclusiveMaximum": 0, "minimum": -0.25},
        {"minimum": 0, "exclusiveMinimum": True, "maximum": 0.5},
    ],
)
async def test_exclusive_bounds_are_exact(quick: Engine, bounds: dict[str, Any], strict: bool) -> None:
    """The bound is never an answer, whatever the seed."""
    form = json_schema(object_of({"type": "number", **bounds}), strict=strict)

    answer = await quick.chat(**MAX, response_format=form, n=12, seed=1, temperature=2)

    contents = [choice["message"]["content"] for choice in answer.json["choices"]]
    values = [json.loads(content)["a"] for content in contents if content.endswith("}")]
    exclusive = {bound for name, bound in bounds.items() if name.startswith("exclusive")}
    assert values
    assert not ({0} if True in exclusive else exclusive) & {*values}


async def test_a_schema_is_in_its_exact_form_beside_tools(quick: Engine) -> None:
    """Where the response may be a call, or what the schema says: for the compiler `[[a]]` is one `a`."""
    form = json_schema({"type": "string", "pattern": "^[[a]]$"})
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]

    answer = await quick.chat(**MAX, response_format=form, tools=tools, seed=2, n=8)

    messages = [choice["message"] for choice in answer.json["choices"]]
    assert {one["content"] for one in messages if "tool_calls" not in one} <= {'"[]"', '"a]"'}
    assert not all("tool_calls" in one for one in messages)


@pytest.mark.parametrize("strict", [False, True])
async def test_answers_fit_random_schemas(quick: Engine, strict: bool) -> None:
    """Without violations of what is promised: all of a strict schema, or all but what is left out."""
    random = Random(7)  # noqa: S311 - no secret
    n_answers = 0
    for _ in range(25):
        schema = random_schema(random, hard=not strict)
        form = json_schema(schema, strict=strict)
        answer = await quick.chat(
            messages=[{"role": "user", "content": "a"}], **MAX, response_format=form, n=2
        )
        if answer.status != 200:
            assert "nsatisf" in answer.text or "no text satisfies it" in answer.text, (
                schema,
                answer.text,
            )
            continue
        for choice in answer.json["choices"]:
            if choice["finish_reason"] == "stop":
                n_answers += 1
                assert violations(choice["message"]["content"], schema, strict=strict) == [], schema

    assert n_answers > 25


PATTERNS = {f"p{number}": {"type": "string", "pattern": f"a{{{number}}}"} for number in range(500)}


@pytest.mark.parametrize("needed_s", [0.0, 0.3, 5.0])
def test_questions_about_one_schema_are_bounded(needed_s: float) -> None:
    """In number, and in the processor time of all; then everything that may be at fault is left out."""
    asked: list[float] = []

    def refused(_: Any, seconds: float) -> Verdict:
        asked.append(min(needed_s, seconds))
        return Verdict(error="no", seconds=asked[-1])

    made = relaxed({"type": "object", "properties": PATTERNS}, refused)

    assert len(asked) <= MAX_CHECKS + 10
    assert sum(asked) <= BUDGET_S + 1e-6
    assert not any("pattern" in part for part in made["properties"].values())


@pytest.mark.parametrize("strict", [False, True])
async def test_a_pattern_with_a_very_long_number_is_refused(quick: Engine, strict: bool) -> None:
    """By the request's field, as others that are no regular expression."""
    schema = object_of({"type": "string", "pattern": "a{" + "1" * 5000 + "}"})

    answer = await quick.chat(**MAX, response_format=json_schema(schema, strict=strict))

    assert answer.status == 400
    assert answer.error["param"] == "response_format"


def test_what_is_remembered_of_relaxing_is_bounded() -> None:
    """In characters; the latest are kept."""
    memory = Relaxations()
    sources = [Source(text=f"{number}" + "x" * 250_000, is_converted=True) for number in range(40)]
    for number, source in enumerate(sources):
        memory.put(source, Source(text=f"made {number}" + "y" * 250_000, is_converted=True))

    assert memory.n_characters <= MAX_CHARACTERS
    assert memory.get(sources[0]) is None
    last = memory.get(sources[-1])
    assert last is not None
    assert last.text.startswith("made 39")
    assert memory.get(Source(text=sources[-1].text, is_converted=False)) is None


def test_exact_bounds_leave_other_schemas_alone() -> None:
    """Properties of these names are no keywords, and values of enum no schemas."""
    schema = {
        "properties": {"exclusiveMinimum": {"type": "number", "minimum": 0}},
        "enum": [{"exclusiveMinimum": 0, "maximum": 0.5}],
        "exclusiveMinimum": 0,
    }

    assert in_exact_forms(schema) == schema
