"""What responses look like: vectors as OpenAI's API has them, ranks as Jina's and Cohere's."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime.engine.embedding.job import Vectors


def normalised(rows: Vectors, dimensions: int | None) -> Vectors:
    """The rows, cut to so many numbers, with length 1. A row of zeros stays one."""
    cut = rows if dimensions is None else rows[:, :dimensions]
    lengths = np.linalg.norm(cut.astype(np.float64), axis=1, keepdims=True)
    result = cut / np.where(lengths > 0, lengths, 1.0)
    return np.ascontiguousarray(result, dtype=np.float32)


def embeddings(model: str, rows: Vectors, *, as_base64: bool, n_tokens: int) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/embeddings/create, for normalised rows."""
    data = [
        {"object": "embedding", "index": number, "embedding": _base64(row) if as_base64 else row}
        for number, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _base64(row: Vectors) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


def scores(rows: Vectors, *, is_raw: bool) -> Vectors:
    """The score of each row: by the logistic function from 0 to 1, unless the raw one is wanted.

    A model of several classes has the relevant one first, and gives probabilities.
    """
    first = rows[:, 0]
    if is_raw or rows.shape[1] > 1:
        return first
    return (1 / (1 + np.exp(-first.astype(np.float64)))).astype(np.float32)


def ranking(
    model: str,
    found: Vectors,
    documents: Sequence[str],
    *,
    top_n: int | None,
    with_documents: bool,
    n_tokens: int,
) -> dict[str, Any]:
    """The documents by falling score, with the fields that clients of Jina and of Cohere read."""
    order = np.argsort(-found, kind="stable")[:top_n]
    results: list[dict[str, Any]] = [
        {"index": int(number), "relevance_score": float(found[number])} for number in order
    ]
    if with_documents:
        for result in results:
            result["document"] = {"text": documents[result["index"]]}
    return {
        "id": f"rerank-{uuid.uuid4().hex}",
        "object": "list",
        "model": model,
        "results": results,
        "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens},
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"search_units": 1},
            "tokens": {"input_tokens": n_tokens, "output_tokens": 0},
        },
    }
