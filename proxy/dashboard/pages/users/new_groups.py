"""The dialogs for groups."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict

from nicegui import ui

from proxy.dashboard.data import accounts
from proxy.dashboard.data.errors import DashboardError
from proxy.dashboard.layout.dialogs import confirmed, dialog, is_open
from proxy.dashboard.layout.page import Refresh, View
from proxy.dashboard.pages.users.fields import LimitFields, group_limits
from proxy.identity import groups
from proxy.identity.groups import Group
from proxy.identity.limits import GROUP_LIMITS


async def show(view: View, refresh: Refresh) -> None:
    """List the groups, each with its limits to change; and a form for a new one."""
    found = await view.ask(accounts.all_groups)
    if is_open("Groups"):
        return
    with dialog("Groups") as opened:
        if not found:
            ui.label("No groups yet. Members of a group share its limits and its budget.").classes(
                "empty"
            )
        for group in found:
            with ui.expansion(f"{group.name} · {len(group.members)} members").classes("wide"):
                _edit(view, refresh, opened, group)
        with ui.expansion("New group", icon="add", value=not found).classes("wide"):
            _new(view, refresh, opened)


def _edit(view: View, refresh: Refresh, opened: ui.dialog, group: Group) -> None:
    ui.label(", ".join(group.members) or "No members: a user's page puts the user in.").classes("soft")
    limits = LimitFields(view.services.settings.config, GROUP_LIMITS, asdict(group), of_group=True)

    async def save() -> None:
        await view.ask(groups.set_group_limits, group.name, **group_limits(limits.changed()))
        ui.notify(f"The limits of {group.name} hold now.", position="top")
        with suppress(DashboardError):
            limits.show(asdict(await view.ask(groups.get_group, group.name)))
        await refresh()

    async def delete() -> None:
        if await confirmed(f"Delete the group {group.name}? Its members stay.", "Delete"):
            await view.ask(groups.delete_group, group.name)
            opened.close()
            await refresh()

    with ui.row().classes("dialog-end"):
        ui.button("Delete", on_click=view.action(delete, admin=True, once=True)).props(
            "flat color=negative"
        )
        ui.button("Save", on_click=view.action(save, admin=True, once=True)).props("unelevated")


def _new(view: View, refresh: Refresh, opened: ui.dialog) -> None:
    name = ui.input("Name").props("outlined dense maxlength=64")
    limits = LimitFields(view.services.settings.config, GROUP_LIMITS, {}, of_group=True)

    async def make() -> None:
        if not opened.value:  # a click that is heard late
            return
        await view.ask(groups.create_group, name.value.strip(), **group_limits(limits.changed()))
        opened.close()
        await refresh()

    with ui.row().classes("dialog-end"):
        ui.button("Create", on_click=view.action(make, admin=True, once=True)).props("unelevated")
