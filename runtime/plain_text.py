"""Makes untrusted text (from models, file headers and file names) safe to print on a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""C0, DEL and C1 (ECMA-48), except newline and tab. Without them no sequence can begin that moves the
cursor, changes the title or makes the terminal send an answer. Carriage returns, which can hide text,
are removed as well."""


def harmless(text: str) -> str:
    """The text without control characters (except newline and tab) and lone surrogates."""
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8")


def one_line(text: str) -> str:
    """The same, with each newline and tab replaced by `?`."""
    return re.sub(r"[\n\t]", "?", harmless(text))
