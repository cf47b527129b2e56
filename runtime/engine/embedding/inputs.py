"""Makes the tokens of inputs from texts, tokens, or a query and a document; refuses what is too long.

Texts are read as text: the name of a special token in a document is not that token, which keeps a
document from ending itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.engine import errors
from runtime.engine.embedding.job import Tokens
from runtime.engine.embedding.model import EmbeddingModel

MAX_PAIRED_BYTES = 2**24
"""The most bytes of a query, times the documents that it is tokenized with."""
MAX_TOKENS = 300_000
"""The most tokens of all inputs of a request; OpenAI's number."""


class Inputs:
    """Makes the inputs for one model."""

    def __init__(self, model: EmbeddingModel) -> None:
        self._model = model
        self._vocabulary = model.vocabulary
        self._n_ctx = model.n_ctx

    def of_texts(self, given: Sequence[str | list[int]]) -> list[Tokens]:
        """The inputs of a request for embeddings, in order.

        Raises:
            Refusal: names the input that is too long, or has tokens that do not exist.
        """
        is_single = len(given) == 1
        inputs, n_tokens = [], 0
        for number, one in enumerate(given):
            param = "input" if is_single else f"input[{number}]"
            tokens = self._of_text(one, param) if isinstance(one, str) else self._of_tokens(one, param)
            inputs.append(self._checked(tokens, param))
            n_tokens += len(tokens)
            if n_tokens > MAX_TOKENS:
                raise errors.too_many_tokens("input", MAX_TOKENS)
        return inputs

    def of_pairs(self, query: str, documents: Sequence[str]) -> list[Tokens]:
        """The inputs of a request for reranking: the query with each document.

        Raises:
            Refusal: names the document that is too long.
        """
        self._check_bytes(query, "query")
        if len(query.encode()) * len(documents) > MAX_PAIRED_BYTES:
            raise errors.invalid("query", "query: is too long for so many documents; send fewer.")
        template = self._model.specials.template
        query_tokens = self._plain(query) if template is None else []
        inputs, n_tokens = [], 0
        for number, document in enumerate(documents):
            param = f"documents[{number}]"
            self._check_bytes(document, param)
            if template is None:
                tokens = self._joined(query_tokens, self._plain(document))
            else:
                tokens = self._filled(template, query, document)
            inputs.append(self._checked(tokens, param, what="query and document together"))
            n_tokens += len(tokens)
            if n_tokens > MAX_TOKENS:
                raise errors.too_many_tokens("documents", MAX_TOKENS)
        return inputs

    def _of_text(self, text: str, param: str) -> list[int]:
        self._check_bytes(text, param)
        tokens = self._vocabulary.tokenize(text, add_special=True, parse_special=False)
        if not tokens:
            raise errors.invalid(param, f"{param}: has no text that this model can read.")
        return tokens

    def _of_tokens(self, tokens: list[int], param: str) -> list[int]:
        if not self._vocabulary.holds(tokens):
            most = self._vocabulary.n_tokens - 1
            raise errors.invalid(param, f"{param}: tokens are whole numbers from 0 to {most}.")
        return tokens

    def _plain(self, text: str) -> list[int]:
        return self._vocabulary.tokenize(text, add_special=False, parse_special=False)

    def _joined(self, query: list[int], document: list[int]) -> list[int]:
        """As cross-encoders are trained: [CLS] query [SEP] document [SEP], or the model's like."""
        marks = self._model.specials
        return [*marks.before, *query, *marks.between, *document, *marks.after]

    def _filled(self, template: str, query: str, document: str) -> list[int]:
        """The model's own template, with the texts in it.

        It is tokenized whole, as the model knows it; in parts where a text names a special token.
        """
        vocabulary = self._vocabulary
        if not any(vocabulary.names_special(text, more_than=0) for text in (query, document)):
            text = _fill(template, query, document)
            return vocabulary.tokenize(text, add_special=False, parse_special=True)
        tokens: list[int] = []
        for part, is_ours in _parts(template, query, document):
            tokens += vocabulary.tokenize(part, add_special=False, parse_special=is_ours)
        return tokens

    def _check_bytes(self, text: str, param: str) -> None:
        """Refuse a text that cannot fit, before time is spent on tokenizing it."""
        n_bytes = len(text.encode())
        if n_bytes > self._n_ctx * self._vocabulary.longest_piece_bytes:
            raise errors.input_too_long(param, has=f"{n_bytes} bytes", most=self._n_ctx)

    def _checked(self, tokens: list[int], param: str, what: str = "") -> Tokens:
        if len(tokens) > self._n_ctx:
            has = f"{len(tokens)} tokens{' (' + what + ')' if what else ''}"
            raise errors.input_too_long(param, has=has, most=self._n_ctx)
        return np.asarray(tokens, dtype=np.int32)


def _fill(template: str, query: str, document: str) -> str:
    return "".join(part for part, _ in _parts(template, query, document))


def _parts(template: str, query: str, document: str) -> list[tuple[str, bool]]:
    """The template cut at its two names, which the texts replace; whether a part is the template's."""
    before, _, rest = template.partition("{query}")
    between, _, after = rest.partition("{document}")
    parts = [(before, True), (query, False), (between, True), (document, False), (after, True)]
    return [part for part in parts if part[0]]
