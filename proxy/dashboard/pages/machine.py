"""The page Machine."""

from __future__ import annotations

from nicegui import ui

from proxy.dashboard.layout.page import Page, View


def build(view: View) -> None:
    """Fill the page."""
    ui.label("Machine").classes("heading")


PAGE = Page(path="/machine", title="Machine", icon="memory", build=build, admin_only=True)
