"""Regular expressions as JSON schemas have them: those of ECMA-262."""

from __future__ import annotations

import re

_ECMA = (
    (re.compile(r"\(\?<(?=\w)"), "(?P<"),
    (re.compile(r"\\k<(\w+)>"), r"(?P=\1)"),
    (re.compile(r"\\c[A-Za-z]|\\[pP]\{[^}]*\}|\\u\{[0-9A-Fa-f]+\}"), "x"),
)
"""What ECMA-262 writes otherwise than Python does."""


def is_expression(pattern: str) -> bool:
    """Whether a pattern is a regular expression at all, if only one that cannot be enforced."""
    for ours, pythons in _ECMA:
        pattern = ours.sub(pythons, pattern)
    try:
        re.compile(pattern)
    except (re.error, ValueError, RecursionError, OverflowError):  # ValueError: too many digits
        return False
    return True
