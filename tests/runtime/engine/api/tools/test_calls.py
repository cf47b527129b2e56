"""Calls of tools, as a client gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.client import Answer
from tests.support.engine import Engine
from tests.support.tool_schemas import FUNCTIONS, TOOLS, check_call

Json = dict[str, Any]
CALLS_AT_ONCE: Json = {"logit_bias_type": "tokens", "logit_bias": {"<tool_call>": 100}}
"""Makes the model begin a call, as one does that wants to."""


def named(name: str) -> Json:
    return {"type": "function", "function": {"name": name}}


def checked(answer: Answer) -> list[str]:
    """The names of the functions that were called, validly."""
    message = answer.choice["message"]
    assert answer.choice["finish_reason"] == "tool_calls"
    assert message["content"] is None
    for call in message["tool_calls"]:
        assert call["type"] == "function"
        check_call(call["function"]["name"], call["function"]["arguments"])
    ids = [call["id"] for call in message["tool_calls"]]
    assert len(set(ids)) == len(ids)
    return [call["function"]["name"] for call in message["tool_calls"]]


@pytest.mark.parametrize("engine", ["hermes", "plain"])
async def test_a_required_call_is_made(engine: str, request: pytest.FixtureRequest) -> None:
    """With any template: names and arguments are valid whatever the model would say."""
    server: Engine = request.getfixturevalue(engine)
    seen = set[str]()
    for seed in range(8):
        answer = await server.chat(
            tools=TOOLS, tool_choice="required", seed=seed, temperature=1, max_tokens=400
        )
        seen |= set(checked(answer))
    assert len(seen) > 1


@pytest.mark.parametrize("name", [one["name"] for one in FUNCTIONS])
async def test_a_named_function_is_called_once(hermes: Engine, name: str) -> None:
    """And no other."""
    answer = await hermes.chat(tools=TOOLS, tool_choice=named(name), temperature=1, max_tokens=300)

    assert checked(answer) == [name]


async def test_only_allowed_tools_are_called(hermes: Engine) -> None:
    """`allowed_tools` bounds the choice; `mode` says whether there must be a call."""
    allowed = {"mode": "required", "tools": [named("ping")]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}

    answer = await hermes.chat(tools=TOOLS, tool_choice=choice, max_tokens=300)
    other = {**choice, "allowed_tools": {**allowed, "tools": [named("unknown")]}}
    refused = await hermes.chat(tools=TOOLS, tool_choice=other)

    assert set(checked(answer)) == {"ping"}
    assert (refused.status, refused.error["param"]) == (400, "tool_choice")


async def test_a_call_that_the_model_begins_is_valid(hermes: Engine) -> None:
    """tool_choice auto: from the mark of a call on, the call is held to the functions' schemas."""
    for seed in range(8):
        answer = await hermes.chat(
            tools=TOOLS, **CALLS_AT_ONCE, seed=seed, temperature=1, max_tokens=400
        )
        checked(answer)


async def test_a_model_that_begins_no_call_just_answers(hermes: Engine, plain: Engine) -> None:
    """Text comes as ever."""
    for server in (hermes, plain):
        answer = await server.chat(tools=TOOLS, max_tokens=8)
        assert answer.content.split()
        assert "tool_calls" not in answer.choice["message"]
        assert answer.choice["finish_reason"] == "length"


async def test_no_tool_is_called_where_none_is_wanted(hermes: Engine) -> None:
    """tool_choice none: the mark is a text like any other."""
    answer = await hermes.chat(tools=TOOLS, tool_choice="none", **CALLS_AT_ONCE, max_tokens=2)

    assert answer.content == "<tool_call><tool_call>"


async def test_one_call_where_parallel_ones_are_not_wanted(hermes: Engine) -> None:
    """parallel_tool_calls: false, for a model that would go on for ever."""
    goes_on: Json = {"logit_bias_type": "tokens", "logit_bias": {"</s>": -100}, "max_tokens": 120}
    body: Json = {"tools": [TOOLS[1]], "tool_choice": "required", **goes_on}

    several = await hermes.chat(**body)
    one = await hermes.chat(**body, parallel_tool_calls=False)

    assert len(several.choice["message"]["tool_calls"]) > 1
    assert checked(one) == ["ping"]


async def test_a_stream_of_calls_has_nothing_of_the_syntax(hermes: Engine) -> None:
    """The deltas put together are the calls; content is never sent."""
    body: Json = {"tools": TOOLS, **CALLS_AT_ONCE, "seed": 3, "temperature": 1, "max_tokens": 400}
    whole = await hermes.chat(**body)
    stream = await hermes.stream(**body)

    deltas = [chunk["choices"][0]["delta"] for chunk in stream.chunks]
    calls: dict[int, Json] = {}
    for call in [call for delta in deltas for call in delta.get("tool_calls", ())]:
        known = calls.setdefault(call["index"], {"name": "", "arguments": ""})
        for name, text in call["function"].items():
            known[name] += text
    assert list(calls.values()) == [call["function"] for call in whole.choice["message"]["tool_calls"]]
    assert not any("content" in delta for delta in deltas)
    assert stream.finish_reasons == ["tool_calls"]


