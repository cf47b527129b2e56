"""Writes responses of /v1/completions: https://platform.openai.com/docs/api-reference/completions/object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.engine.api.pieces import End, ReplyPiece, Text
from runtime.engine.api.shapes.openai import head, readable, usage_chunk, usage_field
from runtime.engine.api.shapes.shape import Form, Object, Reply, Shape, joined
from runtime.engine.api.usage import openai_usage
from runtime.engine.generation.channel import TokenLogprob
from runtime.engine.generation.generation import Generation


@dataclass(frozen=True, kw_only=True)
class Best:
    """Which responses to a prompt are returned: the `n` best `of` so many."""

    n: int
    of: int

    def chosen(self, replies: Mapping[int, Reply]) -> list[int]:
        """The indexes of the responses to return: the likeliest by token of each prompt, best first."""
        indexes = list(replies)
        prompts = [indexes[start : start + self.of] for start in range(0, len(indexes), self.of)]
        return [
            index
            for prompt in prompts
            for index in sorted(prompt, key=lambda index: -_mean_logprob(replies[index]))[: self.n]
        ]


def _mean_logprob(reply: Reply) -> float:
    """The mean over a response's tokens; one without any is the least likely."""
    values = [one.logprob for one in reply.logprobs if one.logprob is not None]
    return sum(values) / len(values) if values else -math.inf


class CompletionShape(Shape):
    """Writes completions of one request.

    Args:
        generations: those of all prompts, a prompt's together.
        form: what the request asks of the form.
        reports_logprobs: whether the client asked for log probabilities.
        best: which responses are returned; None: all.
    """

    def __init__(
        self,
        generations: Sequence[Generation],
        form: Form,
        *,
        reports_logprobs: bool,
        best: Best | None = None,
    ) -> None:
        self._generations = generations
        self._reports_logprobs = reports_logprobs
        self._best = best
        self._form = form
        self._head = {**head("cmpl-", form), "object": "text_completion"}
        self._echoes = {one.index: one.prompt.echo for one in generations}
        """Those that have not been given out yet."""
        self._offsets = {
            one.index: 0 if one.prompt.is_scored else len(one.prompt.echo) for one in generations
        }

    def whole(self, pieces: Sequence[ReplyPiece]) -> Object:
        replies = joined(pieces, [one.index for one in self._generations])
        chosen = list(replies) if self._best is None else self._best.chosen(replies)
        choices = []
        for number, index in enumerate(chosen):
            reply = replies[index]
            choice = self._choice(index, reply.text, reply.logprobs, reply.end.finish_reason)
            choices.append({**choice, "index": number})
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
        return {
            "text": self._echoes.pop(index, "") + text,
            "index": index,
            "logprobs": self._logprobs(index, logprobs) if self._reports_logprobs else None,
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
