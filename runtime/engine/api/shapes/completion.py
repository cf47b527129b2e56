"""Writes responses of /v1/completions: https://platform.openai.com/docs/api-reference/completions/object."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.engine.api.pieces import End, ReplyPiece, Text
from runtime.engine.api.shapes.openai import head, readable, usage_chunk, usage_field
from runtime.engine.api.shapes.shape import Form, Object, Shape, joined
from runtime.engine.api.usage import openai_usage
from runtime.engine.generation.channel import TokenLogprob
from runtime.engine.generation.generation import Generation


class CompletionShape(Shape):
    """Writes completions of one request."""

    def __init__(self, generations: Sequence[Generation], form: Form) -> None:
        self._generations = generations
        self._form = form
        self._head = {**head("cmpl-", form.model), "object": "text_completion"}
        self._echoes = {one.index: one.prompt.echo for one in generations}
        """Those that have not been given out yet."""
        self._offsets = {
            one.index: 0 if one.prompt.is_scored else len(one.prompt.echo) for one in generations
        }

    def whole(self, pieces: Sequence[ReplyPiece]) -> Object:
        replies = joined(pieces, [one.index for one in self._generations])
        choices = [
            self._choice(index, reply.text, reply.logprobs, reply.end.finish_reason)
            for index, reply in replies.items()
        ]
        return {**self._head, "choices": choices, "usage": openai_usage(self._generations)}

    def chunks(self, pieces: Sequence[ReplyPiece]) -> list[Object]:
        if not pieces:
            return []
        text, logprobs, reason = "", list[TokenLogprob](), None
        for piece in pieces:
            if isinstance(piece, Text):
                text += piece.text
                logprobs += piece.logprobs
            elif isinstance(piece, End):
                reason = piece.finish_reason
        choice = self._choice(pieces[0].choice, text, logprobs, reason)
        return [{**self._head, **usage_field(self._form), "choices": [choice]}]

    def closing(self) -> list[Object]:
        return usage_chunk(self._head, self._form, self._generations)

    def _choice(
        self, index: int, text: str, logprobs: Sequence[TokenLogprob], reason: str | None
    ) -> Object:
        is_reported = self._generations[0].limits.top_logprobs is not None
        return {
            "text": self._echoes.pop(index, "") + text,
            "index": index,
            "logprobs": self._logprobs(index, logprobs) if is_reported else None,
            "finish_reason": reason,
        }

    def _logprobs(self, index: int, logprobs: Sequence[TokenLogprob]) -> Object:
        offsets = []
        for logprob in logprobs:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(readable(logprob.piece))
        return {
            "tokens": [readable(logprob.piece) for logprob in logprobs],
            "token_logprobs": [logprob.logprob for logprob in logprobs],
            "top_logprobs": [
                None
                if logprob.logprob is None
                else {readable(other): value for other, value in logprob.top}
                for logprob in logprobs
            ],
            "text_offset": offsets,
        }