async def test_text_before_a_call_is_kept(hermes: Engine) -> None:
    """Without the blanks before the call."""
    bias = {"<tool_call>": 43}
    for seed in range(40):
        answer = await hermes.chat(
            tools=TOOLS,
            logit_bias_type="tokens",
            logit_bias=bias,
            seed=seed,
            temperature=1,
            max_tokens=400,
        )
        message = answer.choice["message"]
        if message["content"] and message.get("tool_calls"):
            assert message["content"] == message["content"].rstrip()
            assert "<tool_call>" not in message["content"]
            return
    raise AssertionError("no text before a call")


async def test_a_stop_sequence_ends_no_call(hermes: Engine) -> None:
    """It ends text only: arguments that hold it stay whole."""
    answer = await hermes.chat(
        tools=TOOLS, tool_choice=named("get_weather"), stop=['"', "days", "}"], max_tokens=300
    )

    assert checked(answer) == ["get_weather"]


async def test_a_call_that_max_tokens_cuts_says_so(hermes: Engine) -> None:
    """finish_reason length, the arguments as far as they are."""
    body: Json = {"tools": TOOLS, "tool_choice": named("get_weather"), "seed": 1}
    whole = await hermes.chat(**body, max_tokens=300)
    cut = await hermes.chat(**body, max_tokens=48)

    (whole_call,) = whole.choice["message"]["tool_calls"]
    (cut_call,) = cut.choice["message"]["tool_calls"]
    assert cut.choice["finish_reason"] == "length"
    arguments = cut_call["function"]["arguments"]
    assert 0 < len(arguments) < len(whole_call["function"]["arguments"])
    assert whole_call["function"]["arguments"].startswith(arguments)


async def test_json_or_calls(hermes: Engine) -> None:
    """With a response_format the response is either JSON of its schema or calls."""
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {**schema, "additionalProperties": False}}}  # fmt: skip  # noqa: E501
    body: Json = {"tools": TOOLS, "response_format": form, "max_tokens": 400, "temperature": 1}

    text = await hermes.chat(**body)
    call = await hermes.chat(**body, **CALLS_AT_ONCE)

    assert json.loads(text.content)["a"] in (1, 2)
    checked(call)


async def test_the_older_form_of_tools(hermes: Engine) -> None:
    """`functions`, and `function_call` in the answer."""
    answer = await hermes.chat(functions=FUNCTIONS, **CALLS_AT_ONCE, max_tokens=300)

    call = answer.choice["message"]["function_call"]
    check_call(call["name"], call["arguments"])
    assert answer.choice["finish_reason"] == "function_call"


async def test_many_tools(hermes: Engine) -> None:
    """Fourteen, of three schemas: whichever is called, its arguments fit its own."""
    tools = [
        {"type": "function", "function": {**FUNCTIONS[number % 3], "name": f"tool_{number}"}}
        for number in range(14)
    ]
    for one in tools:
        one["function"].pop("description", None)  # type: ignore[attr-defined]
    answer = await hermes.chat(tools=tools, tool_choice="required", temperature=1, max_tokens=400)
    functions = [tool["function"] for tool in tools]
    assert answer.choice["finish_reason"] == "tool_calls", answer.text
    for call in answer.choice["message"]["tool_calls"]:
        check_call(call["function"]["name"], call["function"]["arguments"], functions)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a\nb", "<tool_call>", "é", "x" * 129])
async def test_a_name_that_is_none_is_refused(hermes: Engine, name: str) -> None:
    """With the field's name."""
    answer = await hermes.chat(tools=[{"type": "function", "function": {"name": name}}])

    assert (answer.status, answer.error["param"]) == (400, "tools[0].function.name")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"$ref": "https://example.org/schema"},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)y"}}},
        {"type": "object", "properties": {"a": {"type": "nothing"}}, "required": "all"},
        {"type": ["object", 3]},
    ],
)
async def test_a_schema_that_cannot_be_enforced_is_no_error(hermes: Engine, schema: Json) -> None:
    """Arguments are any object then, and the other functions keep their schemas."""
    tools = [{"type": "function", "function": {"name": "odd", "parameters": schema}}, TOOLS[1]]

    required: Json = {"tools": tools, "tool_choice": "required", "max_tokens": 120, "temperature": 1}
    for first_letter, name in (("o", "odd"), ("p", "ping")):
        bias = {"logit_bias_type": "tokens", "logit_bias": {first_letter: 100}}
        answer = await hermes.chat(**required, **bias)
        call = answer.choice["message"]["tool_calls"][0]["function"]
        assert call["name"] == name
        is_text = name == "odd" and schema == {"type": "string"}  # odd, but can be enforced
        assert call["arguments"][0] == ('"' if is_text else "{"), "it may be cut off later"
    check_call("ping", call["arguments"])


async def test_a_strict_schema_that_cannot_be_enforced_is_refused_by_place(
    hermes: Engine,
) -> None:
    """The function is a part of it: there may be many."""
    hard = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)y"}}}
    function = {"name": "odd", "parameters": hard, "strict": True}

    answer = await hermes.chat(tools=[*TOOLS, {"type": "function", "function": function}])

    assert (answer.status, answer.error["param"]) == (400, "tools")
    assert "odd.properties.a.pattern" in answer.error["message"]
