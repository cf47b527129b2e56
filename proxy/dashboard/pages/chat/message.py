"""One message on the page. What a model writes is text, never markup."""

from __future__ import annotations

import re

from nicegui import ui

_PIECE_CHARS = 1_000
"""A growing text is shown in pieces, so that each update sends the last piece alone."""
_FENCE = re.compile(r"^```[^\n`]*\n(.*?)(?:^```[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)


class Message:
    """A message that may grow."""

    def __init__(self, role: str) -> None:
        with ui.element("div").classes(f"message {role}"):
            with ui.expansion("Thinking").classes("thinking soft") as self._thinking:
                self._thought = _Growing()
            self._thinking.visible = False
            self._body = ui.element("div").classes("said")
            with self._body:
                self._said = _Growing()
            self._note = ui.label().classes("note soft")
        self.text = ""

    def add(self, text: str) -> None:
        """Add to what is said."""
        self.text += text
        self._said.add(text)

    def think(self, text: str) -> None:
        """Add to what is thought."""
        self._thinking.visible = True
        self._thought.add(text)

    def note(self, text: str) -> None:
        """Say something about the message, below it."""
        self._note.text = text

    def finish(self) -> None:
        """Show blocks of code as such, now that the text is whole."""
        pieces = blocks(self.text)
        if len(pieces) < 2 and not any(is_code for is_code, _ in pieces):
            return
        self._body.clear()
        with self._body:
            for is_code, text in pieces:
                ui.label(text).classes("code mono" if is_code else "plain")


class _Growing:
    def __init__(self) -> None:
        self._parent = ui.element("div").classes("plain")
        self._last: ui.label | None = None

    def add(self, text: str) -> None:
        if self._last is None or len(self._last.text) > _PIECE_CHARS:
            with self._parent:
                self._last = ui.label().classes("piece")
        self._last.text += text


def blocks(text: str) -> list[tuple[bool, str]]:
    """The text as stretches, each with whether it is a fenced block of code."""
    found, at = [], 0
    for fence in _FENCE.finditer(text):
        found += [(False, text[at : fence.start()].strip("\n")), (True, fence[1].rstrip("\n"))]
        at = fence.end()
    found.append((False, text[at:].strip("\n")))
    return [(is_code, piece) for is_code, piece in found if piece]
