"""Answers held to a schema or a grammar: what the stock server dies of works, or is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.client import CHAT, DONE, HELLO, Answer
from tests.support.engine import Engine

MAX = {"max_tokens": 300}


def object_of(schema: Any, name: str = "a") -> dict[str, Any]:
    """A schema for an object with one property, which it must have."""
    return {
        "type": "object",
        "properties": {name: schema},
        "required": [name],
        "additionalProperties": False,
    }


def json_schema(schema: Any, *, strict: bool = True) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": strict},
    }


def call_of(schema: Any) -> dict[str, Any]:
    """The fields of a request that has the model call a function with these parameters."""
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    return {"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "f"}}}


async def ask(engine: Engine, way: str, schema: Any) -> Answer:
    """A chat held to a schema in one of the ways that a request can ask for it."""
    if way == "tool":
        return await engine.chat(**MAX, **call_of(schema))
    if way == "json_object":
        return await engine.chat(**MAX, response_format={"type": "json_object", "schema": schema})
    return await engine.chat(**MAX, response_format=json_schema(schema))


def text_of(answer: Answer) -> str:
    message = answer.choice["message"]
    if "tool_calls" in message:
        (call,) = message["tool_calls"]
        return str(call["function"]["arguments"])
    return str(message["content"])


WAYS = ["json_schema", "json_object", "tool"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "pattern": r"^\d{4}-\d{2}$"}, r"\d{4}-\d{2}"),
        ({"type": "string", "pattern": r"^\w\s\S$"}, r"\w\s\S"),
        ({"type": "string", "pattern": "^[a-z]{3}$"}, "[a-z]{3}"),
        ({"const": "a\0b"}, "a\0b"),
        ({"enum": ["left", "right"]}, "left|right"),
    ],
    ids=["digits", "classes", "letters", "NUL", "enum"],
)
async def test_a_pattern_holds(quick: Engine, way: str, schema: Any, expected: str) -> None:
    """The stock server dies of the first two and of the NUL."""
    answer = await ask(quick, way, object_of(schema))

    value = json.loads(text_of(answer))["a"]
    assert re.fullmatch(expected, value)
    assert answer.choice["finish_reason"] == ("tool_calls" if way == "tool" else "stop")


@pytest.mark.parametrize("way", WAYS)
async def test_a_property_may_have_any_name(quick: Engine, way: str) -> None:
    """The stock server dies of a quote or a newline in it."""
    name = 'say "hi"\nto me'

    answer = await ask(quick, way, object_of({"type": "boolean"}, name))

    assert json.loads(text_of(answer)) in ({name: True}, {name: False})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "[z-a]"},
        {"type": "string", "pattern": "("},
        {"enum": []},
        {"anyOf": []},
        {"$ref": "#/nowhere"},
        {"$ref": "https://127.0.0.1:1/schema.json"},
        {"type": "no such type"},
        {"type": "integer", "minimum": 3, "maximum": 1},
        {"type": ["integer"], "enum": ["a"]},
    ],
    ids=["range", "bracket", "enum", "anyOf", "dangling", "url", "type", "empty range", "clash"],
)
async def test_a_schema_that_cannot_be_met_is_refused(quick: Engine, way: str, schema: Any) -> None:
    """With a 400 that names the field, before anything is generated; nothing is fetched."""
    answer = await ask(quick, way, object_of(schema))

    assert answer.status == 400
    assert answer.error["code"] == "invalid_grammar"
    assert answer.error["param"] == ("tools" if way == "tool" else "response_format")


async def test_the_schema_false_allows_nothing(quick: Engine) -> None:
    """It is refused rather than left out."""
    answer = await quick.chat(
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": False}},
    )

    assert answer.status == 400
    assert answer.error["param"] == "response_format"


async def test_what_cannot_be_enforced_is_refused_when_strict(quick: Engine) -> None:
    """And left out otherwise, as OpenAI does."""
    schema = object_of({"type": "array", "items": {"type": "null"}, "uniqueItems": True, "maxItems": 2})

    strict = await quick.chat(**MAX, response_format=json_schema(schema))
    lenient = await quick.chat(**MAX, response_format=json_schema(schema, strict=False))

    assert strict.status == 400
    assert "uniqueItems" in strict.error["message"]
    assert isinstance(json.loads(lenient.content)["a"], list)


async def test_a_schema_nested_deeply_is_refused(quick: Engine) -> None:
    """The compiler recurses on the stack; 1,000 levels are more than JSON's own parser takes."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}

    answer = await quick.chat(response_format=json_schema(schema))

    assert answer.status == 400
    assert answer.error["param"] == "response_format"
    assert "deep" in answer.error["message"]


async def test_a_grammar_that_becomes_too_complex_ends_the_answer_with_a_400(quick: Engine) -> None:
    """Some cannot be told before the first tokens: an object that must hold itself without end."""
    answer = await quick.chat(**MAX, response_format=json_schema(object_of({"$ref": "#"})))

    assert answer.status == 400
    assert answer.error["code"] == "invalid_grammar"


