"""Requests known to end, block or confuse a model server, on every path that takes a body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.client import CHAT, COMPLETIONS, HELLO
from tests.support.killers import INVALID_GRAMMARS, KILLING_SCHEMAS, json_schema, named_tool

RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"

Request = tuple[str, dict[str, Any]]
"""A path and a body."""
Named = tuple[str, Request]

_FEW = 4
"""Tokens of a response."""
_ENDLESS = "z" * 10**6
_FILE = "file:///etc/hostname"
_BYTES = {"type": "base64", "media_type": "image/png", "data": "A" * 10**6}


def requests(*, in_every_way: bool = False) -> dict[str, Request]:
    """All of them, by what they try.

    Args:
        in_every_way: try each schema as every form and tool that a path knows, instead of a few.
    """
    schemas = [_schema_s_ways(name, schema) for name, schema in KILLING_SCHEMAS.items()]
    fixed, turns = [ways[:_ALWAYS] for ways in schemas], [ways[_ALWAYS:] for ways in schemas]
    if not in_every_way:
        turns = [[ways[number % len(ways)]] for number, ways in enumerate(turns)]
    return dict(
        [
            *(request for ways in fixed + turns for request in ways),
            *_grammars(),
            *_tokens(),
            *_odd_chats(),
            *_odd_responses(),
            *_odd_messages(),
            *_odd_inputs(),
        ]
    )


def _chat(**body: Any) -> Request:
    return CHAT, {"messages": HELLO, "max_tokens": _FEW, **body}


def _response(**body: Any) -> Request:
    return RESPONSES, {"input": "Hello", "max_output_tokens": _FEW, **body}


def _message(**body: Any) -> Request:
    return MESSAGES, {"messages": HELLO, "max_tokens": _FEW, **body}


def _count(**body: Any) -> Request:
    return COUNT, {"messages": HELLO, **body}


def _schema_s_ways(name: str, schema: Any) -> list[Named]:
    """As the form of a response, and as that of a tool's argument: named, demanded and free to call."""
    parameters = {"type": "object", "properties": {"a": schema}}
    tool = {"name": "f", "parameters": parameters}
    chats = [{"type": "function", "function": {**tool, "strict": True}}]
    flat = [{"type": "function", **tool}]
    tools = [{"name": "f", "input_schema": parameters}]
    choice = {"type": "tool", "name": "f"}
    form = {"type": "json_schema", "name": "x", "schema": schema}
    return [
        (f"schema: {name}", _chat(**json_schema(schema))),
        (f"tool: {name}", _chat(**named_tool(parameters))),
        (f"response's schema: {name}", _response(text={"format": form})),
        (f"counted tool: {name}", _count(tools=tools, tool_choice=choice)),
        (f"demanded strict tool: {name}", _chat(tools=chats, tool_choice="required")),
        (f"free tool: {name}", _chat(tools=chats, stream=True)),
        (f"response's tool: {name}", _response(tools=flat, tool_choice="required")),
        (f"message's tool: {name}", _message(tools=tools, tool_choice=choice)),
        (f"message's schema: {name}", _message(output_config={"format": form}, stream=True)),
    ]


_ALWAYS = 2
"""How many of the ways are tried with each schema; the others take turns."""


def _grammars() -> Iterator[Named]:
    for name, grammar in INVALID_GRAMMARS.items():
        yield f"grammar: {name}", _chat(grammar=grammar)
        completion = {"prompt": "x", "grammar": grammar, "max_tokens": _FEW}
        yield f"completion's grammar: {name}", (COMPLETIONS, completion)


def _tokens() -> Iterator[Named]:
    for token in (-1, 10**6, 2**31):
        yield f"detokenize {token}", ("/extras/detokenize", {"tokens": [token]})
        yield f"prompt of {token}", (COMPLETIONS, {"prompt": [token]})
        yield f"bias on {token}", _chat(logit_bias={str(token): 5})


