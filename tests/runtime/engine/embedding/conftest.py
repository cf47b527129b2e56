"""Two engines: one that generates and has an embedding model and a reranker beside it, one that only
embeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gguf import PoolingType

from tests.support.engine import Engine
from tests.support.gguf_bert import Bert, random_bert

N_CTX = 128
"""Tokens that the models read."""


@dataclass(frozen=True, kw_only=True)
class Models:
    """The files, and the same networks in numpy."""

    folder: Path
    embedding: Bert
    reranker: Bert


@pytest.fixture(scope="package")
def berts(models: Path) -> Models:
    """An embedding model and a reranker with the same vocabulary, beside the models that generate."""
    found = Models(
        folder=models,
        embedding=random_bert(context_length=N_CTX),
        reranker=random_bert(pooling=PoolingType.RANK, context_length=N_CTX),
    )
    found.embedding.write(models / "embedding.gguf")
    found.reranker.write(models / "reranker.gguf")
    return found


@pytest.fixture(scope="package")
def beside(berts: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine that generates, with both beside it."""
    env = {
        "LLAMA_SERVER_N_CTX": "512",
        "LLAMA_SERVER_PARALLEL": "2",
        "LLAMA_SERVER_EMBEDDING_MODEL": str(berts.folder / "embedding.gguf"),
        "LLAMA_SERVER_RERANK_MODEL": str(berts.folder / "reranker.gguf"),
        "LLAMA_SERVER_EMBEDDING_N_THREADS": "1",
    }
    with Engine(tmp_path_factory.mktemp("beside"), berts.folder / "quick.gguf", env=env) as engine:
        yield engine.start()


@pytest.fixture(scope="package")
def alone(berts: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine whose only model embeds."""
    with Engine(tmp_path_factory.mktemp("alone"), berts.folder / "embedding.gguf") as engine:
        yield engine.start()
