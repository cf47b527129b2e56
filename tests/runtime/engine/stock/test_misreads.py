"""What the stock llama_cpp.server makes of requests that OpenAI's clients send.

Each test that fails tells that a release has put it right: its guard or translation in runtime/engine
can go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.client import CHAT, COMPLETIONS, HELLO, MODELS
from tests.support.gguf import build_model, token_ids
from tests.support.stock import API_KEY, StockServer
from tests.support.wait import until

N_CTX = 256
IDS = token_ids()
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "boolean"}},
            "required": ["a"],
        },
    },
}
NAMED = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TEXT_PART = {"type": "text", "text": "Hello"}
LONG_PROMPT = [{"role": "user", "content": "z" * 3 * N_CTX}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a quick model, tiny.gguf."""
    folder = tmp_path_factory.mktemp("misreads")
    build_model(folder / "tiny.gguf")
    return folder


@pytest.fixture(scope="module")
def default(folder: Path) -> Iterator[StockServer]:
    """A running stock server with its own settings but for a small context."""
    with StockServer(folder, folder / "tiny.gguf", n_ctx=N_CTX) as server:
        yield server.start()


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[StockServer]:
    """The same with our settings."""
    with StockServer(folder, folder / "tiny.gguf", n_ctx=N_CTX, ours=True) as server:
        yield server.start()


# How long an answer is


@pytest.mark.parametrize(
    "asked",
    [{}, {"max_tokens": None}, {"max_tokens": 0}, {"max_tokens": -1}, {"max_completion_tokens": 3}],
    ids=["absent", "null", "0", "-1", "max_completion_tokens"],
)
async def test_a_chat_without_a_positive_max_tokens_fills_the_context(
    server: StockServer, asked: dict[str, Any]
) -> None:
    """max_completion_tokens, which OpenAI's clients send today, is ignored."""
    answer = await server.post(CHAT, {"messages": HELLO, **asked})

    assert answer.choice["finish_reason"] == "length"
    assert answer.usage["total_tokens"] == N_CTX


@pytest.mark.parametrize("asked", [None, 0])
async def test_a_completion_of_0_tokens_fills_the_context(
    server: StockServer, asked: int | None
) -> None:
    """Absent, it is OpenAI's 16."""
    answer = await server.post(COMPLETIONS, {"prompt": "a", "max_tokens": asked})
    absent = await server.post(COMPLETIONS, {"prompt": "a"})

    assert answer.usage["total_tokens"] == N_CTX
    assert absent.usage["completion_tokens"] == 16


async def test_one_answer_comes_however_many_are_asked_for(server: StockServer) -> None:
    """`n` is ignored."""
    answer = await server.chat(n=3)

    assert len(answer.json["choices"]) == 1


# What is refused


@pytest.mark.parametrize(
    "field", ["temperature", "top_p", "stream", "presence_penalty", "frequency_penalty"]
)
async def test_null_for_a_setting_is_a_500(server: StockServer, field: str) -> None:
    """To OpenAI null is the default."""
    answer = await server.post(CHAT, {"messages": HELLO, field: None})

    assert answer.status == 500


async def test_the_json_schema_response_format_is_a_500(server: StockServer) -> None:
    """Only `json_object` is known."""
    schema = {"name": "x", "schema": {"type": "boolean"}}

    answer = await server.chat(response_format={"type": "json_schema", "json_schema": schema})

    assert answer.status == 500
    assert "'text' or 'json_object'" in answer.error["message"]


async def test_json_object_takes_a_schema(server: StockServer) -> None:
    """So the above can be translated."""
    answer = await server.chat(
        response_format={"type": "json_object", "schema": {"type": "boolean"}}, max_tokens=20
    )

    assert json.loads(answer.content) in (True, False)