async def test_an_error_in_a_stream_is_an_event(quick: Engine) -> None:
    """The same, streamed: what has come stands, then the error comes, and no [DONE]."""
    answer = await quick.stream(**MAX, response_format=json_schema(object_of({"$ref": "#"})))

    *_, last = answer.chunks
    assert answer.status == 200
    assert not answer.broken
    assert last["error"]["code"] == "invalid_grammar"
    assert DONE not in answer.events


async def test_any_json_object(quick: Engine) -> None:
    """The oldest form, without a schema."""
    form = {"type": "json_object"}
    answer = await quick.chat(max_tokens=400, temperature=0, response_format=form)

    assert answer.choice["finish_reason"] == "stop"
    assert isinstance(json.loads(answer.content), dict)


async def test_each_of_several_responses_has_its_own_progress(quick: Engine) -> None:
    """They are compiled once, and each fits the schema from its beginning to its end."""
    schema = {"type": "array", "items": {"enum": ["x", "yy"]}, "minItems": 1, "maxItems": 9}
    body = {
        "messages": HELLO,
        "n": 5,
        "seed": 3,
        "max_tokens": 60,
        "response_format": json_schema(schema),
    }
    choices = (await quick.post(CHAT, body)).json["choices"]

    answers = [json.loads(choice["message"]["content"]) for choice in choices]
    assert all(answer and set(answer) <= {"x", "yy"} for answer in answers)
    assert len({str(answer) for answer in answers}) > 1


async def test_plain_text_is_the_default(quick: Engine) -> None:
    """Clients send the type text, too."""
    answer = await quick.chat(response_format={"type": "text"})

    assert answer.content


@pytest.mark.parametrize(
    ("grammar", "expected"),
    [
        ('root ::= ("yes" | "no") " " [0-9]{3}', r"(yes|no) \d{3}"),
        ('root ::= item+ "."\nitem ::= [ab] | "c"', r"[abc]+\."),
        ("start: /[a-c]{4}/", "[a-c]{4}"),
        (r'root ::= "\u00e9" [\u00e0-\u00e2] "\U0001F600" "\\u" "\u0041\x42"', r"é[à-â]😀\\uAB"),
    ],
)
async def test_a_grammar_holds(quick: Engine, grammar: str, expected: str) -> None:
    """GBNF, and llguidance's own form; in chats and completions."""
    chat = await quick.chat(**MAX, grammar=grammar)
    completion = await quick.complete(**MAX, grammar=grammar)

    assert re.fullmatch(expected, chat.content)
    assert re.fullmatch(expected, completion.choice["text"])


@pytest.mark.parametrize(
    "grammar", ["", "root ::= (", "root ::= nowhere", "root ::= [z-a]", "x" * 70_000]
)
async def test_an_invalid_grammar_is_refused(quick: Engine, grammar: str) -> None:
    """The stock server dies of any."""
    for answer in (await quick.chat(grammar=grammar), await quick.complete(grammar=grammar)):
        assert answer.status == 400
        assert answer.error["param"] == "grammar"


async def test_a_streamed_call_comes_in_parts(quick: Engine) -> None:
    """The name once, the arguments piece by piece, as OpenAI's clients put them together."""
    answer = await quick.stream(**MAX, **call_of(object_of({"type": "boolean"})))

    deltas = [chunk["choices"][0]["delta"] for chunk in answer.chunks]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert [call["function"]["name"] for call in calls if "name" in call["function"]] == ["f"]
    assert [call["id"] for call in calls if "id" in call] == [calls[0]["id"]]
    assert set(json.loads(arguments)) == {"a"}
    assert answer.finish_reasons == ["tool_calls"]


async def test_the_older_form_of_calls_is_answered_in_kind(quick: Engine) -> None:
    """`functions` and `function_call`."""
    answer = await quick.chat(
        **MAX,
        functions=[{"name": "f", "parameters": object_of({"type": "boolean"})}],
        function_call={"name": "f"},
    )

    call = answer.choice["message"]["function_call"]
    assert call["name"] == "f"
    assert set(json.loads(call["arguments"])) == {"a"}
    assert answer.choice["finish_reason"] == "function_call"


async def test_a_choice_of_no_tool_there_is_is_refused(quick: Engine) -> None:
    """With the field's name."""
    body = call_of(object_of({"type": "boolean"}))
    other = {"type": "function", "function": {"name": "g"}}

    answer = await quick.chat(**{**body, "tool_choice": other})

    assert (answer.status, answer.error["param"]) == (400, "tool_choice")


async def test_a_constraint_stands_above_bias_and_length(quick: Engine) -> None:
    """An end that is the only choice left comes although more tokens were wanted."""
    answer = await quick.chat(
        **MAX,
        grammar='root ::= "yes"',
        min_tokens=50,
        logit_bias={str(number): -100 for number in range(300)},
    )

    assert answer.content == "yes"
    assert answer.choice["finish_reason"] == "stop"
