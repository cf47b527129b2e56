"""The terminal's side of a conversation: line editing, and output without control characters."""

from __future__ import annotations

import sys
from contextlib import suppress

from runtime.plain_text import harmless


def prepare() -> None:
    """Make the standard streams accept any text in any locale, and turn on line editing."""
    for stream in (sys.stdout, sys.stderr):
        # A stream that is not a TextIOWrapper (in tests) accepts all text already.
        with suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    with suppress(ImportError):  # without it, a Python has no line editing
        import readline  # noqa: PLC0415, F401 - input() uses it once it is imported


def is_interactive() -> bool:
    """True if stdin and stdout are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def show(text: str) -> None:
    """Write a piece of an answer at once."""
    sys.stdout.write(harmless(text))
    sys.stdout.flush()


def tell(text: str) -> None:
    """Write a line that is not a part of an answer."""
    print(harmless(text), file=sys.stderr, flush=True)