@pytest.mark.parametrize(
    ("name", "written"), [("a\nb", '"a\nb"'), ("a\\b", '"a\\b"')], ids=["newline", "backslash"]
)
async def test_a_propertys_name_is_written_without_its_escapes(
    server: StockServer, name: str, written: str
) -> None:
    """The answer is no JSON, or has another name in it: the schema is followed to the letter."""
    schema = {"type": "object", "properties": {name: {"enum": [1]}}, "required": [name]}

    answer = await server.chat(
        response_format={"type": "json_object", "schema": schema}, max_tokens=30, temperature=0
    )

    assert written in answer.content
    assert json.dumps(name) not in answer.content


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/nowhere"},
        {"type": "string", "pattern": "a"},
        {"type": "string", "pattern": "^(?:a)$"},
        {"oneOf": []},
        {"type": "nothing"},
    ],
    ids=["dangling $ref", "pattern without anchors", "group without capture", "empty oneOf", "type"],
)
async def test_a_schema_it_cannot_convert_is_dropped_for_any_json(
    server: StockServer, schema: dict[str, Any]
) -> None:
    """The converter's exception is swallowed, and the answer begins an object, whatever was asked."""
    response_format = {"type": "json_object", "schema": schema}

    answer = await server.chat(response_format=response_format, max_tokens=20)

    assert answer.content.startswith("{")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "system", "content": [TEXT_PART]},
        {"role": "assistant", "content": [TEXT_PART]},
        {"role": "tool", "tool_call_id": "call_1", "content": [TEXT_PART]},
    ],
    ids=["developer", "null beside tool_calls", "system parts", "assistant parts", "tool parts"],
)
async def test_messages_that_openai_allows_are_500s(
    server: StockServer, message: dict[str, Any]
) -> None:
    """A developer's role, content that is null beside tool calls, content in parts."""
    answer = await server.chat(messages=[*HELLO, message])

    assert answer.status == 500
    assert "validation errors" in answer.error["message"]


async def test_parts_in_a_users_message_are_given_to_the_template_as_they_are(
    server: StockServer,
) -> None:
    """A template that adds strings, as most do, fails on the list: a 500 with Python's words."""
    answer = await server.chat(messages=[{"role": "user", "content": [TEXT_PART]}])

    assert answer.status == 500
    assert 'can only concatenate str (not "list") to str' in answer.error["message"]


async def test_an_image_is_text_to_a_text_model(folder: Path) -> None:
    """A template that prints the content prints the list, the picture's base64 and all."""
    template = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
    model = build_model(folder / "prints.gguf", chat_template=template)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100}}
    with StockServer(folder, model, n_ctx=512, ours=True) as server:
        server.start()
        answer = await server.chat(messages=[{"role": "user", "content": [image]}])
        printed = await server.post("/extras/tokenize/count", {"input": str([image])})

    assert answer.usage["prompt_tokens"] == printed.json["count"] > 100


@pytest.mark.parametrize("prompt", [["a", "b"], [300, 301], [[300, 301]]], ids=["two", "ids", "lists"])
async def test_several_prompts_and_prompts_of_tokens_are_500s(
    server: StockServer, prompt: list[Any]
) -> None:
    """For two prompts not even with a message."""
    answer = await server.post(COMPLETIONS, {"prompt": prompt})

    assert answer.status == 500
    assert bool(answer.error["message"]) == (prompt != ["a", "b"])


# Errors


async def test_validation_errors_are_500s_that_repeat_the_input(server: StockServer) -> None:
    """With the path of a file on the server."""
    answer = await server.chat(temperature="my secret")

    assert answer.status == 500
    assert answer.error["type"] == "internal_server_error"
    assert "my secret" in answer.error["message"]
    assert "llama_cpp/server/app.py" in answer.error["message"]


@pytest.mark.parametrize("key", [API_KEY, "wrong"])
async def test_malformed_json_is_a_500_in_plain_text(server: StockServer, key: str) -> None:
    """With a wrong key too: the body is read and parsed before anyone looks at the key."""
    answer = await server.post(CHAT, b"{", key=key)

    assert (answer.status, answer.text) == (500, "Internal Server Error")
    assert answer.headers["Content-Type"].startswith("text/plain")


async def test_a_request_id_that_is_no_uuid_is_an_empty_400(server: StockServer) -> None:
    """One that is a UUID goes through."""
    other = await server.get(MODELS, headers={"X-Request-ID": "req-1"})
    uuid = await server.get(MODELS, headers={"X-Request-ID": "5a7bb2d2-7ac1-4bb5-a0b4-ec8f8bd0a2a8"})

    assert (other.status, other.text) == (400, "")
    assert uuid.status == 200


async def test_a_bad_key_and_an_unknown_path_are_answered_in_fastapis_own_form(
    server: StockServer,
) -> None:
    """`detail`, where OpenAI's clients look for `error`."""
    bad_key = await server.get(MODELS, key="wrong")
    unknown = await server.get("/v1/nothing")

    assert (bad_key.status, bad_key.json) == (401, {"detail": "Invalid API key"})
    assert (unknown.status, unknown.json) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("path", [f"{MODELS}/tiny.gguf", "/health", "/metrics"])
