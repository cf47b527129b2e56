"""The page Requests."""

from __future__ import annotations

from nicegui import ui

from proxy.dashboard.layout.page import Page, View


def build(view: View) -> None:
    """Fill the page."""
    ui.label("Requests").classes("heading")


PAGE = Page(path="/requests", title="Requests", icon="list_alt", build=build)
