"""The one form of messages that templates are given."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.engine.errors import Refusal
from runtime.engine.templates.messages import normalised


def called(arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    function = {"name": "f", "arguments": arguments}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
        **more,
    }


@pytest.mark.parametrize("name", ["tool_calls", "function_call", "name", "refusal", "reasoning_content"])
@pytest.mark.parametrize("value", [None, "", [], {}])
def test_an_empty_or_null_field_is_not_there(name: str, value: Any) -> None:
    """Whatever clients echo of an earlier response, only what says something reaches a template."""
    sent = {"role": "assistant", "content": "Yes", name: value}

    assert normalised([sent]) == [{"role": "assistant", "content": "Yes"}]


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [("", {}), (" \n", {}), (None, {}), ("{}", {}), ('{"a": 1}', {"a": 1}), ({"a": 1}, {"a": 1})],
)
def test_arguments_are_objects(arguments: Any, taken: dict[str, Any]) -> None:
    """Text of JSON, an object, and none at all: templates are given an object."""
    (message,) = normalised([called(arguments)])

    assert message["tool_calls"][0]["function"]["arguments"] == taken


@pytest.mark.parametrize("arguments", ["{", "[]", "1", '"a"', "null", [1], 7, '{"a": NaN}'])
def test_arguments_that_are_no_object_are_refused_by_name(arguments: Any) -> None:
    """The field is named, so that a client finds the message."""
    with pytest.raises(Refusal) as raised:
        normalised([{"role": "user", "content": "Hello"}, called(arguments)])

    assert raised.value.param == "messages[1].tool_calls[0].function.arguments"
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "assistant", "tool_calls": ["f"]}, "messages[0].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{}]}, "messages[0].tool_calls[0].function"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]},
            "messages[0].tool_calls[0].function.name",
        ),
        (
            {"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}}]},
            "messages[0].tool_calls[0].type",
        ),
        ({"role": "assistant", "function_call": {"name": 1}}, "messages[0].function_call.name"),
        ({"role": "assistant", "reasoning_content": ["a"]}, "messages[0].reasoning_content"),
        ({**called(), "role": "user"}, "messages[0].tool_calls"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0]"),
        (called({"a": [[[]]] * 1} | {"b": None}) | {"content": 5}, "messages[0].content"),
    ],
)
def test_what_no_template_takes_is_refused_by_name(message: dict[str, Any], param: str) -> None:
    """Before it reaches a template, which could only say that it has an unexpected form."""
    with pytest.raises(Refusal) as raised:
        normalised([message])

    assert raised.value.param == param


def test_deep_arguments_are_refused() -> None:
    """Templates and JSON recurse into them."""
    deep: Any = {}
    for _ in range(70):
        deep = {"a": deep}

    with pytest.raises(Refusal, match="nested"):
        normalised([called(deep)])


def test_older_and_newer_forms_become_the_common_one() -> None:
    """developer, function_call and the role function, as older and newer clients send them."""
    sent: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be kind"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "4"},
    ]

    system, call, result = normalised(sent)

    assert system["role"] == "system"
    (made,) = call["tool_calls"]
    assert made["function"] == {"name": "f", "arguments": {}}
    assert result == {"role": "tool", "name": "f", "tool_call_id": made["id"], "content": "4"}


def test_results_are_paired_with_calls() -> None:
    """By id, or by their order: some templates write the ids and names, and clients leave them out."""
    both = called()
    both["tool_calls"] = [{"function": {"name": name, "arguments": ""}} for name in ("f", "g")]
    sent = [both, *({"role": "tool", "content": text} for text in ("4", "5"))]

    calls, *results = normalised(sent)

    assert [result["name"] for result in results] == ["f", "g"]
    ids = [call["id"] for call in calls["tool_calls"]]
    assert [result["tool_call_id"] for result in results] == ids
    assert len(set(ids)) == 2


def test_a_result_has_the_name_of_its_function() -> None:
    """Some templates write it, and clients send the id alone."""
    _, result = normalised([called(), {"role": "tool", "tool_call_id": "c", "content": "4"}])

    assert result["name"] == "f"