async def test_one_model_health_and_metrics_are_unknown_paths(server: StockServer, path: str) -> None:
    """A model's own page under its listed name, too."""
    assert (await server.get(path)).status == 404


async def test_any_web_page_may_call_it(server: StockServer) -> None:
    """CORS allows every origin."""
    origin = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}

    answer = await server.request("OPTIONS", CHAT, headers=origin)

    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://elsewhere.example"


# Streams


async def test_a_prompt_too_long_is_a_400_unless_streamed(server: StockServer) -> None:
    """OpenAI's own words and code."""
    answer = await server.chat(messages=LONG_PROMPT)

    assert answer.status == 400
    assert answer.error["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": LONG_PROMPT},
        {"logprobs": True, "top_logprobs": 1},
        {"presence_penalty": None},
        {"messages": [{"role": "user", "content": [TEXT_PART]}]},
    ],
    ids=["context overflow", "logprobs without logits", "null", "a template's error"],
)
async def test_an_error_in_a_stream_is_an_empty_200(server: StockServer, body: dict[str, Any]) -> None:
    """No event at all and a clean end; only the log has the error."""
    said = len(server.log)

    stream = await server.stream(**body)

    assert (stream.status, stream.text, stream.broken) == (200, "", False)
    await until(lambda: "Traceback" in server.log[said:], "the error in the log")


async def test_the_openai_client_takes_such_a_stream_for_an_empty_answer(server: StockServer) -> None:
    """No exception: to the program it seems that the model had nothing to say."""
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=API_KEY) as client:
        stream = await client.chat.completions.create(
            model="tiny.gguf", messages=[{"role": "user", "content": "z" * 3 * N_CTX}], stream=True
        )
        chunks = [chunk async for chunk in stream]

    assert chunks == []


async def test_include_usage_is_ignored(server: StockServer) -> None:
    """A stream carries no usage."""
    stream = await server.stream(stream_options={"include_usage": True})

    assert stream.finish_reasons == ["length"]
    assert not any("usage" in chunk for chunk in stream.chunks)


# The model's name


async def test_an_unknown_model_is_served_by_the_one_there_is(server: StockServer) -> None:
    """Under the name asked for."""
    answer = await server.chat(model="gpt-4")

    assert answer.content
    assert answer.json["model"] == "gpt-4"


async def test_a_nameless_model_is_called_by_its_files_path(server: StockServer, folder: Path) -> None:
    """In the list and in answers to requests that name none."""
    listed = await server.get(MODELS)
    answer = await server.chat()

    assert [model["id"] for model in listed.json["data"]] == [str(folder / "tiny.gguf")]
    assert answer.json["model"] == str(folder / "tiny.gguf")


# logprobs


async def test_chat_logprobs_need_top_logprobs_too(default: StockServer) -> None:
    """To OpenAI `logprobs: true` alone gives the drawn tokens' own."""
    alone = await default.chat(logprobs=True)
    both = await default.chat(logprobs=True, top_logprobs=1)

    assert alone.choice["logprobs"] is None
    assert len(both.choice["logprobs"]["content"]) == 8


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": HELLO, "logprobs": True, "top_logprobs": 1}),
        (COMPLETIONS, {"prompt": "a", "logprobs": 1}),
    ],
)
async def test_logprobs_are_a_500_without_logits_all(
    server: StockServer, path: str, body: dict[str, Any]
) -> None:
    """The server's setting, not the request's fault."""
    answer = await server.post(path, body)

    assert answer.status == 500
    assert "logits_all=False" in answer.error["message"]


async def test_logits_all_allocates_the_context_times_the_vocabulary(folder: Path) -> None:
    """Four bytes for each: 5 GB for 8,192 tokens of a vocabulary of 152,000. It is the default."""
    sizes = []
    n_ctx = 131_072
    for logits_all in (True, False):
        with StockServer(folder, folder / "tiny.gguf", n_ctx=n_ctx, logits_all=logits_all) as server:
            _, virtual = server.start().memory()
            sizes.append(virtual)

    # Threads reserve address space by the 64 MB.
    assert sizes[0] - sizes[1] == pytest.approx(n_ctx * len(IDS) * 4, abs=150e6)


