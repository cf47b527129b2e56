"""What a model thinks: its own field, and its bounds."""

from __future__ import annotations

import json
from typing import Any

from tests.support.engine import Engine
from tests.support.tool_schemas import TOOLS, check_call

Json = dict[str, Any]
THINKS: Json = {"logit_bias_type": "tokens", "logit_bias": {"<think>": 100, "</think>": -100}}
"""Makes the model begin to think, and never end by itself."""


async def test_thinking_is_no_content(hermes: Engine) -> None:
    """It comes as `reasoning_content`, in a stream too, without its marks."""
    body: Json = {"logit_bias_type": "tokens", "logit_bias": {"</think>": 13}, "max_tokens": 60}
    body |= {"reasoning_budget": 6, "temperature": 1, "seed": 1}
    body |= {"chat_template_kwargs": {"enable_thinking": True}}
    whole = await hermes.chat(**body)
    stream = await hermes.stream(**body)

    message = whole.choice["message"]
    deltas = [chunk["choices"][0]["delta"] for chunk in stream.chunks]
    assert message["reasoning_content"]
    assert message["content"]
    assert "think>" not in message["reasoning_content"] + message["content"]
    for name in ("reasoning_content", "content"):
        assert "".join(delta.get(name) or "" for delta in deltas) == message[name]


async def test_a_budget_ends_thinking(hermes: Engine) -> None:
    """After so many tokens the model answers, whatever it wants."""
    answer = await hermes.chat(**THINKS, reasoning_budget=5, max_tokens=40)
    unbounded = await hermes.chat(**THINKS, max_tokens=40)

    assert answer.choice["message"]["content"]
    assert unbounded.choice["message"]["content"] == ""
    assert unbounded.choice["finish_reason"] == "length"


async def test_a_required_call_comes_after_thinking(hermes: Engine) -> None:
    """The constraint begins where thinking ends."""
    answer = await hermes.chat(
        **THINKS, reasoning_budget=5, tools=TOOLS, tool_choice="required", max_tokens=300
    )

    message = answer.choice["message"]
    assert message["reasoning_content"]
    (call, *_) = message["tool_calls"]
    check_call(call["function"]["name"], call["function"]["arguments"])


async def test_a_schema_holds_after_thinking(hermes: Engine) -> None:
    """response_format is for the answer, not for what comes before it."""
    schema = {
        "type": "object",
        "properties": {"a": {"enum": [1, 2]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}

    answer = await hermes.chat(**THINKS, reasoning_budget=5, response_format=form, max_tokens=60)

    assert answer.choice["message"]["reasoning_content"]
    assert json.loads(answer.content)["a"] in (1, 2)


async def test_a_stop_sequence_ends_no_thinking(hermes: Engine) -> None:
    """It is looked for in the answer only."""
    answer = await hermes.chat(**THINKS, reasoning_budget=9, stop=["<think>"], max_tokens=60)

    assert "<think>" in answer.choice["message"]["reasoning_content"]


async def test_effort_none_lets_the_model_not_think(hermes: Engine) -> None:
    """A model that begins all the same is ended at once."""
    answer = await hermes.chat(**THINKS, reasoning_effort="none", max_tokens=10)

    assert len(answer.choice["message"].get("reasoning_content", "")) <= len("<think>")
    assert answer.choice["message"]["content"]


async def test_thinking_that_the_template_opens(hermes: Engine) -> None:
    """`chat_template_kwargs` opens it in the prompt: the response begins with what the model thinks."""
    body: Json = {"chat_template_kwargs": {"enable_thinking": True}, "max_tokens": 12}
    thought = await hermes.chat(**body)
    ended = await hermes.chat(**body, reasoning_budget=4)
    none = await hermes.chat(**body, reasoning_effort="none")

    assert thought.json["usage"]["completion_tokens_details"] == {"reasoning_tokens": 12}
    assert "completion_tokens_details" not in none.json["usage"]
    assert thought.choice["message"]["content"] == ""
    assert thought.choice["message"]["reasoning_content"]
    assert ended.choice["message"]["reasoning_content"]
    assert ended.content
    assert "reasoning_content" not in none.choice["message"]
    assert none.content


async def test_thinking_goes_on_where_the_last_message_ends_in_it(hermes: Engine) -> None:
    """continue_final_message, with a message that has begun to think."""
    begun = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>Well"}]
    done = [begun[0], {"role": "assistant", "content": "<think>Well</think>So"}]
    body: Json = {"continue_final_message": True, "max_tokens": 6}

    thinking = await hermes.chat(**body, messages=begun)
    answering = await hermes.chat(**body, messages=done)

    assert thinking.choice["message"]["reasoning_content"]
    assert answering.content
    assert "reasoning_content" not in answering.choice["message"]
