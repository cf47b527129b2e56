"""Converts the bytes of tokens to the text of a response, piece by piece.

Corrects two defects of the stock server: invalid UTF-8 becomes replacement characters as soon as it is
certainly invalid, and a stop sequence is found even across token boundaries.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextAssembler:
    """Turns the bytes of one response's tokens into text that is safe to send.

    Args:
        stops: texts that end the response and do not appear in it; empty ones are left out.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        """The end of the text so far: it may be the beginning of a stop sequence."""
        self.stopped_by: str | None = None
        """The stop sequence that has been found. No more text is returned after that."""

    def feed(self, piece: bytes) -> str:
        """Add a token's bytes; the text that is now certain, often empty."""
        return self._settle(self._decoder.decode(piece))

    def finish(self) -> str:
        """The rest, when no more tokens come: what was held back, half a character as U+FFFD."""
        text = self._settle(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        return text + held

    def _settle(self, new: str) -> str:
        if self.stopped_by is not None:
            return ""
        text = self._held + new
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            at, self.stopped_by = min(found)
            self._held = ""
            return text[:at]
        held = max((overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` with which `stop` begins."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
