"""/v1/embeddings by the real client: vectors, forms of input, and what a request may ask."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from anthropic import AsyncAnthropic
from numpy.typing import NDArray
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from runtime.engine.http.embeddings import RERANK_PATHS
from tests.runtime.engine.embedding.conftest import N_CTX, Models
from tests.runtime.engine.http.test_description import schema_of
from tests.support.client import MODELS, Answer
from tests.support.engine import API_KEY, Engine
from tests.support.gguf_bert import VOCABULARY, token_ids

EMBEDDINGS = "/v1/embeddings"
TOLERANCE = 1e-3
"""llama.cpp computes attention with 16-bit keys and values."""
TEXTS = ["the cat sat on the mat", "the dog ran", "moon is red", "tea", "dogs sat on the blue moon ."]


def client_of(engine: Engine) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{engine.url}/v1", api_key=API_KEY, max_retries=0)


def expected(berts: Models, texts: list[str]) -> NDArray[np.float32]:
    """What numpy computes for texts of whole words, normalised."""
    rows = berts.embedding.rows([token_ids(text.replace("dogs", "dog ##s").split()) for text in texts])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


async def embed(engine: Engine, **body: Any) -> Answer:
    return await engine.post(EMBEDDINGS, body)


def vectors(answer: Answer) -> NDArray[np.float32]:
    assert answer.status == 200, answer
    return np.array([entry["embedding"] for entry in answer.json["data"]], dtype=np.float32)


@pytest.mark.parametrize("server", ["beside", "alone"])
async def test_a_list_gives_the_models_own_vectors_in_order(
    server: str, berts: Models, request: pytest.FixtureRequest
) -> None:
    """Normalised, equal to the network computed in numpy, each text alone; by the openai client, which
    asks for base64 unasked. From a model beside the one that generates, and from one that is served."""
    async with client_of(request.getfixturevalue(server)) as client:
        answer = await client.embeddings.create(model="embedding.gguf", input=TEXTS)
        as_floats = await client.embeddings.create(
            model="embedding", input=TEXTS, encoding_format="float"
        )

    found = np.array([entry.embedding for entry in answer.data])
    assert np.abs(found - expected(berts, TEXTS)).max() < TOLERANCE
    assert np.abs(found - [entry.embedding for entry in as_floats.data]).max() < 1e-7
    assert [entry.index for entry in answer.data] == list(range(len(TEXTS)))
    assert answer.model == "embedding.gguf"
    n_tokens = sum(
        len(token_ids(text.replace("dogs", "dog s").split(), [*VOCABULARY, "s"])) for text in TEXTS
    )
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == n_tokens


async def test_a_text_its_tokens_and_lists_of_both_give_the_same(alone: Engine) -> None:
    """OpenAI's four forms of `input`. Tokens are taken as they are."""
    text, tokens = TEXTS[0], token_ids(TEXTS[0].split())
    answers = [
        vectors(await embed(alone, input=given)) for given in (text, tokens, [text], [tokens, text])
    ]

    for found in answers:
        assert np.abs(found - answers[0][0]).max() < 1e-6
    assert [len(found) for found in answers] == [1, 1, 1, 2]


async def test_dimensions_cut_the_vectors_and_normalise_them_again(alone: Engine) -> None:
    """As OpenAI's does; a model's vectors may be made for that (Matryoshka)."""
    whole = vectors(await embed(alone, input=TEXTS))
    cut = vectors(await embed(alone, input=TEXTS, dimensions=16))
    too_many = await embed(alone, input="tea", dimensions=65)

    wanted = whole[:, :16] / np.linalg.norm(whole[:, :16], axis=1, keepdims=True)
    assert np.abs(cut - wanted).max() < 1e-6
    assert (too_many.status, too_many.error["param"]) == (400, "dimensions")


