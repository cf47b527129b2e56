"""Builds a chat's messages from the items of another API, which splits a turn into several."""

from __future__ import annotations

from typing import Any

from runtime.engine import errors
from runtime.engine.api.schemas import MAX_MESSAGES

Message = dict[str, Any]
Image = dict[str, Any]
"""A part of a message that is an image, as a chat request has it."""

_BETWEEN_TEXTS = "\n\n"


class Conversation:
    """A chat's messages. What one side says in a row becomes one message, as chat templates expect.

    Args:
        param: the request's field that errors name.
        reads_images: whether what the user says may have images in it.
    """

    def __init__(self, param: str, *, reads_images: bool = False) -> None:
        self._param = param
        self.reads_images = reads_images
        self._names: dict[str, str] = {}
        """The function of each call, by the call's id."""
        self._messages: list[Message] = []
        """Their contents are lists of texts, joined at the end: adding to a text copies all of it. There
        may be images between the texts."""

    @property
    def messages(self) -> list[Message]:
        """The messages, in the form of a chat request."""
        return [{**message, "content": _joined(message["content"])} for message in self._messages]

    def say(self, role: str, *content: str | Image) -> None:
        """Add texts of the roles system and user, and images of the user's."""
        last = self._last(role)
        if last is None:
            self._add({"role": role, "content": [*content]})
        else:
            last["content"] += content

    def reply(self, text: str) -> None:
        """Add a text of the model's. After a call it begins another message."""
        message = self._assistant("tool_calls")
        if text:
            message["content"].append(text)

    def think(self, text: str) -> None:
        """Add what the model thought before its next text or call."""
        message = self._assistant("content", "tool_calls", "reasoning_content")
        message["reasoning_content"] = text

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """Add a call that the model made. `arguments` is JSON."""
        message = self._assistant()
        function = {"name": name, "arguments": arguments}
        calls = message.setdefault("tool_calls", [])
        calls.append({"id": call_id, "type": "function", "function": function})
        self._names[call_id] = name

    def result(self, call_id: str, text: str) -> None:
        """Add what a call gave."""
        message = {"role": "tool", "tool_call_id": call_id, "content": [text]}
        if call_id in self._names:
            message["name"] = self._names[call_id]
        self._add(message)

    def _assistant(self, *without: str) -> Message:
        """The last message, if it is the model's and lacks these fields; else a new one."""
        last = self._last("assistant")
        if last is None or any(last.get(name) for name in without):
            last = {"role": "assistant", "content": []}
            self._add(last)
        return last

    def _last(self, role: str) -> Message | None:
        last = self._messages[-1] if self._messages else None
        return last if last is not None and last["role"] == role else None

    def _add(self, message: Message) -> None:
        if len(self._messages) == MAX_MESSAGES:
            raise errors.invalid(
                self._param, f"{self._param}: at most {MAX_MESSAGES} messages are allowed."
            )
        self._messages.append(message)


def pieces(found: list[str | Image]) -> list[str | Image]:
    """The texts and images of one item; without images, one text."""
    texts = [one for one in found if isinstance(one, str)]
    return ["\n".join(texts)] if len(texts) == len(found) else found


def _joined(content: list[str | Image]) -> str | list[Any]:
    """A message's content: one text, or parts if there are images in it."""
    texts = [one for one in content if isinstance(one, str)]
    if len(texts) == len(content):
        return _BETWEEN_TEXTS.join(filter(None, texts))
    return [{"type": "text", "text": one} if isinstance(one, str) else one for one in content if one]
