"""The terminal's side of a conversation: line editing, and nothing that could do it harm."""

from __future__ import annotations

import re
import sys
from contextlib import suppress

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""C0, DEL and C1 (ECMA-48) but newline and tab: without them no sequence can begin that moves the
cursor, changes the title or makes the terminal answer. Carriage returns go too, which hide text."""


def harmless(text: str) -> str:
    """The text without control characters but newline and tab, and without lone surrogates."""
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8")


def prepare() -> None:
    """Let the standard streams take any text, whatever the locale, and lines be edited."""
    for stream in (sys.stdout, sys.stderr):
        # A stream that is no TextIOWrapper (a test's) takes all text already.
        with suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    with suppress(ImportError):  # a Python built without it: plain lines, then
        import readline  # noqa: PLC0415, F401 - input() uses it once it is imported


def is_interactive() -> bool:
    """Whether there is somebody to converse with."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def show(text: str) -> None:
    """Write a piece of an answer at once."""
    sys.stdout.write(harmless(text))
    sys.stdout.flush()


def tell(text: str) -> None:
    """Write a line that is no part of an answer."""
    print(harmless(text), file=sys.stderr, flush=True)
