"""Texts to tokens and back, for /extras/tokenize, /extras/tokenize/count and /extras/detokenize.

Every call may take long and belongs in a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.engine import errors
from runtime.engine.api.body import parse
from runtime.engine.api.schemas import DetokenizeRequest, TokenizeRequest
from runtime.engine.vocabulary import Vocabulary

MAX_SPECIAL_TOKENS = 16_384
"""Special tokens that a text may contain. In prompts the context's length bounds them."""


class Tokenizing:
    """Answers the requests. `vocabulary_of` returns the vocabulary of the model that a request names, or
    of the served one; it raises a Refusal for an unknown name.

    All methods raise a Refusal where the request cannot be answered.
    """

    def __init__(self, vocabulary_of: Callable[[str | None], Vocabulary]) -> None:
        self._vocabulary_of = vocabulary_of

    def tokens(self, body: bytes) -> dict[str, Any]:
        """The tokens of a text."""
        return {"tokens": self._tokens(body)}

    def count(self, body: bytes) -> dict[str, Any]:
        """The number of a text's tokens."""
        return {"count": len(self._tokens(body))}

    def text(self, body: bytes) -> dict[str, Any]:
        """The text of tokens."""
        request, _ = parse(DetokenizeRequest, body)
        vocabulary = self._vocabulary_of(request.model)
        if not vocabulary.holds(request.tokens):
            raise errors.invalid(
                "tokens", f"tokens: they are whole numbers from 0 to {vocabulary.n_tokens - 1}."
            )
        return {"text": vocabulary.join(request.tokens).decode("utf-8", "replace")}

    def _tokens(self, body: bytes) -> list[int]:
        request, _ = parse(TokenizeRequest, body)
        vocabulary = self._vocabulary_of(request.model)
        if vocabulary.names_special(request.input, more_than=MAX_SPECIAL_TOKENS):
            raise errors.invalid(
                "input", f"input: it must name no more than {MAX_SPECIAL_TOKENS} special tokens."
            )
        return vocabulary.tokenize(request.input, add_special=True, parse_special=True)
