"""Dialogs that several pages have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from proxy.dashboard.layout.copying import copyable


@contextmanager
def dialog(title: str) -> Iterator[ui.dialog]:
    """A dialog that opens at the end of the block, which fills it; it is removed when it is closed."""
    with _named(title) as opened, ui.card().classes("dialog"):
        with ui.row().classes("dialog-head"):
            ui.label(title).classes("heading")
            ui.space()
            ui.button(icon="close", on_click=opened.close).props('flat round dense aria-label="Close"')
        yield opened
    opened.on("hide", opened.delete)
    opened.open()


async def confirmed(question: str, yes: str) -> bool:
    """Ask; True if the answer is the button `yes`."""
    with _named(question) as asked, ui.card().classes("dialog"):
        ui.label(question)
        with ui.row().classes("dialog-end"):
            ui.button("Cancel", on_click=lambda: asked.submit(False)).props("flat")
            ui.button(yes, on_click=lambda: asked.submit(True)).props("color=negative unelevated")
    answer = await asked
    asked.delete()
    return bool(answer)


def show_secret(title: str, text: str, note: str) -> None:
    """Show a key or a link, this once."""
    with dialog(title) as opened:
        opened.props("persistent")
        copyable(text, label="Copy").mark("secret")
        ui.label(note).classes("soft")


def _named(name: str) -> ui.dialog:
    """With the name that a screen reader says."""
    made = ui.dialog()
    made.props["aria-label"] = name
    return made
