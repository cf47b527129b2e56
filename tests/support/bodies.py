"""Hypothesis strategies for requests to the engine: nearly valid, odd, broken.

Bodies are trees of Python values, with three things that Python's own cannot say in JSON: numbers
written literally (`Raw`), names that stand twice (`Pairs`) and half characters (a lone surrogate in a
string). Everything is small: what is large by itself is attacked elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

Values = st.SearchStrategy[Any]

CHAT = "/v1/chat/completions"
COMPLETIONS = ("/v1/completions", "/v1/engines/copilot-codex/completions")
TEXT_ROUTES = ("/extras/tokenize", "/extras/tokenize/count", "/extras/detokenize")
READ_ROUTES = ("/v1/models", "/metrics", "/openapi.json", "/docs", "/health")
RESPONSES = "/v1/responses"
MESSAGES = ("/v1/messages", "/v1/messages/count_tokens")
EMBEDDINGS = "/v1/embeddings"
RERANK = ("/v1/rerank", "/v2/rerank", "/rerank", "/v1/reranking")
ROUTES = (
    *(CHAT, *COMPLETIONS, RESPONSES, *MESSAGES, EMBEDDINGS, *RERANK),
    *TEXT_ROUTES,
    *READ_ROUTES,
)


@dataclass(frozen=True)
class Raw:
    """JSON, or what looks like it, as it is written."""

    text: str


@dataclass(frozen=True)
class Pairs:
    """An object, of which a name may stand several times."""

    members: Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Request:
    """What is sent."""

    method: str
    path: str
    body: bytes


def encode(value: Any) -> str:
    """A tree as JSON."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Pairs | dict):
        members = value.items() if isinstance(value, dict) else value.members
        return "{" + ",".join(f"{json.dumps(name)}:{encode(item)}" for name, item in members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(encode, value)) + "]"
    return json.dumps(value)


def nested(depth: int, opening: str, closing: str) -> Raw:
    """Containers in each other."""
    return Raw(opening * depth + "0" + closing * depth)


_WHOLE = "0 1 -1 2 3 7 20 21 255 256 450 32768 2147483647 2147483648 -2147483648 4294967296".split()
_LARGE = [2**53, 2**63, -(2**63), 2**64, 10**12, -(10**12), 10**400, 1e10, 1e20, 1e38, 3.5e38, 1e300]
_FLOATS = "0.0 -0.0 0.5 1.0 1.5 5e-324 1e-45 1e-40 1e-7 0.1 0.999999 1.0000001 2.0000001 9.99 10.0 100.0"
_NUMBERS = [*map(int, _WHOLE), *_LARGE, *map(float, _FLOATS.split())]
_RAW = [
    *r"""NaN Infinity -Infinity nan 1e400 -1e400 -0 01 +1 .5 5. 0x10 1e 1E+2 1e-400 True None
    undefined 'a'
    { ] //x "\x" "\u12" "\ud800" "\udc00\ud800" "\u0000" {"a":1,} [1,] "a""".split(),
    *("", '"\t"', "1" * 5000, "0." + "1" * 5000),
]
_TEXTS = [
    *"<s> </s> <0x0A> {{7*7}} %s%n true null -1 text json_object auto none required user".split(),
    *("", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "\x7f", "\x1b[31m", "\u2028", "\ufeff", "\u202e"),
    *("😀", "é" * 50, "a" * 600, " " * 700, "-" * 200, "\n" * 100, "ab " * 100, "<unk>" * 9, "a" * 5000),
    *("<|user|>\n", "{% for x in y %}"),
]

numbers = st.one_of(st.sampled_from(_NUMBERS), st.sampled_from(_NUMBERS), st.integers(), st.floats())
_words = st.sampled_from(["a", "b", "Hello", "Say bana.", "0", "{}", '{"a": 1}', "é", "root"])
texts = st.one_of(_words, _words, st.sampled_from(_TEXTS), st.text(max_size=12))
_leaves = st.one_of(
    st.none(), st.booleans(), numbers, texts, st.sampled_from(_RAW).map(Raw), st.just([]), st.just({})
)
_deep = st.builds(
    lambda depth, kind: nested(depth, *kind),
    st.sampled_from([2, 63, 64, 65, 130, 300, 900, 1023, 1024, 5000]),
    st.sampled_from([("[", "]"), ('{"a":', "}"), ('{"items":', "}"), ('{"type":"text","text":[', "]}")]),
)
_some = st.one_of(
    st.lists(_leaves, max_size=4),
    st.dictionaries(texts, _leaves, max_size=3),
    st.builds(lambda item, times: [item] * times, _leaves, st.sampled_from([1, 17, 130, 1100, 5000])),
    st.builds(Pairs, st.lists(st.tuples(texts, _leaves), max_size=3)),
)
odd: Values = st.one_of(_leaves, _leaves, _leaves, _some, _deep)
"""Any JSON, and some that is none."""


