"""The page Now."""

from __future__ import annotations

from nicegui import ui

from proxy.dashboard.layout.page import Page, View


def build(view: View) -> None:
    """Fill the page."""
    ui.label("Now").classes("heading")


PAGE = Page(path="/", title="Now", icon="bolt", build=build)
