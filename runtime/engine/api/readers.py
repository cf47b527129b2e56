"""Makes pieces of a response (`pieces.py`) of the text that a generation gives."""

from __future__ import annotations

import uuid
from typing import Protocol

from runtime.engine.api.pieces import (
    CallArguments,
    CallStart,
    End,
    FinishReason,
    Reasoning,
    ReplyPiece,
    Text,
)
from runtime.engine.api.tools.parser import CallParser, Named
from runtime.engine.generation.channel import Piece
from runtime.engine.generation.marks.markup import Phase


class Reader(Protocol):
    """Reads one generation. Called once for each of its pieces of text, in order."""

    def read(self, piece: Piece) -> list[ReplyPiece]:
        """What the piece adds to the response; the last one ends with `End`."""


class PlainReader:
    """Reads a response that is all text. One may read several generations."""

    def read(self, piece: Piece) -> list[ReplyPiece]:
        read: list[ReplyPiece] = []
        if piece.text or piece.logprobs:
            read.append(Text(piece.index, piece.text, piece.logprobs))
        if piece.finish_reason is not None:
            reason: FinishReason = "length" if piece.finish_reason == "length" else "stop"
            read.append(End(piece.index, reason, piece.stop))
        return read


class MarkedReader:
    """Reads a response with marks: the blanks beside the marks are no part of the texts.

    Args:
        parser: of its calls; None if there can be none.
    """

    def __init__(self, parser: CallParser | None) -> None:
        self._parser = parser
        self._phase = Phase.CONTENT
        self._held = ""
        """Blanks at the end of the text so far, which count only if more text follows."""
        self._trims = False
        """Whether blanks are left out until there is text."""
        self._n_calls = 0

    def read(self, piece: Piece) -> list[ReplyPiece]:
        read: list[ReplyPiece] = []
        if piece.phase is not self._phase:
            self._held, self._trims, self._phase = "", True, piece.phase
        if piece.phase is Phase.CALL:
            read += self._calls(piece)
        elif piece.phase is Phase.THINKING:
            if text := self._trimmed(piece.text):
                read.append(Reasoning(piece.index, text))
        elif (text := self._trimmed(piece.text)) or piece.logprobs:
            read.append(Text(piece.index, text, piece.logprobs))
        if piece.finish_reason is not None:
            if self._held and piece.phase is Phase.CONTENT and not self._n_calls:
                read.append(Text(piece.index, self._held))
            read.append(self._end(piece))
        return read

    def _trimmed(self, text: str) -> str:
        if self._trims:
            text = text.lstrip()
            self._trims = not text
        text = self._held + text
        kept = text.rstrip()
        self._held = text[len(kept) :]
        return kept

    def _calls(self, piece: Piece) -> list[ReplyPiece]:
        read: list[ReplyPiece] = []
        for one in self._parser.feed(piece.text) if self._parser else ():
            if isinstance(one, Named):
                self._n_calls += 1
                read.append(CallStart(piece.index, self._n_calls - 1, call_id(), one.name))
            else:
                read.append(CallArguments(piece.index, self._n_calls - 1, one.text))
        return read

    def _end(self, piece: Piece) -> End:
        if piece.finish_reason == "length":
            return End(piece.index, "length", piece.stop)
        return End(piece.index, "tool_calls" if self._n_calls else "stop", piece.stop)


def call_id() -> str:
    """A new id for a call, in OpenAI's form."""
    return f"call_{uuid.uuid4().hex[:24]}"