def _mostly(usual: Values) -> Values:
    return st.integers(0, 23).flatmap(lambda chance: odd if chance == 23 else usual)


# --- Schemas and grammars ----------------------------------------------------------------------------

_ATOMS = ["a", "[a-c]", "[^x]", ".", r"\d", r"\w", r"\s", r"\S", r"\D", r"\b", r"\p{L}", r"\u0041", "é"]
_ODD_ATOMS = ["[z-a]", "(?=a)", "(?!a)", "(?i)a", "(?<n>a)", r"\1", "[", "(", ")", "]", "{", "\\", "\0"]
_QUANTIFIERS = ["", "", "", "*", "+", "?", "{3}", "{0,}", "{2,1}", "{1,1000}", "{0,100000}", "*?", "**"]
_patterns = st.recursive(
    st.sampled_from([*_ATOMS, *_ATOMS, *_ODD_ATOMS]),
    lambda inner: st.one_of(
        st.lists(st.builds(str.__add__, inner, st.sampled_from(_QUANTIFIERS)), max_size=4).map("".join),
        st.lists(inner, max_size=3).map(lambda options: f"({'|'.join(options)})"),
        inner.map(lambda pattern: f"^{pattern}$"),
    ),
    max_leaves=6,
)
_property_names = st.sampled_from(["a", "b", "c", 'q"\n', "", "\0", "$ref", "é", "x" * 300, "\ud800"])
_references = st.sampled_from(
    [
        "",
        "#",
        *"#/$defs/a #/$defs/b #/properties/a #/definitions/a a #a #/%zz/~2 #/$defs file:///a".split(),
    ]
)
_FORMATS = "date-time date time duration email hostname ipv4 ipv6 uuid uri regex x json-pointer".split()
_BOUNDS = [0, 1, 2, 3, 5, -1, 10**9, 10**18, 0.5, 1e300, -1e300, 1e-9, 1.0, 2**31, 2**63]
_bounds = st.sampled_from(_BOUNDS)
_TYPES = ["string", "integer", "number", "boolean", "null", "object", "array"]


def _schema(inner: Values) -> Values:
    listed = st.lists(inner, max_size=3)
    named = st.dictionaries(_property_names, inner, max_size=3)
    definitions = st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    keywords: dict[str, Values] = {
        "type": st.one_of(st.sampled_from(_TYPES), st.lists(st.sampled_from(_TYPES), max_size=3)),
        **dict.fromkeys("enum examples".split(), st.lists(_leaves, max_size=3)),
        **dict.fromkeys("const default".split(), st.one_of(_leaves, _some)),
        **dict.fromkeys("anyOf oneOf allOf prefixItems".split(), listed),
        **dict.fromkeys(
            "not if then else items contains additionalProperties propertyNames unevaluatedItems "
            "unevaluatedProperties additionalItems".split(),
            inner,
        ),
        **dict.fromkeys("properties dependentSchemas".split(), named),
        "patternProperties": st.dictionaries(_patterns, inner, max_size=2),
        **dict.fromkeys("$defs definitions".split(), definitions),
        "required": st.lists(_property_names, max_size=3),
        "dependentRequired": st.dictionaries(_property_names, st.lists(_property_names, max_size=2)),
        **dict.fromkeys(
            "minLength maxLength minItems maxItems minProperties maxProperties minContains maxContains "
            "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf".split(),
            st.one_of(_bounds, numbers),
        ),
        "pattern": _patterns,
        "format": st.sampled_from(_FORMATS),
        **dict.fromkeys("$ref $dynamicRef $recursiveRef".split(), _references),
        **dict.fromkeys("$id $schema $anchor $comment title description".split(), texts),
        **dict.fromkeys("uniqueItems deprecated nullable".split(), st.booleans()),
        "x-guidance": st.dictionaries(
            st.sampled_from(["whitespace_pattern", "item_separator", "key_separator", "lenient"]),
            st.one_of(_patterns, st.booleans()),
            max_size=2,
        ),
    }
    member = st.sampled_from(sorted(keywords)).flatmap(
        lambda name: st.tuples(st.just(name), _mostly(keywords[name]))
    )
    return st.lists(member, max_size=5).map(Pairs)


