"""Patterns of schemas: what llguidance makes of them."""

from __future__ import annotations

import json

import llguidance
import pytest
from llguidance import LLMatcher, LLTokenizer

from runtime.engine.grammar.exact_forms import in_exact_forms


class _Bytes:
    """A vocabulary of all bytes and an end."""

    def __init__(self) -> None:
        self.tokens = [*(bytes([value]) for value in range(256)), b"<eos>"]
        self.eos_token_id = 256
        self.bos_token_id = None
        self.special_token_ids = [256]

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


TOKENIZER = LLTokenizer(llguidance.TokenizerWrapper(_Bytes()))


def allows(pattern: str, value: str) -> bool:
    schema = in_exact_forms({"type": "string", "pattern": pattern})
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_json_schema(json.dumps(schema)), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    text = list(json.dumps(value).encode())
    return matcher.validate_tokens(text) == len(text)


@pytest.mark.parametrize(
    ("pattern", "others"),
    [
        (r"^[^/\\]$", "/\\"),
        (r'^[^"]$', '"'),
        (r"^a?[^\n\\]$", "\n\\"),
        (r"^[\x00-\x1f]$", '\\"'),
        (r"^[\u0000- ]$", '\\"'),
        ("^[\x00-\x20]$", '\\"'),
    ],
)
def test_a_class_has_its_own_members_only(pattern: str, others: str) -> None:
    """Backslashes and quotes, too, which JSON writes as two characters."""
    assert allows(pattern, "\t")
    assert not [other for other in others if allows(pattern, other)]


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (r"^\[\^[ab]$", "[^b"),
        (r"^[^\]]\\[^a]$", "x\\b"),
        (r"^[\]\x00-\x1f]$", "]"),
        (r"^a\x00-$", "a\0-"),
    ],
)
def test_the_rest_of_a_pattern_stays_as_it_is(pattern: str, value: str) -> None:
    """Escaped brackets, and what stands between classes."""
    assert allows(pattern, value)
