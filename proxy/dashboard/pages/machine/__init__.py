"""The page Machine, for administrators: models, logs, doctor's findings, configuration and audit."""

from nicegui import ui

from proxy.dashboard.layout.page import Page, View
from proxy.dashboard.pages.machine import audit, configuration, findings, logs, models

_TABS = {
    "Models": models.build,
    "Logs": logs.build,
    "Findings": findings.build,
    "Configuration": configuration.build,
    "Audit": audit.build,
}


def build(view: View) -> None:
    """Fill the page: a tab is filled when it is first opened."""
    asked = view.query.get("tab", "").capitalize()
    with (
        ui.tabs().props("dense no-caps align=left outside-arrows mobile-arrows").classes("wide") as tabs
    ):
        for name in _TABS:
            ui.tab(name)
    panels: dict[str, ui.element] = {}
    holder = ui.element("div").classes("wide")

    def show(name: str) -> None:
        view.check(admin=True)
        for other, panel in panels.items():
            panel.visible = other == name
        if name not in panels:
            with holder, ui.element("div").classes("stack") as panels[name]:
                _TABS[name](view, panels[name])

    tabs.value = asked if asked in _TABS else "Models"
    tabs.on_value_change(view.action(lambda: show(str(tabs.value)), admin=True))
    show(str(tabs.value))


PAGE = Page(path="/machine", title="Machine", icon="dns", build=build, admin_only=True)
