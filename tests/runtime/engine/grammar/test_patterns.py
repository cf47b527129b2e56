"""Patterns of schemas: what llguidance makes of them."""

from __future__ import annotations

import json
import re
import time
from random import Random
from typing import Any

import llguidance
import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer

from runtime.engine.grammar.exact_forms import in_exact_forms
from runtime.engine.grammar.patterns import exact, is_expression


class _Bytes:
    """A vocabulary of all bytes and an end."""

    def __init__(self) -> None:
        self.tokens = [*(bytes([value]) for value in range(256)), b"<eos>"]
        self.eos_token_id = END
        self.bos_token_id = None
        self.special_token_ids = [END]

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


END = 256
MEAN = frozenset((*b'\\"nu', END))
TOKENIZER = LLTokenizer(llguidance.TokenizerWrapper(_Bytes()))


def matcher_of(schema: Any) -> LLMatcher:
    return LLMatcher(TOKENIZER, LLMatcher.grammar_from_json_schema(json.dumps(schema)), log_level=0)


def allows(pattern: str, value: str) -> bool:
    matcher = matcher_of(in_exact_forms({"type": "string", "pattern": pattern}))
    assert not matcher.is_error(), matcher.get_error()
    text = list(json.dumps(value, ensure_ascii=False).encode())
    return matcher.validate_tokens(text) == len(text)


def answer(matcher: LLMatcher, random: Random) -> bytes:
    """A random text that it allows, with backslashes and quotes wherever they may be."""
    matcher = matcher.deep_copy()
    text = b""
    while not matcher.is_stopped():
        mask = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.flatnonzero(np.unpackbits(mask, bitorder="little")).tolist()
        liked = [byte for byte in allowed if byte in MEAN]
        byte = random.choice(liked if liked and random.random() < 0.6 else allowed)
        if byte < END:
            text += bytes([byte])
        matcher.consume_token(byte)
    return text


@pytest.mark.parametrize(
    ("pattern", "others"),
    [
        (r"^[^/\\]$", "/\\"),
        (r'^[^"]$', '"'),
        (r"^a?[^\n\\]$", "\n\\"),
        (r"^[\x00-\x1f]$", '\\"'),
        (r"^[\u0000- ]$", '\\"'),
        ("^[\x00-\x20]$", '\\"'),
        (r"^(\x00|[\x01-\x1f])$", '\\"'),
        (r"^(\0|\cA|[\x02-\x1f])$", '\\"'),
        (r"^\P{P}$", '\\"'),
        (r"^[\P{P}\t]$", '\\"'),
        (r"^\p{Cc}$", '\\"a'),
        (r"^[\t\p{Cc}]$", '\\"a'),
        (r"^.?\t$", "\n\r\u2028"),
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
        (r"^[[a]$", "["),
        (r"^[[a]]$", "a]"),
        (r"^[a&&b]$", "&"),
        (r"^[,--]$", "-"),
        (r"^[a~~b]$", "~"),
        (r"^[\b\f-]$", "\b"),
        (r"^[^]$", "\n"),
        (r"^\<\/\cJ$", "</\n"),
        (r"^[\w-.]$", "-"),
        (r"^\ud83d\ude00[\ud83d\ude00-\u{1f610}]$", "\U0001f600\U0001f605"),
    ],
)
def test_the_rest_of_a_pattern_stays_as_it_is(pattern: str, value: str) -> None:
    """Escaped brackets, and what stands between classes."""
    assert allows(pattern, value)


def random_class(random: Random) -> str:
    """A class, negated or not, of characters, ranges and sets, in one of many spellings."""
    members = []
    for _ in range(random.randint(1, 4)):
        first, last = sorted(random.choice(CODES) for _ in range(2))
        members.append(
            random.choice([spelled(first, random), rf"{spelled(first, random)}-\x{last:02x}"])
        )
    if random.random() < 0.2:
        members.append(random.choice([r"\d", r"\w", r"\D", r"\W"]))
    return f"[{random.choice(['', '^'])}{''.join(members)}]"


CODES = (0, 1, 9, 10, 13, 31, 32, *map(ord, '"&-/[\\]^a~'), 127)


def spelled(code: int, random: Random) -> str:
    spellings = [rf"\x{code:02x}", rf"\u{code:04x}"]
    return random.choice([*spellings, re.escape(chr(code))] if code else spellings)


def random_pattern(random: Random, depth: int = 3) -> str:
    if depth == 0 or random.random() < 0.3:
        single = [random_class(random)] * 4 + [spelled(random.choice(CODES), random), ".", r"\w", r"\D"]
        return random.choice(single) + random.choice(["", "", "?", "+", "{0,3}"])
    parts = [random_pattern(random, depth - 1) for _ in range(random.randint(1, 3))]
    return random.choice(["".join(parts), f"(?:{'|'.join(parts)})"])


def test_answers_fit_random_patterns() -> None:
    """As Python reads them, which reads these as ECMA-262 does."""
    random = Random(1)  # noqa: S311
    n_answers = 0
    for _ in range(400):
        pattern = f"^(?:{random_pattern(random)})$"
        matcher = matcher_of(in_exact_forms({"type": "string", "pattern": pattern}))
        if matcher.is_error():
            assert "empty" in matcher.get_error(), pattern
            continue
        for _ in range(4):
            value = json.loads(answer(matcher, random))
            assert re.search(pattern, value, re.ASCII), (pattern, value)
            n_answers += 1
    assert n_answers > 1000


def test_a_pattern_may_be_put_into_its_exact_form_twice() -> None:
    """It means the same then."""
    random = Random(2)  # noqa: S311
    for _ in range(100):
        pattern = f"^(?:{random_pattern(random)})$"
        once = in_exact_forms({"type": "string", "pattern": pattern})
        matcher, again = matcher_of(once), matcher_of(in_exact_forms(once))
        assert matcher.is_error() == again.is_error(), pattern
        if not matcher.is_error():
            texts = [list(answer(matcher, random)) for _ in range(3)]
            assert all(again.deep_copy().validate_tokens(text) == len(text) for text in texts), pattern


@pytest.mark.filterwarnings("ignore:Possible nested set")
@pytest.mark.parametrize("pattern", ["[", r"\p{", "[^[", "(?<a", r"\k<a"])
def test_a_long_pattern_takes_no_time(pattern: str) -> None:
    """Reading one is linear in its length: it holds the interpreter's lock."""
    began = time.process_time()
    is_expression(exact(pattern * 50_000))
    assert time.process_time() - began < 5
