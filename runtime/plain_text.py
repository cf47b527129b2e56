"""Text of others (models, their files' headers and names) in a form that a terminal may be shown."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""C0, DEL and C1 (ECMA-48) but newline and tab: without them no sequence can begin that moves the
cursor, changes the title or makes the terminal answer. Carriage returns go too, which hide text."""


def harmless(text: str) -> str:
    """The text without control characters but newline and tab, and without lone surrogates."""
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8")


def one_line(text: str) -> str:
    """The same, with a `?` for each newline and tab."""
    return re.sub(r"[\n\t]", "?", harmless(text))
