"""Bad input: a 400 in OpenAI's envelope that names the field, and nothing of what was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.client import CHAT, COMPLETIONS, HELLO
from tests.support.engine import Engine


def content(*parts: Any) -> dict[str, Any]:
    """A chat of one message in parts."""
    return {"messages": [{"role": "user", "content": list(parts)}]}


def image(url: str) -> dict[str, Any]:
    return content({"type": "image_url", "image_url": {"url": url}})


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("messages", {"messages": []}),
        ("messages", {"messages": "secret"}),
        ("messages", {"messages": [{"role": "user", "content": "x"}] * 5000}),
        ("messages[0].role", {"messages": [{"content": "secret"}]}),
        ("messages[0].role", {"messages": [{"role": "secret", "content": "x"}]}),
        ("messages[0].content", {"messages": [{"role": "user", "content": 5}]}),
        ("messages[0].content[0]", image("file:///etc/passwd")),
        ("messages[0].content[0]", image("http://127.0.0.1:1/secret.png")),
        ("messages[0].content[0]", image("data:image/png;base64,secret")),
        ("messages[0].content[0]", content({"type": "text"})),
        ("messages[0].content[0]", content({"type": "input_audio", "input_audio": {"data": "secret"}})),
        ("messages[0].content[0]", content({"type": "file", "file": {"file_id": "secret"}})),
        ("messages[0].content[1]", content({"type": "text", "text": "x"}, "secret")),
        ("max_tokens", {"max_tokens": "secret"}),
        ("max_tokens", {"max_tokens": 1.5}),
        ("max_tokens", {"max_tokens": True}),
        ("temperature", {"temperature": -1}),
        ("temperature", {"temperature": "nan"}),
        ("temperature", {"temperature": 2.1}),
        ("top_p", {"top_p": 1.1}),
        ("top_k", {"top_k": -1}),
        ("repeat_penalty", {"repeat_penalty": 0}),
        ("presence_penalty", {"presence_penalty": 3}),
        ("seed", {"seed": 2**63}),
        ("n", {"n": 17}),
        ("n", {"n": 0}),
        ("stop", {"stop": ["secret"] * 17}),
        ("stop[0]", {"stop": ["x" * 300]}),
        ("stop[0]", {"stop": [7]}),
        ("stream", {"stream": "secret"}),
        ("stream_options", {"stream_options": {"include_usage": True}}),
        ("stream_options.include_usage", {"stream_options": {"include_usage": "secret"}}),
        ("logit_bias", {"logit_bias": {"-1": 1}}),
        ("logit_bias", {"logit_bias": {"100000": 1}}),
        ("logit_bias", {"logit_bias": {"secret": 1}}),
        ("logit_bias.5", {"logit_bias": {"5": 1000}}),
        ("logit_bias", {"logit_bias": {str(number): 1 for number in range(2000)}}),
        ("tools", {"tools": [{}] * 200}),
        ("top_logprobs", {"top_logprobs": 21}),
        ("top_logprobs", {"top_logprobs": 2}),
        ("max_tokens", {"max_tokens": 5, "max_completion_tokens": 6}),
        ("user", {"user": 5}),
        ("metadata", {"metadata": "secret"}),
        ("metadata", {"metadata": {str(number): "x" for number in range(17)}}),
        ("metadata.a", {"metadata": {"a": 5}}),
        ("modalities[0]", {"modalities": ["audio"]}),
        ("response_format.type", {"response_format": {"type": "secret"}}),
        ("response_format", {"response_format": {"type": "json_schema"}}),
        ("tools[0].function.name", {"tools": [{"type": "function", "function": {}}]}),
        ("tool_choice", {"tool_choice": "secret"}),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice", {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ("tool_choice.type", {"tool_choice": {"type": "secret"}}),
        ("tool_choice.function.name", {"tool_choice": {"type": "function", "function": {}}}),
        ("functions[0].name", {"functions": [{"description": "secret"}]}),
        ("grammar", {"grammar": 5}),
    ],
)
async def test_a_bad_field_of_a_chat_is_named(quick: Engine, param: str, body: dict[str, Any]) -> None:
    """And only named: neither values nor paths are repeated, and no URL is fetched."""
    answer = await quick.post(CHAT, {"messages": HELLO, **body})

    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["param"] == param
    assert "secret" not in answer.text
    assert "/" not in answer.error["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ["one", 2]),
        ("prompt", ["x"] * 129),
        ("prompt", [-1]),
        ("prompt", [0, 10**6]),
        ("prompt", [10**30]),
        ("prompt", {"text": "x"}),
        ("best_of", 0),
        ("best_of", 17),
        ("logprobs", 100),
        ("suffix", "and so it ended"),
    ],
)
async def test_a_bad_field_of_a_completion_is_named(quick: Engine, field: str, value: Any) -> None:
    """Token ids outside the vocabulary among them."""
    answer = await quick.post(COMPLETIONS, {"prompt": "Hello", field: value})

    assert answer.status == 400
    assert answer.error["param"].startswith(field)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"messages": NaN}',
        b'{"temperature": Infinity}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "\xff"}',
        b'{"n": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=str,
)
async def test_what_is_no_json_object_is_refused(quick: Engine, body: bytes) -> None:
    """NaN, lone surrogates, bytes that are no UTF-8, and nesting without end are no JSON."""
    for path in (CHAT, COMPLETIONS, "/extras/tokenize", "/extras/detokenize"):
        answer = await quick.post(path, body)
        assert answer.status == 400
        assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize("tokens", [[-1], [10**6], [2**31], [10**18], ["a"], [[1]], "abc", None])
async def test_detokenizing_checks_its_tokens(quick: Engine, tokens: Any) -> None:
    """Ids outside the vocabulary end the stock server's process."""
    answer = await quick.post("/extras/detokenize", {"tokens": tokens})

    assert answer.status == 400
    assert answer.error["param"] is not None


