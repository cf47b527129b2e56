"""Texts with a button that copies them. The copy is made in the browser, without asking the server."""

from __future__ import annotations

from nicegui import ui


def copyable(text: str, *, label: str = "Copy") -> ui.label:
    """A text in a box with a button, which a screen reader calls `label`. Returns the text's element."""
    with ui.element("div").classes("copyable"):
        shown = ui.label(text).classes("copied mono")
        ui.button(icon="content_copy").props(f'flat round dense size=sm data-copy aria-label="{label}"')
    return shown
