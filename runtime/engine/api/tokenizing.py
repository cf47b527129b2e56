"""Texts to tokens and back, for /extras/tokenize, /extras/tokenize/count and /extras/detokenize.

Every call may take long and belongs in a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.engine import errors
from runtime.engine.api.body import parse
from runtime.engine.api.schemas import DetokenizeRequest, TokenizeRequest
from runtime.engine.api.text_bounds import too_long
from runtime.engine.vocabulary import Vocabulary

LEAST_TOKENS = 8192
"""A text may have so many tokens, however short the models' contexts are."""


class Tokenizing:
    """Answers the requests.

    All methods raise a Refusal where the request cannot be answered.

    Args:
        vocabulary_of: returns the vocabulary of the model that a request names, or of the served one; it
            raises a Refusal for an unknown name.
        n_ctx: the longest context of a model. A text that is much longer is refused, since tokenizing it
            would take time from those who are answered.
    """

    def __init__(self, vocabulary_of: Callable[[str | None], Vocabulary], *, n_ctx: int) -> None:
        self._vocabulary_of = vocabulary_of
        self._most_tokens = max(n_ctx, LEAST_TOKENS)

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
        has = too_long(vocabulary, request.input, self._most_tokens)
        if has is not None:
            raise errors.input_too_long("input", has=has, most=self._most_tokens)
        return vocabulary.tokenize(request.input, add_special=True, parse_special=True)