async def test_a_body_over_the_limit_is_a_413(quick: Engine) -> None:
    """Read no further than that."""
    answer = await quick.post(CHAT, b'{"x": "' + b"x" * (16 * 2**20) + b'"}')

    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    "extra", [{"max_tokens": 10**12}, {"max_tokens": 5.0}, {"seed": -1}, {"stop": [""]}]
)
async def test_odd_values_that_make_sense_are_taken(quick: Engine, extra: dict[str, Any]) -> None:
    """A length beyond the context is held to it; JSON has one kind of number."""
    answer = await quick.chat(**extra)

    assert answer.choice["finish_reason"] == "length"


async def test_fields_without_a_use_here_are_ignored(quick: Engine) -> None:
    """As OpenAI's clients and user interfaces send them."""
    answer = await quick.chat(
        store=True,
        metadata={"a": "b"},
        user="alice",
        service_tier="auto",
        parallel_tool_calls=False,
        prediction=None,
        modalities=["text"],
        reasoning_effort="low",
        no_such_field=[1, {"x": None}],
        top_p=None,
        stop=None,
        seed=None,
        tools=None,
        response_format=None,
        logit_bias=None,
    )

    assert answer.content


async def test_any_content_type_will_do(quick: Engine) -> None:
    """curl sends application/x-www-form-urlencoded with --data."""
    body = json.dumps({"messages": HELLO, "max_tokens": 2}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = await quick.post(CHAT, body, headers=headers)

    assert answer.content


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "x", "foo": "DEEP"}]}, "messages"),
        (
            CHAT,
            {
                "messages": HELLO,
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": "DEEP"}}}],
            },
            "tools",
        ),
        (COMPLETIONS, {"prompt": "x", "unknown": "DEEP"}, "unknown"),
        ("/v1/responses", {"input": "x", "metadata": {"a": "DEEP"}}, "metadata"),
    ],
)
async def test_deep_nesting_is_refused_by_the_field(
    quick: Engine, path: str, body: dict[str, Any], param: str
) -> None:
    """What reads fields recurses: a thousand levels would be an internal error."""
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deep = f"{opening * 900}1{closing * 900}"
        answer = await quick.post(path, json.dumps(body).replace('"DEEP"', deep).encode())

        assert (answer.status, answer.error["param"]) == (400, param)
        assert "deep" in answer.error["message"]
