"""llama-cpp-python's named chat formats, as renderers.

The handler of a format is called with a stand-in for the model, which records the prompt instead of
generating.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llama_cpp.llama_chat_format import get_chat_completion_handler

from runtime.engine.templates.template import Context, Message, RenderError

_ROLES = {"user": ("user", "User"), "assistant": ("assistant", "Assistant", "bot", "model")}
"""The names under which formats know these roles."""


class NamedFormat:
    """One of the formats that llama-cpp-python has by name.

    Raises:
        ValueError: there is none of this name, or it cannot be served.
    """

    source = ""
    add_special = True
    variables: frozenset[str] = frozenset()
    literals: frozenset[str] = frozenset()  # all write whole special tokens

    def __init__(self, name: str) -> None:
        try:
            self._handler = get_chat_completion_handler(name)
        except Exception as error:
            raise ValueError(str(error)) from error
        # The others (functionary's) answer in ways of their own, with several completions.
        if "chat_formatter_to_chat_completion_handler" not in getattr(self._handler, "__qualname__", ""):
            raise ValueError(f"{name} is not supported by this server")

        self._roles = {
            role: next((name for name in names if self._shows(name)), role)
            for role, names in _ROLES.items()
        }

    def render(self, messages: Sequence[Message], context: Context) -> str:
        return self._recorded(
            [{**one, "role": self._roles.get(one["role"], one["role"])} for one in messages]
        ).text

    def stops(self) -> list[str]:
        """The texts that end a turn in this format."""
        return self._recorded([{"role": "user", "content": "x"}]).stops

    def _shows(self, role: str) -> bool:
        try:
            return "zqx" in self._recorded([{"role": role, "content": "zqx"}]).text
        except RenderError:
            return False

    def _recorded(self, messages: Sequence[Message]) -> _Recorder:
        recorder = _Recorder()
        handle: Any = self._handler
        try:
            # As a stream, so that the handler only prepares its answer.
            handle(llama=recorder, messages=list(messages), stream=True)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise RenderError("they have a form that it does not expect") from error
        return recorder


class _Recorder:
    """Stands in for the model in a chat handler: records the prompt and generates nothing."""

    def __init__(self) -> None:
        self.text = ""
        self.stops: list[str] = []

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        self.text = text.decode()
        return []

    def create_completion(self, *, stop: Any = None, **_: Any) -> Iterator[Any]:
        self.stops = [stop] if isinstance(stop, str) else list(stop or ())
        return iter(())