def _chain(size: tuple[int, int], keyword: str) -> Any:
    """A flat schema that leads deep: each of its definitions nests the next one."""
    links, depth = size
    definitions: dict[str, Any] = {f"d{links}": {"type": "string"}}
    for number in range(links):
        inside = Raw(f'{{"$ref":"#/$defs/d{number + 1}"}}')
        opening, closing = (
            (f'{{"{keyword}":[', "]}") if keyword.endswith("Of") else (f'{{"{keyword}":', "}")
        )
        definitions[f"d{number}"] = Raw(opening * depth + inside.text + closing * depth)
    return {"$ref": "#/$defs/d0", "$defs": definitions}


_chains = st.builds(
    _chain,
    st.sampled_from([(1, 1), (20, 20), (100, 58), (400, 25), (3000, 1)]),
    st.sampled_from(["items", "additionalProperties", "anyOf", "allOf", "oneOf", "not"]),
)
_small = st.recursive(
    st.one_of(st.booleans(), st.sampled_from(_TYPES).map(lambda kind: {"type": kind})),
    _schema,
    max_leaves=8,
)
schemas: Values = st.integers(0, 9).flatmap(lambda chance: _chains if chance == 0 else _small)
"""JSON schemas of all keywords, few of them sensible."""

_GBNF = st.sampled_from(
    [
        *r""""a" [a-c] [^a] [0-9]+ . x y root "\n" "\x41" "\u00e9" x* y? "a"{2,3} [a]{1,1000000} | ""
        [z-a]
        " [ ( ) ::= \ # { } * <[1]> !x é [\]] root*""".split(),
        *('"b c"', '( "a" | x )', "( root | )*", "\n", "\0"),
    ]
)
_LARK = st.sampled_from(
    [
        *r""""a" "b"i /a+/ /[a-c]{2,9}/ x X start | x* X? "a"~2..3 x~5 ? <[1]> <[2-300]> <[999999999]>
        <|x|> </s> /(?i)a/ /[/ /(/ ~X "a".."z" @x @0 } \ " é ~1000000 "a"{1000} x{0,100000} [
        ] /.*/""".split(),
        *('( "a" | x )', '%json {"type":"object"}', '%json {"$ref":"#"}', "%json {", "%lark {", "-> y"),
        *('%regex {"substring_chars":"abc"}', "X & X", "X & ~/a/", "%import common.INT", "%ignore /x/"),
        *("\n", "\0"),
    ]
)
_GBNF_RULES = ["root ::= ", "x ::= ", "y ::= ", "root ::= x\n", "", "röot ::= "]
_LARK_RULES = [
    "start: ",
    "x: ",
    "X: ",
    "start: x\n",
    "%llguidance {}\nstart: ",
    "x[lazy]: ",
    "X[a=/a/]: ",
]


def _rules(heads: Sequence[str], items: Values) -> Values:
    rule = st.builds(
        lambda head, body: head + " ".join(body), st.sampled_from(heads), st.lists(items, max_size=5)
    )
    return st.builds(
        lambda first, others: "\n".join([heads[0] + " ".join(first), *others]),
        st.lists(items, min_size=1, max_size=4),
        st.lists(rule, max_size=4),
    )


grammars: Values = st.one_of(_rules(_GBNF_RULES, _GBNF), _rules(_LARK_RULES, _LARK), texts)

# --- Requests ----------------------------------------------------------------------------------------