async def test_an_input_of_the_greatest_length_is_read_and_a_longer_one_is_named(alone: Engine) -> None:
    """One token more than the model has positions would be read from memory that is not its own."""
    longest = vectors(await embed(alone, input=[[7] * N_CTX]))
    longer = await embed(alone, input=["tea", [7] * (N_CTX + 1)])
    text = await embed(alone, input=["tea", "tea", "cat " * (N_CTX - 1)])
    huge = await embed(alone, input="x" * 100_000)

    assert np.isclose(np.linalg.norm(longest), 1, atol=1e-5)
    for answer, param in ((longer, "input[1]"), (text, "input[2]"), (huge, "input")):
        assert answer.status == 400
        assert answer.error["code"] == "context_length_exceeded"
        assert answer.error["param"] == param
        assert str(N_CTX) in answer.error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": {"text": "tea"}}, "input"),
        ({"input": ["tea", ""]}, "input[1]"),
        ({"input": ["tea", []]}, "input[1]"),
        ({"input": ["tea", 7]}, "input[1]"),
        ({"input": [[1], ["tea"]]}, "input[1]"),
        ({"input": [[1], [True]]}, "input[1]"),
        ({"input": [1, "tea"]}, "input"),
        ({"input": [[1, 2], [len(VOCABULARY)]]}, "input[1]"),
        ({"input": [-1]}, "input"),
        ({"input": ["tea"] * 2049}, "input"),
        ({"input": [[7] * 128] * 2048 + [[7]]}, "input"),
        ({"input": "tea", "dimensions": 0}, "dimensions"),
        ({"input": "tea", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "tea", "model": 7}, "model"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named(
    alone: Engine, body: dict[str, Any], param: str
) -> None:
    """A 400 in OpenAI's envelope that names the field, and the input in a list."""
    answer = await embed(alone, **body)

    assert answer.status == 400, answer
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["param"] == param
    assert answer.error["message"].startswith(param)


async def test_a_million_inputs_are_refused_at_once(alone: Engine) -> None:
    """Before any is looked at; and the server goes on."""
    bodies = [json.dumps({"input": [one] * 1_000_000}).encode() for one in ("a", 1)]
    texts, tokens = [await alone.request("POST", EMBEDDINGS, data=io.BytesIO(one)) for one in bodies]

    assert (texts.status, tokens.status) == (400, 400)
    assert vectors(await embed(alone, input="tea")).shape == (1, 64)


async def test_a_special_tokens_name_in_a_text_is_only_text(alone: Engine) -> None:
    """A document cannot end itself early: `[SEP]` is three tokens of brackets, not the mark."""
    named = await embed(alone, input="tea [SEP] cat")
    mark = token_ids(["tea", "[SEP]", "cat"])

    assert named.json["usage"]["prompt_tokens"] != len(mark)


async def test_inputs_of_many_requests_share_batches_and_give_the_same(
    alone: Engine, berts: Models
) -> None:
    """Thirty requests at once, of one to six texts."""
    batches = [[TEXTS[(start + n) % 5] for n in range(1 + start % 6)] for start in range(30)]
    answers = await asyncio.gather(*(embed(alone, input=texts) for texts in batches))

    for texts, answer in zip(batches, answers, strict=True):
        assert np.abs(vectors(answer) - expected(berts, texts)).max() < TOLERANCE


async def test_a_model_that_generates_says_that_it_makes_no_embeddings(quick: Engine) -> None:
    """And names the setting; reranking likewise."""
    embedding = await embed(quick, input="tea")
    reranking = await quick.post("/v1/rerank", {"query": "tea", "documents": ["cat"]})

    assert (embedding.status, reranking.status) == (400, 400)
    assert "LLAMA_SERVER_EMBEDDING_MODEL" in embedding.error["message"]
    assert "LLAMA_SERVER_RERANK_MODEL" in reranking.error["message"]


async def test_a_model_that_embeds_says_that_it_does_not_generate(alone: Engine) -> None:
    """On each path that generates; its list of models has it, and its health is good."""
    async with client_of(alone) as client:
        for path in ("chat/completions", "completions", "responses", "messages"):
            with pytest.raises(BadRequestError, match="does not generate text"):
                await client.post(f"/{path}", body={}, cast_to=object)
        models = await client.models.list()
        one = await client.models.retrieve("embedding.gguf")
        with pytest.raises(NotFoundError):
            await client.models.retrieve("other")

    assert [model.id for model in models.data] == ["embedding.gguf"] == [one.id]
    assert one.type == "model"  # type: ignore[attr-defined]
    assert (await alone.get("/health")).json["embedding_slots"] > 0


async def test_the_list_of_models_has_all_and_a_wrong_name_is_refused(beside: Engine) -> None:
    """The one that generates comes first; its name is none for embeddings. Both clients read all."""
    listed = (await beside.get("/v1/models")).json["data"]
    wrong = await embed(beside, input="tea", model="quick.gguf")
    unknown = await embed(beside, input="tea", model="text-embedding-3-small")

    async with AsyncAnthropic(auth_token=API_KEY, base_url=beside.url, max_retries=0) as client:
        models = (await client.models.list()).data

    assert [model["id"] for model in listed] == ["quick.gguf", "embedding.gguf", "reranker.gguf"]
    assert [model.display_name for model in models] == ["quick", "embedding", "reranker"]
    assert {(model.type, model.created_at.year > 2000) for model in models} == {("model", True)}
    for name in ("embedding.gguf", "embedding"):
        assert (await beside.get(f"/v1/models/{name}")).json == listed[1]
    assert (wrong.status, unknown.status) == (404, 404)
    assert "embedding.gguf" in unknown.error["message"]


async def test_responses_are_as_the_description_says(beside: Engine) -> None:
    """Vectors in both encodings, ranks on each of their paths, and the models."""
    document = (await beside.get("/openapi.json")).json
    ranked = {"query": "tea", "documents": ["cat", "tea"], "return_documents": True}
    for path, body in (
        (EMBEDDINGS, {"input": TEXTS}),
        (EMBEDDINGS, {"input": TEXTS, "encoding_format": "base64"}),
        *((path, ranked) for path in RERANK_PATHS),
    ):
        answer = await beside.post(path, body)
        jsonschema.validate(answer.json, schema_of(document, path, "post", "200"))
    listed = (await beside.get(MODELS)).json
    jsonschema.validate(listed, schema_of(document, MODELS, "get", "200"))


async def test_the_proxy_is_told_what_a_request_used(beside: Engine) -> None:
    """In a header if it asks, and afterwards by the request's id."""
    headers = {"X-Llamaserve-Usage": "1", "X-Llamaserve-Request": "one"}
    answer = await beside.post(EMBEDDINGS, {"input": TEXTS}, headers=headers)
    without = await embed(beside, input=TEXTS)
    afterwards = (await beside.get("/internal/usage/one")).json

    used = {"prompt_tokens": answer.usage["prompt_tokens"], "completion_tokens": 0, "cached_tokens": 0}
    assert json.loads(answer.headers["x-llamaserve-usage"]) == used == afterwards
    assert "x-llamaserve-usage" not in without.headers


@pytest.mark.parametrize("server", ["beside", "alone"])
async def test_a_request_can_be_checked_before_its_turn(
    server: str, request: pytest.FixtureRequest
) -> None:
    """As the proxy asks for those that wait: the same refusal, and nothing is evaluated."""
    engine: Engine = request.getfixturevalue(server)
    before = await engine.metric("llama_embedded_inputs_total")
    good = await engine.post(f"/internal/validate{EMBEDDINGS}", {"input": "tea"})
    wrong = await engine.post(f"/internal/validate{EMBEDDINGS}", {"input": ["tea", ""]})
    chat = await engine.post("/internal/validate/v1/chat/completions", {"messages": []})

    assert (good.status, wrong.status, chat.status) == (200, 400, 400)
    assert wrong.error["param"] == "input[1]"
    assert await engine.metric("llama_embedded_inputs_total") == before


@pytest.mark.parametrize("server", ["beside", "alone"])
async def test_tokens_are_those_of_the_model_that_is_named(
    server: str, request: pytest.FixtureRequest
) -> None:
    """So that a client can cut texts to the length that the model reads."""
    engine: Engine = request.getfixturevalue(server)
    body = {"input": "tea cat", "model": "embedding"}
    found = (await engine.post("/extras/tokenize", body)).json["tokens"]
    count = (await engine.post("/extras/tokenize/count", body)).json["count"]
    text = (await engine.post("/extras/detokenize", {"tokens": found, "model": "embedding"})).json
    unknown = await engine.post("/extras/tokenize", {"input": "tea", "model": "other"})

    assert found == token_ids(["tea", "cat"])
    assert count == 4
    assert text["text"].split() == ["tea", "cat"]
    assert unknown.status == 404
