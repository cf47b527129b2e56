"""What doctor finds, with what to do."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

from nicegui import ui

from proxy.dashboard.console import commands
from proxy.dashboard.layout.page import View


def build(view: View, _panel: ui.element) -> None:
    """Fill the tab."""
    with ui.element("div").classes("panel"):
        with ui.row().classes("filters"):
            ui.label("What ./console.sh doctor finds").classes("heading")
            ui.space()
            again = ui.button("Examine").props("outline dense no-caps")
        ui.label("It changes nothing, and takes some seconds.").classes("soft")
        shown = ui.element("div").classes("wide")

    async def examine() -> None:
        again.disable()
        again.text = "Examining …"
        try:
            report = await view.services.console.ask(commands.DOCTOR, fresh=True)
        finally:
            again.text = "Examine"
            again.enable()
        shown.clear()
        with shown:
            _show(report)

    again.on_click(view.action(examine, admin=True))


def _show(report: dict[str, Any]) -> None:
    for group, findings in groupby(report["findings"], key=itemgetter("group")):
        ui.label(str(group).capitalize()).classes("heading")
        for finding in findings:
            with ui.element("div").classes("finding"):
                level = str(finding["level"])
                ui.label(level).classes("tag").props(f'data-state="{level}"')
                with ui.element("div"):
                    ui.label(str(finding["text"]))
                    if finding["remedy"]:
                        ui.label(f"→ {finding['remedy']}").classes("soft")