_odd_tokens = st.sampled_from([-1, -(2**31), 600, 2**31 - 1, 2**31, 2**32, 1.0, 1.5, "1", None])
_tokens = st.integers(0, 9).flatmap(lambda chance: _odd_tokens if chance == 9 else st.integers(0, 420))
_token_names = st.one_of(*[st.integers(0, 420).map(str)] * 9, _odd_tokens.map(str), texts)
_functions: Values = st.fixed_dictionaries(
    {"name": st.sampled_from(["f", "f", "g", "get_weather", "f", "", "x" * 200])},
    optional={"parameters": schemas, "description": texts, "strict": st.booleans()},
)
_tools = st.lists(
    _functions.map(lambda function: {"type": "function", "function": function}), max_size=2
)
_choice = {"type": "function", "function": {"name": "f"}}
_allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [_choice]}}
_sampling: dict[str, Values] = {
    "max_tokens": st.integers(-1, 20),
    "min_tokens": st.integers(0, 20),
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "min_p": st.floats(0, 1),
    "top_k": st.integers(0, 50),
    "repeat_penalty": st.floats(0.1, 10),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "mirostat_mode": st.integers(0, 2),
    "mirostat_tau": st.floats(0, 10),
    "mirostat_eta": st.floats(0.001, 1),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "stop": st.one_of(st.sampled_from(["a", "", "e", "ba"]), st.lists(texts, max_size=4)),
    "stream": st.booleans(),
    "stream_options": st.booleans().map(lambda value: {"include_usage": value}),
    "logit_bias": st.dictionaries(_token_names, st.sampled_from([-100, 100, 0, 1.5, 101]), max_size=4),
    "logit_bias_type": st.sampled_from(["input_ids", "tokens"]),
    "n": st.integers(1, 3),
    "model": st.sampled_from(["m", "m.gguf", "m", "", "gpt-4"]),
    "grammar": grammars,
}
_completion: dict[str, Values] = {
    **_sampling,
    "prompt": st.one_of(
        texts,
        st.lists(texts, min_size=1, max_size=3),
        st.lists(_tokens, min_size=1, max_size=6),
    ),
    "echo": st.booleans(),
    "logprobs": st.integers(0, 5),
    "best_of": st.integers(1, 3),
    "suffix": st.sampled_from(["", "x"]),
}
_formats = st.one_of(
    st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
    schemas.map(lambda schema: {"type": "json_object", "schema": schema}),
    st.builds(
        lambda schema, strict: {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": schema, "strict": strict},
        },
        schemas,
        st.booleans(),
    ),
)
_chat: dict[str, Values] = {
    **_sampling,
    "max_completion_tokens": st.integers(-1, 20),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 20),
    "response_format": _formats,
    "tools": _tools,
    "tool_choice": st.sampled_from(["none", "auto", "required", _choice, _allowed]),
    "functions": st.lists(_functions, max_size=2),
    "function_call": st.sampled_from(["none", "auto", {"name": "f"}]),
    "parallel_tool_calls": st.booleans(),
    "reasoning_effort": st.sampled_from(["none", "low", "high", "x"]),
    "reasoning_budget": st.integers(-1, 9),
    "continue_final_message": st.booleans(),
    "metadata": _some,
    "messages": st.nothing(),  # below
}
_PART_TYPES = [*["text"] * 8, "refusal", "image_url", "input_audio", "file", "x"]
_image = {"url": "http://127.0.0.1:9/x.png"}
_parts: Values = st.builds(
    lambda kind, text: {"type": kind, "text": text, "image_url": _image},
    st.sampled_from(_PART_TYPES),
    _mostly(texts),
)
_content = st.one_of(texts, texts, st.none(), st.lists(_mostly(_parts), max_size=3))
_call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_ROLES = [*["user"] * 9, "system", "developer", "assistant", "tool", "function", "x"]
_message: Values = st.builds(
    lambda role, content, others: Pairs([("role", role), ("content", content), *others]),
    _mostly(st.sampled_from(_ROLES)),
    _mostly(_content),
    st.lists(
        st.one_of(
            st.tuples(st.just("tool_calls"), _mostly(st.just([_call]))),
            st.tuples(st.sampled_from(["name", "tool_call_id", "refusal"]), _mostly(texts)),
            st.tuples(texts, odd),
        ),
        max_size=2,
    ),
)
_HI = [{"role": "user", "content": "Hi"}]
_messages = st.one_of(st.just(_HI), _mostly(st.lists(_mostly(_message), min_size=1, max_size=3)))


def _body(required: str, value: Values, fields: dict[str, Values], among: Sequence[str] = ()) -> Values:
    """A body with one field that it needs, and some others; one that stands twice at times."""
    names = sorted(among or fields.keys() - {required})
    field = st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), _mostly(fields[name])))
    return st.builds(
        lambda first, others: Pairs([(required, first), *others]), value, st.lists(field, max_size=6)
    )


