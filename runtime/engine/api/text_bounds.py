"""Finds texts that are too long before they are tokenized, which takes a second for each megabyte."""

from __future__ import annotations

from runtime.engine.vocabulary import Vocabulary

_CHARACTERS_PER_TOKEN = 8
"""More than ordinary text has in any vocabulary."""
_CUT_TOKENS = 64
"""The last tokens of a text that was cut may differ from those of the whole text."""


def too_long(vocabulary: Vocabulary, text: str, most_tokens: int) -> str | None:
    """How long a text is that surely has more tokens than `most_tokens`; None where it may have fewer.

    Of a long text the beginning alone is tokenized, which may take some time.
    """
    n_bytes = len(text.encode())
    fits = n_bytes <= most_tokens * vocabulary.longest_piece_bytes
    if not fits or vocabulary.names_special(text, more_than=most_tokens):
        return f"{n_bytes} bytes"
    length = most_tokens * _CHARACTERS_PER_TOKEN
    while length < len(text):
        beginning = vocabulary.tokenize(text[:length], add_special=False, parse_special=True)
        if len(beginning) >= most_tokens + _CUT_TOKENS:
            return f"more than {most_tokens} tokens"
        length *= 2
    return None
