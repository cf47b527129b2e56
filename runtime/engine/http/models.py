"""What is told of models, in a form that OpenAI's and Anthropic's clients read.

https://platform.openai.com/docs/api-reference/models/object and https://docs.anthropic.com/en/api/models
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from runtime.engine.embedding.service import Embeddings

Described = dict[str, Any]


def described(alias: str, *, n_ctx: int, created: int, generates: bool) -> Described:
    """One model, with the names that clients have for the length of its context.

    Args:
        alias: by which requests call it.
        n_ctx: the tokens that it reads, with those of a response if it generates.
        created: in seconds since 1970.
        generates: whether it does.
    """
    made = {
        "id": alias,
        "object": "model",
        "created": created,
        "owned_by": "llamaserve",
        "context_length": n_ctx,
        "max_model_len": n_ctx,
        "type": "model",
        "display_name": alias.removesuffix(".gguf"),
        "created_at": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "max_input_tokens": n_ctx,
    }
    return {**made, "max_tokens": n_ctx} if generates else made


def described_beside(embeddings: Embeddings, *, created: int) -> list[Described]:
    """The models that embed or rerank."""
    return [
        described(one.settings.alias, n_ctx=one.model.n_ctx, created=created, generates=False)
        for one in embeddings.served
    ]


def listed(models: Sequence[Described]) -> dict[str, Any]:
    """A list of models, one at least."""
    pages = {"first_id": models[0]["id"], "last_id": models[-1]["id"], "has_more": False}
    return {"object": "list", "data": models, **pages}


def named(name: str, models: Sequence[Described]) -> Described | None:
    """The model that a request calls so."""
    return next((one for one in models if name in (one["id"], one["display_name"])), None)