_constrained = (
    "response_format grammar tools tool_choice functions function_call stream max_tokens "
    "reasoning_budget parallel_tool_calls".split()
)
chats = _body("messages", _messages, _chat)
constrained_chats = _body("messages", st.just(_HI), _chat, _constrained)
completions = _body("prompt", _mostly(_completion["prompt"]), _completion)


def _parts_of(kinds: Sequence[str]) -> Values:
    """Parts, blocks and items of several APIs, rarely whole."""
    fields: dict[str, Values] = {
        "text": texts,
        **dict.fromkeys("id call_id tool_use_id name namespace arguments thinking".split(), texts),
        "input": st.one_of(st.just({}), st.just({"a": 1}), odd),
        "role": st.sampled_from(_ROLES),
        "source": st.sampled_from([{"type": "text", "data": "a"}, {"type": "base64"}]),
        "is_error": st.booleans(),
        **dict.fromkeys(
            "content output summary".split(),
            st.one_of(texts, st.lists(st.sampled_from([*_TEXT_BLOCKS, {"type": "image"}]), max_size=2)),
        ),
    }
    field = st.sampled_from(sorted(fields)).flatmap(
        lambda name: st.tuples(st.just(name), _mostly(fields[name]))
    )
    return st.builds(
        lambda kind, others: Pairs([("type", kind), *others]),
        _mostly(st.sampled_from(kinds)),
        st.lists(field, max_size=7),
    )


_TEXT_BLOCKS = [
    *({"type": kind, "text": "a"} for kind in ("input_text", "output_text", "text", "summary_text")),
    {"type": "reasoning_text", "text": "a"},
]
_items = _parts_of("message function_call function_call_output reasoning item_reference x".split())
_blocks = _parts_of("text tool_use tool_result thinking redacted_thinking document image x".split())
_user_items = st.builds(lambda text: {"role": "user", "content": text}, texts)
_turns: Values = st.builds(
    lambda role, content: {"role": role, "content": content},
    _mostly(st.sampled_from(["user", "user", "assistant", "system"])),
    _mostly(st.one_of(texts, st.lists(_mostly(_blocks), max_size=3))),
)
_flat_tools = st.lists(
    st.one_of(
        _functions.map(lambda function: {"type": "function", **function}),
        _functions.map(
            lambda function: {
                "type": "namespace",
                "name": "n",
                "tools": [{"type": "function", **function}],
            }
        ),
        st.just({"type": "web_search"}),
    ),
    max_size=2,
)
_response: dict[str, Values] = {
    **{name: _chat[name] for name in ("temperature", "top_p", "stream", "model", "seed", "metadata")},
    "max_output_tokens": st.integers(1, 20),
    "instructions": texts,
    "tools": _flat_tools,
    "tool_choice": st.sampled_from(
        [
            *("none", "auto", "required"),
            {"type": "function", "name": "f"},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        ]
    ),
    "text": schemas.map(
        lambda schema: {"format": {"type": "json_schema", "name": "x", "schema": schema}}
    ),
    "reasoning": st.sampled_from([{"effort": "none"}, {"effort": "low", "summary": "auto"}]),
    "top_logprobs": st.integers(0, 20),
    "include": st.lists(st.sampled_from(["message.output_text.logprobs", "x"]), max_size=2),
    "store": st.booleans(),
    "truncation": st.sampled_from(["auto", "disabled"]),
    "previous_response_id": st.sampled_from([None, "resp_1"]),
}
_message_fields: dict[str, Values] = {
    **{name: _chat[name] for name in ("temperature", "top_p", "top_k", "stream", "model")},
    "system": st.one_of(texts, st.lists(_blocks, max_size=2)),
    "stop_sequences": st.lists(texts, max_size=3),
    "tools": st.lists(
        st.builds(
            lambda function: {"name": function["name"], "input_schema": function.get("parameters", {})},
            _functions,
        ),
        max_size=2,
    ),
    "tool_choice": st.sampled_from(
        [{"type": kind} for kind in ("auto", "any", "none")] + [{"type": "tool", "name": "f"}]
    ),
    "thinking": st.sampled_from(
        [{"type": "disabled"}, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 4}]
    ),
    "output_config": st.sampled_from([{"effort": "low"}, {"effort": "x"}]),
}
responses = _body(
    "input",
    _mostly(st.one_of(texts, st.lists(_mostly(st.one_of(_items, _user_items)), max_size=4))),
    _response,
)
messages = st.builds(
    lambda body, limit: Pairs([*body.members, ("max_tokens", limit)]),
    _body("messages", _mostly(st.lists(_mostly(_turns), min_size=1, max_size=3)), _message_fields),
    _mostly(st.integers(1, 20)),
)
text_requests = st.one_of(
    _body("input", _mostly(texts), {"model": st.sampled_from(["m", "gpt-4"]), "tokens": odd}),
    _body("tokens", _mostly(st.lists(_tokens, max_size=6)), {"input": texts, "x": odd}),
)