# Embeddings


@pytest.fixture(scope="module")
def embedding(folder: Path) -> Iterator[StockServer]:
    """A running stock server that gives embeddings."""
    with StockServer(folder, folder / "tiny.gguf", embedding=True, ours=True) as server:
        yield server.start()


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings_of_a_generative_model_are_one_for_each_token(
    embedding: StockServer, encoding: str
) -> None:
    """A list of vectors where clients expect one; encoding_format is ignored."""
    body = {"input": "Hello", "encoding_format": encoding}

    answer = await embedding.post("/v1/embeddings", body)

    vectors = answer.json["data"][0]["embedding"]
    assert [len(vector) for vector in vectors] == [64] * answer.json["usage"]["prompt_tokens"]
    assert len(vectors) > 1


async def test_too_long_an_input_of_embeddings_is_cut_silently(embedding: StockServer) -> None:
    """At n_batch, 512 tokens."""
    answer = await embedding.post("/v1/embeddings", {"input": "z" * 600})

    assert answer.json["usage"]["prompt_tokens"] == 512


# Tools


@pytest.mark.parametrize("choice", ["auto", "required", None])
async def test_tools_that_are_not_named_give_plain_text(server: StockServer, choice: str | None) -> None:
    """Even `required`."""
    answer = await server.chat(tools=[TOOL], tool_choice=choice)

    assert answer.content
    assert "tool_calls" not in answer.choice["message"]


async def test_a_named_tool_is_called(server: StockServer) -> None:
    """The only choice that gives tool_calls."""
    answer = await server.chat(tools=[TOOL], tool_choice=NAMED, max_tokens=40)

    (call,) = answer.choice["message"]["tool_calls"]
    assert answer.choice["finish_reason"] == "tool_calls"
    assert json.loads(call["function"]["arguments"])["a"] in (True, False)


async def test_a_named_tools_arguments_may_be_cut_and_still_be_a_call(server: StockServer) -> None:
    """finish_reason says `tool_calls` although max_tokens ended it."""
    answer = await server.chat(tools=[TOOL], tool_choice=NAMED, max_tokens=2)

    (call,) = answer.choice["message"]["tool_calls"]
    assert answer.choice["finish_reason"] == "tool_calls"
    with pytest.raises(json.JSONDecodeError):
        json.loads(call["function"]["arguments"])


async def test_a_tool_without_parameters_is_a_500(server: StockServer) -> None:
    """OpenAI lets them be left out."""
    answer = await server.chat(tools=[{"type": "function", "function": {"name": "f"}}])

    assert answer.status == 500


# logit_bias, pieces


async def test_logit_bias_and_min_tokens_drop_each_other(folder: Path) -> None:
    """Each works alone. `list.extend` gives None, and that is taken for the processors."""
    model = build_model(folder / "brief.gguf", eos_logit=60)
    bias: dict[str, Any] = {"logit_bias": {str(IDS["a"]): 200}}
    with StockServer(folder, model, n_ctx=N_CTX, ours=True) as server:
        server.start()
        neither = await server.chat(temperature=0)
        biased = await server.chat(temperature=0, **bias)
        longer = await server.chat(temperature=0, min_tokens=5)
        both = await server.chat(temperature=0, min_tokens=5, **bias)

    assert biased.content == "a" * 8
    assert longer.usage["completion_tokens"] >= 5
    assert both.content == neither.content == ""


async def test_a_piece_longer_than_32_bytes_vanishes_from_the_text(folder: Path) -> None:
    """The buffer for it has 32, and the length that would be needed is taken for that of the piece.

    Vocabularies of today have such tokens: 40 spaces, 64 dashes.
    """
    pieces = ("=" * 32, "=" * 33)
    short, long = (token_ids(pieces)[piece] for piece in pieces)
    model = build_model(folder / "long-pieces.gguf", extra_tokens=pieces)
    with StockServer(folder, model, n_ctx=N_CTX, ours=True) as server:
        server.start()
        texts = [await server.post("/extras/detokenize", {"tokens": [t]}) for t in (short, long)]
        answer = await server.chat(temperature=0, logit_bias={str(long): 100})

    assert [text.json["text"] for text in texts] == [pieces[0], ""]
    assert (answer.content, answer.usage["completion_tokens"]) == ("", 8)
