"""The terminal's side of a conversation: line editing, and nothing that could do it harm."""

from __future__ import annotations

import sys
from contextlib import suppress

from runtime.plain_text import harmless


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
