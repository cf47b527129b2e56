"""Prompts that no server has seen before, and large vocabularies for models."""

from __future__ import annotations

import random
from string import ascii_lowercase

from tests.support.gguf import token_ids

_FRAGMENTS = (
    '": " ", " {" "} [{" }, ], ":" ":{" "," {" " : ... -- () .\n \n\n 10 20 100 2024 true false null'
)


def drawer(seed: object) -> random.Random:
    """A random generator that gives the same values in each run."""
    return random.Random(str(seed))  # noqa: S311 - nothing here is a secret


def text(draw: random.Random, characters: int) -> str:
    """Text of new random words. Our models take a token for each character."""
    words: list[str] = []
    while sum(map(len, words)) + len(words) < characters:
        words.append("".join(draw.choices(ascii_lowercase, k=draw.randint(2, 9))))
    return " ".join(words)[:characters]


def vocabulary(size: int) -> list[str]:
    """Tokens that make a model's vocabulary as large as real ones: pieces of words and of JSON."""
    draw = drawer(0)
    known = token_ids()
    tokens = dict.fromkeys(token for token in _FRAGMENTS.split(" ") if token not in known)
    while len(known) + len(tokens) < size:
        begin = draw.choice(("▁", "▁", "", ""))
        letters = "".join(draw.choices(ascii_lowercase, k=draw.randint(2, 9)))
        token = begin + (letters.capitalize() if draw.random() < 0.2 else letters)
        if token not in known:
            tokens[token] = None
    return list(tokens)
