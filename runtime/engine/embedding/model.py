"""A model that turns sequences of tokens into vectors, and its llama.cpp context. For one thread only.

A sequence is evaluated whole in one micro-batch: without causal attention each token sees all others,
and a mean is over all of them. Keys and values, where the model has any, are shared by all sequences of
a batch: apart for each, llama.cpp would cut longer sequences into several micro-batches, and the mean
would be that of the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np

from runtime.engine.embedding.job import Tokens, Vectors
from runtime.engine.generation.context import Batch
from runtime.engine.settings import EmbedderSettings
from runtime.engine.vocabulary import Vocabulary
from runtime.engine.watchdog.abort import AbortSwitch

BATCH_TOKENS = 256
"""Tokens that are evaluated together, unless one input is longer. On a processor more gain nothing."""
MAX_SEQUENCES = 64
"""Sequences that are evaluated together."""
_RECURRENT_SEQUENCES = 8
"""The same for a model that has a state for each sequence."""
_POOLINGS = {
    "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    "cls": llama_cpp.LLAMA_POOLING_TYPE_CLS,
    "last": llama_cpp.LLAMA_POOLING_TYPE_LAST,
    "rank": llama_cpp.LLAMA_POOLING_TYPE_RANK,
}


class EvaluationError(Exception):
    """llama.cpp could not evaluate a batch. The argument is its code."""


class EmbeddingModel:
    """One loaded model.

    Raises:
        ValueError: on creation, it cannot be loaded; llama.cpp's log says why.
    """

    def __init__(self, settings: EmbedderSettings) -> None:
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_load_from_file(
            str(settings.path).encode(), _model_params(settings)
        )
        if not model:
            raise ValueError("llama.cpp could not load the file")
        self._model = model
        vocab = llama_cpp.llama_model_get_vocab(model)
        self.vocabulary = Vocabulary(vocab)
        self.specials = Specials(model, vocab)
        trained = int(llama_cpp.llama_model_n_ctx_train(model))
        self.n_ctx = min(settings.n_ctx or trained, trained)
        """The most tokens of an input. Position embeddings end there."""
        has_state = llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model)
        self.max_sequences = _RECURRENT_SEQUENCES if has_state else MAX_SEQUENCES
        self.batch_tokens = max(self.n_ctx, BATCH_TOKENS)
        self._context = llama_cpp.llama_init_from_model(model, self._context_params(settings))
        if not self._context:
            raise ValueError("llama.cpp could not make a context for it")
        self._memory = llama_cpp.llama_get_memory(self._context)
        is_encoder = llama_cpp.llama_model_has_encoder(model)
        self._evaluate = llama_cpp.llama_encode if is_encoder else llama_cpp.llama_decode
        self._batch = Batch(self.batch_tokens)
        self.switch = AbortSwitch(self._context)
        self.ranks = settings.pooling == "rank"
        self.width = (
            int(llama_cpp.llama_model_n_cls_out(model))
            if self.ranks
            else int(llama_cpp.llama_model_n_embd_out(model))
        )
        """Numbers of a row: of a vector, or of the classes of a reranker."""

    def rows(self, sequences: Sequence[Tokens]) -> Vectors:
        """Evaluate sequences together; a row of `width` numbers for each.

        Args:
            sequences: at most `max_sequences`, with `batch_tokens` tokens together.

        Raises:
            EvaluationError: llama.cpp cannot evaluate them.
        """
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, False)
        self._batch.clear()
        for number, tokens in enumerate(sequences):
            self._batch.add(number, tokens, at=0, n_logits=len(tokens))
        code = int(self._evaluate(self._context, self._batch.struct))
        if code != 0:
            raise EvaluationError(code)
        rows = np.empty((len(sequences), self.width), dtype=np.float32)
        for number in range(len(sequences)):
            row = llama_cpp.llama_get_embeddings_seq(self._context, number)
            if not row:
                raise EvaluationError(code)
            rows[number] = np.ctypeslib.as_array(row, shape=(self.width,))
        return rows

    def set_threads(self, number: int) -> None:
        """Use so many threads from the next batch on."""
        llama_cpp.llama_set_n_threads(self._context, number, number)

    def _context_params(self, settings: EmbedderSettings) -> Any:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = self.batch_tokens
        params.n_seq_max = self.max_sequences
        params.kv_unified = True
        params.embeddings = True
        params.pooling_type = _POOLINGS[settings.pooling]
        params.n_threads = params.n_threads_batch = settings.n_threads
        # It passes over what the sequences of a batch must not see of each other.
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
        params.no_perf = True
        return params


class Specials:
    """How a model wants a query and a document joined: its template, or its special tokens."""

    def __init__(self, model: object, vocab: object) -> None:
        template = llama_cpp.llama_model_chat_template(model, b"rerank")
        self.template: str | None = template.decode("utf-8", "replace") if template else None
        sep = [int(llama_cpp.llama_vocab_sep(vocab))] if llama_cpp.llama_vocab_get_add_sep(vocab) else []
        eos = [int(llama_cpp.llama_vocab_eos(vocab))] if llama_cpp.llama_vocab_get_add_eos(vocab) else []
        has_bos = llama_cpp.llama_vocab_get_add_bos(vocab)
        self.before = [int(llama_cpp.llama_vocab_bos(vocab))] if has_bos else []
        self.between = [*eos, *sep]
        self.after = eos or sep


def _model_params(settings: EmbedderSettings) -> Any:
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = settings.n_gpu_layers
    params.use_mmap = settings.use_mmap
    params.use_mlock = settings.use_mlock
    return params