def _odd_chats() -> Iterator[Named]:
    yield "an end forbidden", _chat(grammar='root ::= "a"', min_tokens=30)
    yield "an end biased away", _chat(grammar='root ::= "a"', logit_bias={"2": -1e300})
    yield "no temperature that is a number", _chat(temperature=1e300)
    yield "a length without end", _chat(max_tokens=10**12, stop=["e"])
    yield "a prompt without end", _chat(messages=[{"role": "user", "content": _ENDLESS}])
    image = {"type": "image_url", "image_url": {"url": _FILE}}
    yield "an image", _chat(messages=[{"role": "user", "content": [image]}])
    many = [{"type": "function", "function": {"name": f"f{number}"}} for number in range(2000)]
    yield "tools without end", _chat(tools=many)
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{" * 10**4}}
    yield (
        "calls that are no JSON",
        _chat(
            messages=[
                *HELLO,
                {"role": "assistant", "content": None, "tool_calls": [call] * 50},
                {"role": "tool", "tool_call_id": "c", "content": "x"},
            ]
        ),
    )


def _odd_responses() -> Iterator[Named]:
    yield "response: no temperature that is a number", _response(temperature=1e300)
    short = {"format": {"type": "json_schema", "name": "x", "schema": {"enum": ["a"]}}}
    endless = _response(max_output_tokens=10**12, text=short, stream=True)
    yield "response: a length without end", endless
    yield "response: a prompt without end", _response(input=_ENDLESS)
    yield "response: items without end", _response(input=[{"role": "user", "content": "a"}] * 20_000)
    image = {"type": "input_image", "image_url": _FILE}
    yield "response: an image", _response(input=[{"role": "user", "content": [image]}])
    yield "response: another one's", _response(previous_response_id="resp_" + "0" * 40)
    output = {"type": "function_call_output", "call_id": "never", "output": "x"}
    yield "response: a result without its call", _response(input=[output])
    yield "response: a namespace of namespaces", _response(tools=_namespaces(200))


def _namespaces(depth: int) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = [{"type": "function", "name": "f", "parameters": {}}]
    for _ in range(depth):
        tools = [{"type": "namespace", "name": "n", "description": "", "tools": tools}]
    return tools


def _odd_messages() -> Iterator[Named]:
    blocks: dict[str, list[dict[str, Any]]] = {
        "an image": [{"type": "image", "source": {"type": "url", "url": _FILE}}],
        "an image's bytes": [
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "A" * 10**6},
            }
        ],
        "a document elsewhere": [{"type": "document", "source": {"type": "url", "url": _FILE}}],
        "a result without its call": [{"type": "tool_result", "tool_use_id": "never", "content": "x"}],
        "blocks without end": [{"type": "text", "text": "a"}] * 20_000,
        "a text without end": [{"type": "text", "text": _ENDLESS}],
    }
    for name, content in blocks.items():
        yield f"message: {name}", _message(messages=[{"role": "user", "content": content}])
        yield f"count: {name}", _count(messages=[{"role": "user", "content": content}])
    yield "message: no temperature that is a number", _message(temperature=1e300)
    yield "message: a length without end", _message(max_tokens=10**12, stop_sequences=["e"])
    yield (
        "message: thinking without end",
        _message(thinking={"type": "enabled", "budget_tokens": 10**12}),
    )
    yield "message: a system without end", _message(system=[{"type": "text", "text": "a b " * 10**5}])
    yield "count: tools without end", _count(tools=[{"name": f"f{number}"} for number in range(2000)])


def _odd_inputs() -> Iterator[Named]:
    for name, given in {
        "a token that is none": [10**6],
        "a negative token": [[-1]],
        "a text without end": _ENDLESS,
        "a text of special tokens": "[SEP]" * 100,
        "inputs too long by one": [[7] * 129] * 20,
        "many long inputs": [[7] * 128] * 600,
        "inputs without end": ["a"] * 20_000,
    }.items():
        yield f"embeddings: {name}", ("/v1/embeddings", {"input": given, "dimensions": 4})
        yield f"reranking: {name}", ("/v1/rerank", {"query": "tea", "documents": given})
    endless = {"query": _ENDLESS, "documents": ["a"]}
    yield "reranking: a query without end", ("/v1/rerank", endless)
    yield "embeddings: dimensions without end", ("/v1/embeddings", {"input": "a", "dimensions": 10**12})
