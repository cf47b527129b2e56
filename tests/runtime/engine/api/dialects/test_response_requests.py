"""What requests to /v1/responses become: chat requests, or errors that name the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.engine.api.dialects.responses import chat_form
from runtime.engine.errors import Refusal


def _chat(**body: Any) -> dict[str, Any]:
    return chat_form(json.dumps({"input": "Hello", **body}).encode()).chat


def _refusal(**body: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        _chat(**body)
    assert caught.value.status == 400
    assert str(caught.value.param) in caught.value.message
    return caught.value


def _text(kind: str, text: str) -> dict[str, Any]:
    return {"type": kind, "text": text}


def test_a_text_is_a_user_s_message_after_the_instructions() -> None:
    """Instructions are the system message."""
    chat = _chat(instructions="Be short.", max_output_tokens=9)

    assert chat["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hello"},
    ]
    assert chat["max_tokens"] == 9


def test_many_items_of_one_side_become_one_message() -> None:
    """15 MB of them, too, without copying the text for each: that would take minutes of a processor."""
    texts = [f"{number:05} " + "x" * 900 for number in range(16_384)]
    chat = _chat(input=[{"role": "user", "content": text} for text in texts])

    assert chat["messages"] == [{"role": "user", "content": "\n\n".join(texts)}]


def test_items_become_the_turns_of_a_chat() -> None:
    """Reasoning, text and calls in a row are one message of the model; outputs answer its calls."""
    call = {"type": "function_call", "name": "add", "arguments": '{"a": 1}'}
    chat = _chat(
        input=[
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": [_text("input_text", "Add"), _text("input_text", "1.")]},
            {"type": "message", "role": "user", "content": "Please."},
            {"type": "reasoning", "id": "rs_1", "summary": [_text("summary_text", "Hm.")]},
            {"type": "message", "role": "assistant", "content": [_text("output_text", "I add.")]},
            {**call, "call_id": "c1"},
            {**call, "call_id": "c2", "namespace": "sums"},
            {"type": "function_call_output", "call_id": "c1", "output": "1"},
            {"type": "function_call_output", "call_id": "c2", "output": [_text("input_text", "2")]},
            {"type": "message", "role": "assistant", "content": "Done."},
        ]
    )

    system, user, assistant, first, second, last = chat["messages"]
    assert system == {"role": "system", "content": "Be short."}
    assert user == {"role": "user", "content": "Add\n1.\n\nPlease."}
    assert assistant["content"] == "I add."
    assert assistant["reasoning_content"] == "Hm."
    assert [call["id"] for call in assistant["tool_calls"]] == ["c1", "c2"]
    assert assistant["tool_calls"][1]["function"] == {"name": "sums__add", "arguments": '{"a": 1}'}
    assert first == {"role": "tool", "tool_call_id": "c1", "content": "1", "name": "add"}
    assert second == {"role": "tool", "tool_call_id": "c2", "content": "2", "name": "sums__add"}
    assert last == {"role": "assistant", "content": "Done."}


def test_tools_are_flat_or_in_a_namespace() -> None:
    """Both are offered. A web search that may not reach the web is left out: codex always sends it."""
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    namespace = {"type": "namespace", "name": "n", "tools": [function]}
    chat = _chat(
        tools=[function, namespace, {"type": "web_search", "external_web_access": False}],
        tool_choice={
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "f"}],
        },
        parallel_tool_calls=False,
    )

    expected = {"parameters": {"type": "object"}, "strict": True}
    assert [tool["function"] for tool in chat["tools"]] == [
        {"name": "f", **expected},
        {"name": "n__f", **expected},
    ]
    allowed = chat["tool_choice"]["allowed_tools"]
    assert allowed == {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}
    assert chat["parallel_tool_calls"] is False


def test_formats_effort_and_probabilities_have_the_chat_s_names() -> None:
    """text.format, reasoning.effort and include."""
    form = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
    chat = _chat(
        text={"format": form, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=2,
    )

    schema = {"name": "x", "schema": {"type": "object"}, "strict": True}
    assert chat["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert chat["reasoning_effort"] == "low"
    assert (chat["logprobs"], chat["top_logprobs"]) == (True, 2)


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("previous_response_id", {"previous_response_id": "resp_1"}),
        ("conversation", {"conversation": {"id": "conv_1"}}),
        ("prompt", {"prompt": {"id": "pmpt_1"}}),
        ("store", {"store": True}),
        ("background", {"background": True}),
        ("truncation", {"truncation": "auto"}),
        ("tools[0].type", {"tools": [{"type": "web_search"}]}),
        ("tools[0].type", {"tools": [{"type": "code_interpreter"}]}),
        ("tools[0].name", {"tools": [{"type": "function"}]}),
        ("tools[0].tools", {"tools": [{"type": "namespace", "name": "n"}]}),
        ("tools", {"tools": [{"type": "function", "name": "f"}] * 129}),
        (
            "tools",
            {
                "tools": [
                    {
                        "type": "namespace",
                        "name": "n",
                        "tools": [{"type": "function", "name": "f"}] * 129,
                    }
                ]
            },
        ),
        (
            "tool_choice.type",
            {"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "file_search"}},
        ),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice", {"tool_choice": {"type": "function", "name": "f"}}),
        ("input", {"input": None}),
        ("input[0]", {"input": ["x"]}),
        ("input[0].type", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        ("input[0].type", {"input": [{"type": "computer_call"}]}),
        ("input[0].type", {"input": [{"type": ["message"]}]}),
        ("input[0].role", {"input": [{"role": "tool", "content": "x"}]}),
        ("input[0].content", {"input": [{"role": "user"}]}),
        (
            "input[0].content[0].type",
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        ),
        ("input[0].content[0].text", {"input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
        ("input[0].call_id", {"input": [{"type": "function_call_output", "output": "1"}]}),
        ("tools[0].name", {"tools": [{"type": "function", "name": "a b"}]}),
        ("tools[0].parameters", {"tools": [{"type": "function", "name": "f", "parameters": "all"}]}),
        (
            "tools[1].tools[0].name",
            {
                "tools": [
                    {"type": "web_search", "external_web_access": False},
                    {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "a b"}]},
                ]
            },
        ),
        (
            "input[0].arguments",
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "[]"}]},
        ),
        ("text.format.schema", {"text": {"format": {"type": "json_schema", "name": "x"}}}),
        ("max_output_tokens", {"max_output_tokens": 0}),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(param: str, body: dict[str, Any]) -> None:
    """Nothing that was asked for is left out without a word."""
    assert _refusal(**body).param == param


@pytest.mark.parametrize("empty", [None, "", {}, []])
def test_empty_fields_of_a_call_are_not_there(empty: Any) -> None:
    """Its arguments, the namespace of its function, and what it gave."""
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": empty, "namespace": empty}
    output = {"type": "function_call_output", "call_id": "c", "output": empty or None}
    message, result = _chat(input=[call, output])["messages"]

    assert result["content"] == ""
    function = message["tool_calls"][0]["function"]
    assert function["name"] == "f"
    assert function["arguments"] in ("", "{}")


def test_reasoning_comes_back_in_whichever_form_a_client_keeps() -> None:
    """Content, summary, or what `encrypted_content` held; another server's means nothing here."""
    kept: list[dict[str, Any]] = [
        {"content": [_text("reasoning_text", "Hm.")], "summary": [_text("summary_text", "Short.")]},
        {"summary": [_text("summary_text", "Hm.")]},
        {"summary": [], "encrypted_content": "SG0u"},
    ]
    for item in kept:
        chat = _chat(input=[{"type": "reasoning", **item}, {"role": "assistant", "content": "Yes."}])
        assert chat["messages"] == [{"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}]
    foreign = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA-_é"}
    assert _chat(input=[foreign])["messages"] == []
