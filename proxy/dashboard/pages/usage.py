"""The page Usage."""

from __future__ import annotations

from nicegui import ui

from proxy.dashboard.layout.page import Page, View


def build(view: View) -> None:
    """Fill the page."""
    ui.label("Usage").classes("heading")


PAGE = Page(path="/usage", title="Usage", icon="bar_chart", build=build)
