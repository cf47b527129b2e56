"""The page Chat."""

from __future__ import annotations

from nicegui import ui

from proxy.dashboard.layout.page import Page, View


def build(view: View) -> None:
    """Fill the page."""
    ui.label("Chat").classes("heading")


PAGE = Page(path="/chat", title="Chat", icon="chat_bubble_outline", build=build)
