"""The page Connect."""

from __future__ import annotations

from nicegui import ui

from proxy.dashboard.layout.page import Page, View


def build(view: View) -> None:
    """Fill the page."""
    ui.label("Connect").classes("heading")


PAGE = Page(path="/connect", title="Connect", icon="cable", build=build)
