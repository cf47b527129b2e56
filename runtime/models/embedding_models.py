"""The models that embed or rerank beside the one that is served.

LLAMA_SERVER_EMBEDDING_MODEL and LLAMA_SERVER_RERANK_MODEL name them, like LLAMA_SERVER_MODEL.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from runtime.config import Config
from runtime.models.model_file import Model, ModelError, Pooling, read_model
from runtime.models.selection import resolve

EMBEDDING_KEY = "LLAMA_SERVER_EMBEDDING_MODEL"
RERANK_KEY = "LLAMA_SERVER_RERANK_MODEL"
POOLING_KEY = "LLAMA_SERVER_EMBEDDING_POOLING"


def beside(config: Config) -> list[Model]:
    """The models beside the one that is served, each with its pooling; possibly none.

    Raises:
        ModelError: one of them cannot be read, or is not made for this.
    """
    found = []
    if name := config.text(EMBEDDING_KEY):
        found.append(_embedding(config, read_model(resolve(config, name))))
    if name := config.text(RERANK_KEY):
        found.append(_reranking(read_model(resolve(config, name))))
    return found


def pooling(config: Config, model: Model) -> Pooling | None:
    """How a model that embeds pools: a reranker as it does, any other as configured."""
    if model.pooling == "rank":
        return model.pooling
    return cast("Pooling", config.text(POOLING_KEY)) or model.pooling


def _embedding(config: Config, model: Model) -> Model:
    found = pooling(config, model)
    if found == "rank":
        raise ModelError(f"{model.path}: is a reranker and makes no embeddings", f"set {RERANK_KEY}")
    if found is None:
        raise ModelError(
            f"{model.path}: does not say how its vectors are pooled: it may not be made for embeddings",
            f"name another model in {EMBEDDING_KEY}, or set {POOLING_KEY}",
        )
    return replace(model, pooling=found)


def _reranking(model: Model) -> Model:
    if model.pooling != "rank":
        raise ModelError(
            f"{model.path}: is no reranker: it has no classifier", f"name another model in {RERANK_KEY}"
        )
    return model
