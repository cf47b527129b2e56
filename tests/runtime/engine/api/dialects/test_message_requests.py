"""What requests to /v1/messages become: chat requests, or errors that name the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.engine.api.dialects.messages import chat_form
from runtime.engine.errors import Refusal

_HELLO = [{"role": "user", "content": "Hello"}]
_TOOL = {"name": "f", "input_schema": {"type": "object"}}


def _chat(**body: Any) -> dict[str, Any]:
    sent = {"messages": _HELLO, "max_tokens": 9, **body}
    return chat_form(json.dumps(sent).encode()).chat


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_system_and_sampling_are_the_chat_s() -> None:
    """With stop sequences; cache_control and metadata mean nothing here."""
    system = [{**_text("Be short."), "cache_control": {"type": "ephemeral"}}, _text("Be kind.")]
    chat = _chat(
        system=system,
        stop_sequences=["X"],
        temperature=0.5,
        top_k=7,
        metadata={"user_id": "u"},
        stream=True,
    )

    assert chat["messages"] == [{"role": "system", "content": "Be short.\nBe kind."}, *_HELLO]
    assert (chat["max_tokens"], chat["stop"], chat["temperature"], chat["top_k"]) == (9, ["X"], 0.5, 7)
    assert chat["stream"] is True


def test_claude_code_s_billing_line_is_left_out() -> None:
    """It differs between requests, and would make everything after it new to the model."""
    billing = "x-anthropic-billing-header: cc_version=2.1; cch=1f3a;"
    chats = [
        _chat(system=[_text(billing), _text("Be short.")]),
        _chat(system=f"{billing}\nBe short."),
        _chat(system="Be short."),
    ]

    assert chats[0] == chats[1] == chats[2]


def test_blocks_become_the_turns_of_a_chat() -> None:
    """Results come first, as messages of their own; one that failed says so."""
    chat = _chat(
        messages=[
            {"role": "user", "content": [_text("Add"), _text("1.")]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "unsigned"},
                    _text("I add."),
                    {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
                    {"type": "tool_use", "id": "t2", "name": "add", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [_text("1")]},
                    {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True},
                    _text("And?"),
                ],
            },
            {"role": "system", "content": "Be short."},
        ]
    )

    user, assistant, first, second, then, system = chat["messages"]
    assert user == {"role": "user", "content": "Add\n1."}
    assert assistant["content"] == "I add."
    assert assistant["reasoning_content"] == "Hm."
    calls = [call["function"] for call in assistant["tool_calls"]]
    assert calls == [{"name": "add", "arguments": '{"a":1}'}, {"name": "add", "arguments": "{}"}]
    assert first == {"role": "tool", "tool_call_id": "t1", "content": "1", "name": "add"}
    assert (second["tool_call_id"], second["content"]) == ("t2", "The call failed: no")
    assert then == {"role": "user", "content": "And?"}
    assert system == {"role": "system", "content": "Be short."}


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, "auto", True),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "none"}, "none", True),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}, True),
    ],
)
def test_tools_and_choices_have_the_chat_s_form(
    choice: dict[str, Any], expected: Any, parallel: bool
) -> None:
    """All four kinds of choice."""
    chat = _chat(tools=[{**_TOOL, "type": "custom", "description": "d"}], tool_choice=choice)

    function = {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object"},
        "strict": False,
    }
    assert chat["tools"] == [{"type": "function", "function": function}]
    assert chat["tool_choice"] == expected
    assert chat["parallel_tool_calls"] is parallel


def test_the_model_thinks_only_where_the_request_says_so() -> None:
    """Without the field it does not, like Anthropic's; a budget bounds it."""
    enabled = {"type": "enabled", "budget_tokens": 1024}

    assert _chat()["reasoning_effort"] == "none"
    assert _chat(thinking={"type": "disabled"})["reasoning_effort"] == "none"
    assert _chat(thinking=enabled)["reasoning_budget"] == 1024
    adaptive = _chat(thinking={"type": "adaptive"}, output_config={"effort": "low"})
    assert adaptive["reasoning_effort"] == "low"


def test_a_reply_that_has_begun_is_continued() -> None:
    """A last message of the model's that is text; not its calls, nor a turn of the user's."""
    begun = {"role": "assistant", "content": "The answer is "}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}

    assert _chat(messages=[*_HELLO, begun])["continue_final_message"] is True
    assert _chat()["continue_final_message"] is False
    for content in ("", [call], [{"type": "thinking", "thinking": "Hm."}]):
        chat = _chat(messages=[*_HELLO, {"role": "assistant", "content": content}])
        assert chat["continue_final_message"] is False


@pytest.mark.parametrize("empty", [None, "", {}, []])
def test_a_call_whose_input_is_empty_has_no_arguments(empty: Any) -> None:
    """Clients echo it in several forms."""
    call = {"type": "tool_use", "id": "t", "name": "f", "input": empty}
    (message,) = _chat(messages=[{"role": "assistant", "content": [call]}])["messages"]

    assert message["tool_calls"][0]["function"]["arguments"] == "{}"


def _block(block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [block]}]}


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("max_tokens", {"max_tokens": None}),
        ("max_tokens", {"max_tokens": 0}),
        ("messages", {"messages": []}),
        ("messages[0].role", {"messages": [{"role": "tool", "content": "x"}]}),
        ("messages[0].content[0].type", _block({"type": "image", "source": {"type": "base64"}})),
        ("messages[0].content[0].type", _block({"type": "server_tool_use"})),
        ("messages[0].content[0].text", _block({"type": "text"})),
        ("messages[0].content[0].source.type", _block({"type": "document", "source": {"type": "url"}})),
        ("messages[0].content[0].tool_use_id", _block({"type": "tool_result"})),
        ("tools[0].type", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("tools[0].input_schema", {"tools": [{"name": "f"}]}),
        ("tool_choice", {"tool_choice": {"type": "any"}}),
        ("tool_choice.name", {"tools": [_TOOL], "tool_choice": {"type": "tool"}}),
        ("mcp_servers", {"mcp_servers": [{"type": "url"}]}),
        ("system[0].type", {"system": [{"type": "image"}]}),
        ("thinking.type", {"thinking": {"type": "deep"}}),
        ("tools[1].name", {"tools": [_TOOL, {**_TOOL, "name": "a b"}]}),
        (
            "messages[0].content[0].input",
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "t", "name": "f", "input": 1}],
                    }
                ]
            },
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(param: str, body: dict[str, Any]) -> None:
    """Nothing that was asked for is left out without a word."""
    with pytest.raises(Refusal) as caught:
        _chat(**body)

    assert caught.value.status == 400
    assert caught.value.param == param
    assert param in caught.value.message