_vocabulary = st.integers(0, 9).flatmap(
    lambda chance: _odd_tokens if chance == 9 else st.integers(0, 50)
)
_inputs = st.one_of(texts, st.lists(_vocabulary, max_size=6), st.lists(_vocabulary, max_size=140))
embeddings = _body(
    "input",
    _mostly(st.one_of(_inputs, st.lists(_mostly(_inputs), max_size=6))),
    {
        "encoding_format": st.sampled_from(["float", "base64", "int8"]),
        "dimensions": st.integers(0, 70),
        "model": st.sampled_from(["embedding", "embedding.gguf", "reranker", "gpt-4"]),
        "user": texts,
    },
)
_documents = st.lists(
    _mostly(st.one_of(texts, st.builds(lambda text: {"text": text}, texts))), max_size=6
)
rankings = st.builds(
    lambda body, query: Pairs([("query", query), *body.members]),
    _body(
        "documents",
        _mostly(_documents),
        {
            "top_n": st.integers(-1, 8),
            "return_documents": st.booleans(),
            "raw_scores": st.booleans(),
            "model": st.sampled_from(["reranker", "reranker.gguf", "embedding"]),
            "max_chunks_per_doc": st.integers(0, 9),
        },
    ),
    _mostly(texts),
)


@st.composite
def _damaged(draw: st.DrawFn, text: str) -> bytes:
    """A body's bytes, one in sixteen of them no JSON, or no text, any more."""
    body = text.encode("utf-8", "surrogatepass")
    kind = draw(st.sampled_from([*["none"] * 60, "cut", "insert", "mark", "utf-16"]))
    if kind == "cut":
        return body[: draw(st.integers(0, len(body)))]
    if kind == "insert":
        at = draw(st.integers(0, len(body)))
        junk = draw(
            st.sampled_from([b"\xff", b"\xc3", b"\0", b"\xed\xa0\x80", b"}", b'"', b"\\", b"/**/"])
        )
        return body[:at] + junk + body[at:]
    if kind == "mark":
        return b"\xef\xbb\xbf" + body
    return text.encode("utf-16", "surrogatepass") if kind == "utf-16" else body


def _posts(paths: Sequence[str], bodies: Values) -> Values:
    return st.builds(
        Request, st.just("POST"), st.sampled_from(paths), bodies.map(encode).flatmap(_damaged)
    )


def _tail(text: str) -> str:
    """Text as the end of a path."""
    return quote(text[:200], safe="/%:", errors="replace")


_paths = st.one_of(
    st.sampled_from(ROUTES),
    st.builds(str.__add__, st.sampled_from([*ROUTES, "/v1/models/", "/"]), texts.map(_tail)),
)
_others = st.builds(
    Request,
    st.sampled_from("GET GET POST PUT DELETE PATCH OPTIONS HEAD BREW".split()),
    _paths,
    st.one_of(st.just(b""), st.binary(max_size=20), odd.map(encode).flatmap(_damaged)),
)

families: dict[str, Values] = {
    "chat": _posts([CHAT], chats),
    "constrained": _posts([CHAT], constrained_chats),
    "completions": _posts(COMPLETIONS, completions),
    "dialects": st.one_of(_posts([RESPONSES], responses), _posts(MESSAGES, messages)),
    "texts": _posts(TEXT_ROUTES, text_requests),
    "embeddings": st.one_of(_posts([EMBEDDINGS], embeddings), _posts(RERANK, rankings)),
    "crossed": _posts(ROUTES, st.one_of(chats, completions, text_requests, embeddings, rankings, odd)),
    "routes": _others,
}
"""Requests by what they try."""
