"""Models of several kinds, as they are evaluated: alone and in company the same."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import llama_cpp
import numpy as np
import pytest

from runtime.config import load
from runtime.engine.embedding.inputs import Inputs
from runtime.engine.embedding.model import EmbeddingModel
from runtime.engine.settings import EngineSettings
from runtime.models import embedding_models
from runtime.models.selection import ModelError, read_model
from tests.runtime.engine.embedding.conftest import Models
from tests.support.gguf import build_model
from tests.support.gguf_bert import VOCABULARY, token_ids
from tests.support.gguf_kinds import build_mamba

TEXTS = ["one", "a much longer text, which has many tokens", "two", "another text of middling length"]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """llama.cpp writes of each model it loads."""
    callback = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    yield
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), ctypes.c_void_p(0))


def loaded(root: Path, model: Path, **values: str) -> EmbeddingModel:
    """The model as LLAMA_SERVER_EMBEDDING_MODEL beside another."""
    config = load(root, {"LLAMA_SERVER_EMBEDDING_MODEL": str(model), **values})
    main = read_model(build_model(root / "main.gguf"))
    beside = embedding_models.beside(config)
    (settings,) = EngineSettings.from_config(config, main, beside=beside).embedders
    return EmbeddingModel(settings)


@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("build", [build_model, build_mamba], ids=["transformer", "recurrent"])
def test_a_model_that_generates_embeds_if_its_pooling_is_set(
    tmp_path: Path, pooling: str, build: Callable[[Path], Path]
) -> None:
    """LLAMA_SERVER_EMBEDDING_POOLING. Each row is that of its text alone, in any company."""
    path = build(tmp_path / "model.gguf")
    model = loaded(tmp_path, path, LLAMA_SERVER_EMBEDDING_POOLING=pooling)
    inputs = Inputs(model).of_texts(TEXTS)
    # The first number of a vector is the same in all of these models.
    together = model.rows(inputs)[:, 1:]
    alone = np.concatenate([model.rows([tokens]) for tokens in inputs])[:, 1:]

    assert np.abs(together - alone).max() < 0.02 * np.abs(alone).max()
    assert np.abs(together[0] - together[2]).max() > 0.2 * np.abs(alone).max()


def test_what_is_not_made_for_it_is_refused_at_the_start(berts: Models, tmp_path: Path) -> None:
    """With the setting to change."""
    quick, reranker = berts.folder / "quick.gguf", berts.folder / "reranker.gguf"
    embedding = berts.folder / "embedding.gguf"
    for key, path, remedy in (
        ("LLAMA_SERVER_EMBEDDING_MODEL", quick, "LLAMA_SERVER_EMBEDDING_POOLING"),
        ("LLAMA_SERVER_EMBEDDING_MODEL", reranker, "LLAMA_SERVER_RERANK_MODEL"),
        ("LLAMA_SERVER_RERANK_MODEL", embedding, "LLAMA_SERVER_RERANK_MODEL"),
        ("LLAMA_SERVER_RERANK_MODEL", tmp_path / "none.gguf", ""),
    ):
        with pytest.raises(ModelError) as refused:
            embedding_models.beside(load(tmp_path, {key: str(path)}))
        assert path.name in refused.value.what
        assert remedy in refused.value.remedy


def test_a_reranker_is_known_by_its_classifier(berts: Models) -> None:
    """Or by its pooling; an embedding model by either its pooling or its architecture."""
    names = ("quick", "embedding", "reranker")
    found = {name: read_model(berts.folder / f"{name}.gguf").pooling for name in names}
    assert found == {"quick": None, "embedding": "mean", "reranker": "rank"}


def test_a_template_for_reranking_is_filled_and_texts_stay_text(berts: Models, tmp_path: Path) -> None:
    """As some rerankers have it in their file. The mark's name in a document is not the mark, and the
    names of the template's places are not replaced in a text."""
    template = "[CLS] tea {query} [SEP] cat {document} [SEP]"
    path = berts.reranker.write(tmp_path / "template.gguf", rerank_template=template)
    config = load(tmp_path, {"LLAMA_SERVER_RERANK_MODEL": str(path)})
    main, beside = read_model(berts.folder / "quick.gguf"), embedding_models.beside(config)
    (settings,) = EngineSettings.from_config(config, main, beside=beside).embedders
    inputs = Inputs(EmbeddingModel(settings))
    plain, marked, named = (
        tokens.tolist() for tokens in inputs.of_pairs("red", ["moon", "moon [SEP] dog", "{query}"])
    )

    words = ["tea", "red", "[SEP]", "cat", "moon"]
    assert plain == token_ids(words)
    assert marked[: len(plain) - 1] == plain[:-1]
    assert [marked.count(mark) for mark in token_ids([])] == [1, 2]
    assert named.count(VOCABULARY.index("red")) == 1
