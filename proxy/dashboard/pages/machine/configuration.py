"""The configuration in force: what the dashboard has read at its start, secrets masked."""

from __future__ import annotations

from nicegui import ui

from proxy.dashboard.layout.page import View
from runtime.config import KEYS, Config, Key

MASK = "•••• (set)"


def build(view: View, _panel: ui.element) -> None:
    """Fill the tab."""
    rows = [row_of(key, view.services.settings.config) for key in KEYS.values()]
    with ui.element("div").classes("panel"):
        with ui.row().classes("filters"):
            search = ui.input(placeholder="Search keys").props(
                'outlined dense clearable data-search aria-label="Search keys"'
            )
            only = ui.switch("Only those that are set")
        columns = [
            {"name": name, "label": label, "field": name, "align": "left"}
            for name, label in (("key", "Key"), ("value", "Value"), ("meaning", "Meaning"))
        ]
        table = ui.table(rows=rows, columns=columns, row_key="key", pagination=0)
        table.props("flat dense wrap-cells hide-pagination").classes("stacks")
        table.bind_filter_from(search, "value")

        def show() -> None:
            table.rows = [row for row in rows if row["is_set"] or not only.value]

        only.on_value_change(show)
        ui.label(
            "As the dashboard read it at its start, from runtime/config.env, .env and the environment. "
            "A part takes over a change when it is restarted."
        ).classes("soft")


def row_of(key: Key, config: Config) -> dict[str, object]:
    """A key, its value or MASK, and what it means."""
    text = config.text(key.name)
    is_set = bool(config.values.get(key.name))
    value = MASK if text and key.secret else text or "not set"
    return {"key": key.name, "value": value, "meaning": key.meaning, "is_set": is_set}
