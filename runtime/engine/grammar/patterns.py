"""Regular expressions as JSON schemas have them, those of ECMA-262, in llguidance's dialect.

llguidance reads Rust's dialect, in which `[a&&b]`, `[[a]` and `\\<` mean something else. And it takes
(1.9.1) backslashes and quotes for members of a class that has all control characters, and so of
`[^/\\\\]`: that is why U+0000 is left out of classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PROPERTY = r"\\[pP]\{[^}\\]{0,64}\}"
_PYTHONS = (
    (re.compile(r"\(\?<(?=\w)"), "(?P<"),
    (re.compile(r"\\k<(\w{1,64})>"), r"(?P=\1)"),
    (re.compile(rf"\\c[A-Za-z]|{_PROPERTY}|\\u\{{[0-9A-Fa-f]{{1,6}}\}}"), "x"),
)
"""What ECMA-262 writes otherwise than Python does."""

_ESCAPE = (
    r"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}"  # a pair of surrogates
    rf"|\\c[A-Za-z]|\\x[0-9A-Fa-f]{{2}}|\\u[0-9A-Fa-f]{{4}}|\\u\{{[0-9A-Fa-f]{{1,6}}\}}|{_PROPERTY}|\\."
)
_TOKEN = re.compile(
    rf"(?s){_ESCAPE}|\[(?P<negated>\^?)(?P<members>(?:{_ESCAPE}|[^\]\\])*)(?P<end>\]?)|."
)
_MEMBER = re.compile(rf"(?s){_ESCAPE}|.")
_CONTROLS = {r"\0": 0, r"\t": 9, r"\n": 10, r"\v": 11, r"\f": 12, r"\r": 13}
_SPECIAL = frozenset(r"\]^-[&~")
_PRINTABLE = 0x20
_SET = -1
_NULL = r"\x00"
_NOTHING = r"[^\s\S]"
_NO_LINE_END = r"[^\n\r\u2028\u2029]"

_Range = tuple[str, int, int]
"""A member of a class: its first and its last character, or _SET and a text that stands for several."""


def exact(pattern: str) -> str:
    """The pattern in llguidance's dialect, also where it is already; what that does not know stays."""
    tokens = list(_TOKEN.finditer(pattern))
    has_controls = any(_has_controls(token) for token in tokens)
    return "".join(_written(token, has_controls=has_controls) for token in tokens)


def _has_controls(token: re.Match[str]) -> bool:
    """Whether a token stands for all control characters but U+0000, perhaps."""
    members = token["members"]
    if members is None:
        return _is_property(token[0])
    return bool(token["negated"]) or any(
        _is_property(text) or first < min(last, _PRINTABLE) for text, first, last in _ranges(members)
    )


def _is_property(text: str) -> bool:
    return text.startswith((r"\p{", r"\P{"))


def _written(token: re.Match[str], *, has_controls: bool) -> str:
    text, members = token[0], token["members"]
    if members is not None:
        return _class(members, is_negated=bool(token["negated"])) if token["end"] else text
    if text == ".":
        return _NO_LINE_END
    if text in (r"\<", r"\>"):
        return text[1]
    if _is_property(text):
        return _property(text)
    code = _code(text)
    if code == 0 and has_controls:  # llguidance makes one class of alternatives
        return _NOTHING
    is_other = text.startswith((r"\c", r"\0")) or code > 0xFFFF
    return _member(code) if is_other and code != _SET else text


def _class(members: str, *, is_negated: bool) -> str:
    made, others = "", []
    for text, first, last in _ranges(members):
        if _is_property(text) and not is_negated:
            others.append(_property(text))
        elif first == _SET:
            made += text
        elif is_negated or last > 0:
            made += _member(first if is_negated else max(first, 1))
            made += f"-{_member(last)}" if last != first else ""
    if is_negated:
        return rf"[^\x00{made.removeprefix(_NULL)}]"
    own = [f"[{made}]"] if made else []
    return f"(?:{'|'.join(own + others)})" if others else "".join(own) or _NOTHING


def _property(text: str) -> str:
    """What has a property, or has it not, as a negated class."""
    opposite = "P" if text[1] == "p" else "p"
    return rf"[^\x00\{opposite}{text[2:]}]"


def _ranges(members: str) -> Iterator[_Range]:
    """What a class has."""
    texts = _MEMBER.findall(members)
    at = 0
    while at < len(texts):
        text, first = texts[at], _member_code(texts[at])
        last = (
            _member_code(texts[at + 2])
            if texts[at + 1 : at + 2] == ["-"] and at + 2 < len(texts)
            else _SET
        )
        if _SET in (first, last):
            yield text, first, first
            at += 1
        else:
            yield text, first, last
            at += 3


def _member_code(text: str) -> int:
    return 8 if text == r"\b" else _code(text)


def _code(text: str) -> int:
    """The character that a text stands for; _SET for several, and for what is unknown."""
    if text in _CONTROLS:
        return _CONTROLS[text]
    if len(text) == 1 or (len(text) == 2 and not text[1].isalnum()):
        return ord(text[-1])
    if text.startswith(r"\c"):
        return ord(text[2]) % 32
    if not text.startswith((r"\x", r"\u")) or len(text) == 2:
        return _SET
    codes = [int(digits.strip("{}"), 16) for digits in re.split(r"\\[xu]", text)[1:]]
    if len(codes) == 2:
        return 0x10000 + (codes[0] % 0x400 << 10) + codes[1] % 0x400
    return _SET if 0xD800 <= codes[0] < 0xE000 or codes[0] > 0x10FFFF else codes[0]


def _member(code: int) -> str:
    if chr(code) in _SPECIAL:
        return "\\" + chr(code)
    return rf"\x{code:02x}" if code < _PRINTABLE or code == 0x7F else chr(code)


def is_expression(pattern: str) -> bool:
    """Whether a pattern is a regular expression at all, if only one that cannot be enforced."""
    for ours, pythons in _PYTHONS:
        pattern = ours.sub(pythons, pattern)
    try:
        re.compile(pattern)
    except (re.error, ValueError, RecursionError, OverflowError):  # ValueError: too many digits
        return False
    return True
