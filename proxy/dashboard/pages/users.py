"""The page Users and keys."""

from __future__ import annotations

from nicegui import ui

from proxy.dashboard.layout.page import Page, View


def build(view: View) -> None:
    """Fill the page."""
    ui.label("Users and keys").classes("heading")


PAGE = Page(path="/users", title="Users and keys", icon="group", build=build)
