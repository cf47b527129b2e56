"""What the models read and know: prompts that no server has seen before, and large vocabularies."""

from __future__ import annotations

import random
from string import ascii_lowercase

from tests.support.gguf import token_ids

_FRAGMENTS = (
    '": " ", " {" "} [{" }, ], ":" ":{" "," {" " : ... -- () .\n \n\n 10 20 100 2024 true false null'
)


def drawer(seed: object) -> random.Random:
    """Chance that is the same in each run."""
    return random.Random(str(seed))  # noqa: S311 - nothing here is a secret


def text(draw: random.Random, characters: int) -> str:
    """New words each time. A token a character, with our models."""
    words: list[str] = []
    while sum(map(len, words)) + len(words) < characters:
        words.append("".join(draw.choices(ascii_lowercase, k=draw.randint(2, 9))))
    return " ".join(words)[:characters]


def vocabulary(size: int) -> list[str]:
    """What a model's vocabulary lacks to be as large as real ones: pieces of words, and of JSON."""
    draw = drawer(0)
    own = token_ids()
    tokens = dict.fromkeys(token for token in _FRAGMENTS.split(" ") if token not in own)
    while len(own) + len(tokens) < size:
        begin = draw.choice(("▁", "▁", "", ""))
        letters = "".join(draw.choices(ascii_lowercase, k=draw.randint(2, 9)))
        token = begin + (letters.capitalize() if draw.random() < 0.2 else letters)
        if token not in own:
            tokens[token] = None
    return list(tokens)
