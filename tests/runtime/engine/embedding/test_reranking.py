"""/v1/rerank in the forms of Jina and Cohere, on a reranker of BERT's architecture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.runtime.engine.embedding.conftest import N_CTX, Models
from tests.support.engine import Engine
from tests.support.gguf_bert import token_ids

PATHS = ("/v1/rerank", "/v2/rerank", "/rerank", "/v1/reranking")
QUERY = "cat on the mat"
DOCUMENTS = ["the cat sat", "blue moon", "tea is red", "dog ran on the mat ."]


def expected(berts: Models, documents: list[str]) -> list[float]:
    """The scores from 0 to 1 of pairs of whole words, as numpy computes them."""
    pairs = [token_ids([*QUERY.split(), "[SEP]", *text.split()]) for text in documents]
    rows = berts.reranker.rows(pairs)[:, 0]
    return [float(score) for score in 1 / (1 + np.exp(-rows))]


@pytest.mark.parametrize("path", PATHS)
async def test_documents_come_by_falling_score(beside: Engine, berts: Models, path: str) -> None:
    """The scores are the network's, from 0 to 1; indexes are those of the request."""
    documents: list[Any] = [DOCUMENTS[0], {"text": DOCUMENTS[1]}, *DOCUMENTS[2:]]
    answer = await beside.post(path, {"query": QUERY, "documents": documents, "model": "reranker"})

    assert answer.status == 200, answer
    wanted = expected(berts, DOCUMENTS)
    results = answer.json["results"]
    assert [result["index"] for result in results] == sorted(range(4), key=lambda n: -wanted[n])
    for result in results:
        assert result["relevance_score"] == pytest.approx(wanted[result["index"]], abs=1e-4)
        assert "document" not in result
    assert answer.json["model"] == "reranker.gguf"
    n_tokens = sum(len(token_ids([*QUERY.split(), "[SEP]", *text.split()])) for text in DOCUMENTS)
    assert answer.json["usage"] == {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    assert answer.json["meta"]["tokens"]["input_tokens"] == n_tokens


async def test_the_best_are_returned_with_their_texts_if_asked(beside: Engine, berts: Models) -> None:
    """`top_n`, more of which than there are means all; `return_documents`."""
    body = {"query": QUERY, "documents": DOCUMENTS, "return_documents": True}
    two = (await beside.post("/v1/rerank", {**body, "top_n": 2})).json["results"]
    all_ = (await beside.post("/v1/rerank", {**body, "top_n": 99})).json["results"]

    assert two == all_[:2]
    assert len(all_) == 4
    assert [result["document"]["text"] for result in all_] == [DOCUMENTS[r["index"]] for r in all_]


async def test_raw_scores_are_the_models_own_numbers(beside: Engine, berts: Models) -> None:
    """`raw_scores`, which text-embeddings-inference has too."""
    body = {"query": QUERY, "documents": DOCUMENTS}
    scaled = (await beside.post("/v1/rerank", body)).json["results"]
    raw = (await beside.post("/v1/rerank", {**body, "raw_scores": True})).json["results"]

    for one, other in zip(scaled, raw, strict=True):
        assert one["index"] == other["index"]
        as_score = 1 / (1 + np.exp(-other["relevance_score"]))
        assert one["relevance_score"] == pytest.approx(as_score, abs=1e-5)


async def test_a_document_cannot_speak_as_the_query(beside: Engine) -> None:
    """The name of the mark between both is text in a document, and counts as such."""
    body = {"query": "tea", "documents": ["cat [SEP] cat", "cat cat"]}
    answer = await beside.post("/v1/rerank", body)

    lengths = [len(token_ids(["tea", "[SEP]", "cat", *mark, "cat"])) for mark in (["[SEP]"], [])]
    assert answer.json["usage"]["prompt_tokens"] > sum(lengths)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"documents": ["a"]}, "query"),
        ({"query": "", "documents": ["a"]}, "query"),
        ({"query": 7, "documents": ["a"]}, "query"),
        ({"query": "tea"}, "documents"),
        ({"query": "tea", "documents": []}, "documents"),
        ({"query": "tea", "documents": "cat"}, "documents"),
        ({"query": "tea", "documents": ["cat", 7]}, "documents[1]"),
        ({"query": "tea", "documents": ["cat", {"title": "cat"}]}, "documents[1]"),
        ({"query": "tea", "documents": ["cat"] * 2049}, "documents"),
        ({"query": "tea", "documents": ["cat", "cat " * N_CTX]}, "documents[1]"),
        ({"query": "cat " * N_CTX, "documents": ["cat"]}, "documents[0]"),
        ({"query": "c" * 100_000, "documents": ["cat"]}, "query"),
        ({"query": "tea", "documents": ["cat"], "top_n": 0}, "top_n"),
        ({"query": "tea", "documents": ["cat"], "return_documents": 1}, "return_documents"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named(
    beside: Engine, body: dict[str, Any], param: str
) -> None:
    """A 400 that names the field, and the document in the list."""
    answer = await beside.post("/v1/rerank", body)

    assert answer.status == 400, answer
    assert answer.error["param"] == param


async def test_an_empty_document_has_a_score(beside: Engine) -> None:
    """One empty page must not cost the other results."""
    answer = await beside.post("/v1/rerank", {"query": "tea", "documents": ["", "cat"]})
    assert len(answer.json["results"]) == 2


async def test_a_model_that_embeds_says_that_it_cannot_rerank(alone: Engine) -> None:
    """And the setting that would."""
    answer = await alone.post("/v1/rerank", {"query": "tea", "documents": ["cat"]})

    assert answer.status == 400
    assert "LLAMA_SERVER_RERANK_MODEL" in answer.error["message"]
