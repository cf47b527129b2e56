"""Makes pieces of a response (`pieces.py`) of the text that a generation gives."""

from __future__ import annotations

import uuid
from typing import Protocol

from runtime.engine.api.pieces import CallArguments, CallStart, End, FinishReason, ReplyPiece, Text
from runtime.engine.generation.channel import Piece


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


class ArgumentsReader:
    """Reads a response that is the arguments of one call, whose function is known."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._has_begun = False

    def read(self, piece: Piece) -> list[ReplyPiece]:
        read: list[ReplyPiece] = []
        if not self._has_begun:
            self._has_begun = True
            read.append(CallStart(piece.index, 0, call_id(), self._name))
        if piece.text:
            read.append(CallArguments(piece.index, 0, piece.text))
        if piece.finish_reason is not None:
            reason = piece.finish_reason
            read.append(End(piece.index, "length" if reason == "length" else "tool_calls"))
        return read


def call_id() -> str:
    """A new id for a call, in OpenAI's form."""
    return f"call_{uuid.uuid4().hex[:24]}"
