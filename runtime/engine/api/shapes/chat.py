"""Writes responses of /v1/chat/completions.

Sources: https://platform.openai.com/docs/api-reference/chat/object and …/chat/streaming. The field
`reasoning_content` is DeepSeek's: https://api-docs.deepseek.com/guides/reasoning_model.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.engine.api.pieces import CallArguments, CallStart, End, Reasoning, ReplyPiece, Text
from runtime.engine.api.shapes.openai import head, readable, usage_chunk, usage_field
from runtime.engine.api.shapes.shape import Call, Form, Object, Reply, Shape, joined
from runtime.engine.api.usage import openai_usage
from runtime.engine.generation.channel import TokenLogprob
from runtime.engine.generation.generation import Generation


class ChatShape(Shape):
    """Writes chat completions of one request."""

    def __init__(self, generations: Sequence[Generation], form: Form) -> None:
        self._generations = generations
        self._form = form
        self._head = head("chatcmpl-", form)
        self._chunk_head = {
            **self._head,
            "object": "chat.completion.chunk",
            **usage_field(form),
        }
        self._begun: set[int] = set()
        """The choices of a stream whose role has been sent."""

    def whole(self, pieces: Sequence[ReplyPiece]) -> Object:
        replies = joined(pieces, [one.index for one in self._generations])
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [self._choice(index, reply) for index, reply in replies.items()],
            "usage": openai_usage(self._generations),
        }

    def _choice(self, index: int, reply: Reply) -> Object:
        message: Object = {"role": "assistant", "content": reply.text}
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning
        if reply.calls:
            message["content"] = reply.text or None
            message |= self._calls(reply.calls)
        return {
            "index": index,
            "message": message,
            "logprobs": self._logprobs(reply.logprobs),
            "finish_reason": self._finish(reply.end),
        }

    def _calls(self, calls: Sequence[Call]) -> Object:
        functions = [{"name": call.name, "arguments": call.arguments} for call in calls]
        if self._form.legacy_call:
            return {"function_call": functions[0]}
        return {
            "tool_calls": [
                {"id": call.id, "type": "function", "function": function}
                for call, function in zip(calls, functions, strict=True)
            ]
        }

    def chunks(self, pieces: Sequence[ReplyPiece]) -> list[Object]:
        if not pieces:
            return []
        chunks = []
        index = pieces[0].choice
        if index not in self._begun:
            # With the first piece, not before: until then an error can have a status.
            self._begun.add(index)
            chunks.append(self._chunk(index, {"role": "assistant"}))
        for piece in pieces:
            if isinstance(piece, Text):
                chunks.append(self._chunk(index, {"content": piece.text}, piece.logprobs))
            elif isinstance(piece, End):
                chunks.append(self._chunk(index, {}, reason=self._finish(piece)))
            else:
                chunks.append(self._chunk(index, self._delta(piece)))
        return chunks

    def closing(self) -> list[Object]:
        return usage_chunk(
            {**self._head, "object": "chat.completion.chunk"}, self._form, self._generations
        )

    def _chunk(
        self,
        index: int,
        delta: Object,
        logprobs: Sequence[TokenLogprob] = (),
        reason: str | None = None,
    ) -> Object:
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": self._logprobs(logprobs) if logprobs else None,
            "finish_reason": reason,
        }
        return {**self._chunk_head, "choices": [choice]}

    def _delta(self, piece: Reasoning | CallStart | CallArguments) -> Object:
        if isinstance(piece, Reasoning):
            return {"reasoning_content": piece.text}
        if isinstance(piece, CallArguments):
            function, start = {"arguments": piece.text}, {}
        else:
            function = {"name": piece.name, "arguments": ""}
            start = {"id": piece.id, "type": "function"}
        if self._form.legacy_call:
            return {"function_call": function}
        return {"tool_calls": [{"index": piece.call, **start, "function": function}]}

    def _finish(self, end: End) -> str:
        is_legacy = end.finish_reason == "tool_calls" and self._form.legacy_call
        return "function_call" if is_legacy else end.finish_reason

    def _logprobs(self, logprobs: Sequence[TokenLogprob]) -> Object | None:
        if self._generations[0].limits.top_logprobs is None:
            return None
        content = [
            {
                **_described(logprob.piece, logprob.logprob),
                "top_logprobs": [_described(piece, value) for piece, value in logprob.top],
            }
            for logprob in logprobs
        ]
        return {"content": content, "refusal": None}


def _described(piece: bytes, logprob: float | None) -> Object:
    return {"token": readable(piece), "logprob": logprob, "bytes": list(piece)}
