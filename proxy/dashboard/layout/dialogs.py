"""Dialogs that several pages have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import context, ui

from proxy.dashboard.layout.copying import copyable


@contextmanager
def dialog(title: str, name: str = "") -> Iterator[ui.dialog]:
    """A dialog that opens at the end of the block, which fills it; it is removed when it is closed.

    One of the same name that is open gives way. Who opens one to type into asks `is_open` first: a
    second click that is heard or answered late must not take away what was typed.
    `name`: what a screen reader says, if it is not the title.
    """
    for before in _open(name or title):
        before.delete()
    with _named(name or title) as opened, ui.card().classes("dialog"):
        with ui.row().classes("dialog-head"):
            ui.label(title).classes("heading")
            ui.space()
            ui.button(icon="close", on_click=opened.close).props('flat round dense aria-label="Close"')
        yield opened
    opened.on("hide", opened.delete)
    opened.open()


def is_open(name: str) -> bool:
    """Whether the page has a dialog of this name that nobody has closed."""
    return any(one.value for one in _open(name))


async def confirmed(question: str, yes: str, *, no: str = "Cancel") -> bool:
    """Ask; True if the answer is the button `yes`. While a question is open it is not asked again."""
    if _open(question):
        return False
    with context.client.content, _named(question) as asked, ui.card().classes("dialog"):
        ui.label(question)
        with ui.row().classes("dialog-end"):
            ui.button(no, on_click=lambda: asked.submit(False)).props("flat")
            ui.button(yes, on_click=lambda: asked.submit(True)).props("color=negative unelevated")
    answer = await asked
    if not asked.is_deleted:
        asked.delete()
    return bool(answer)


def show_secret(title: str, text: str, note: str) -> None:
    """Show a key or a link, this once."""
    with dialog(title) as opened:
        opened.props("persistent")
        copyable(text, label="Copy").mark("secret")
        ui.label(note).classes("soft")


def _named(name: str) -> ui.dialog:
    """With the name that a screen reader says. A click beside it, which may be the second half of a
    double click, does not close it: the Escape key and its buttons do."""
    made = ui.dialog().props("no-backdrop-dismiss")
    made.props["aria-label"] = name
    return made


def _open(name: str) -> list[ui.dialog]:
    """The dialogs of this name that the page has."""
    return [
        one
        for one in context.client.elements.values()
        if isinstance(one, ui.dialog) and one.props.get("aria-label") == name
    ]
