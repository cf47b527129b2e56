"""Regular expressions as JSON schemas have them: those of ECMA-262."""

from __future__ import annotations

import re

_ECMA = (
    (re.compile(r"\(\?<(?=\w)"), "(?P<"),
    (re.compile(r"\\k<(\w+)>"), r"(?P=\1)"),
    (re.compile(r"\\c[A-Za-z]|\\[pP]\{[^}]*\}|\\u\{[0-9A-Fa-f]+\}"), "x"),
)
"""What ECMA-262 writes otherwise than Python does."""

_CLASS = re.compile(r"(?s)\\.|\[(?P<negated>\^?)(?P<members>(?:\\.|[^\]\\])*)\]")
_FROM_NULL = re.compile(r"(?:\x00|\\x00|\\u0000)-")


def exact(pattern: str) -> str:
    """The pattern without U+0000 in its classes.

    llguidance (1.9.1) takes backslashes and quotes for members of a class that has all control
    characters, and so of `[^/\\\\]`.
    """
    return _CLASS.sub(_without_null, pattern)


def _without_null(match: re.Match[str]) -> str:
    members = match["members"]
    if members is None:  # an escaped character
        return match[0]
    return rf"[^\x00{members}]" if match["negated"] else "[" + _FROM_NULL.sub(r"\\x01-", members) + "]"


def is_expression(pattern: str) -> bool:
    """Whether a pattern is a regular expression at all, if only one that cannot be enforced."""
    for ours, pythons in _ECMA:
        pattern = ours.sub(pythons, pattern)
    try:
        re.compile(pattern)
    except (re.error, ValueError, RecursionError, OverflowError):  # ValueError: too many digits
        return False
    return True
