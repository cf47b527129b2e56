"""Who changed what, the newest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui
from psycopg import Connection

from proxy.admin.output import change_text
from proxy.dashboard.layout import parts
from proxy.dashboard.layout.newest import Newest
from proxy.dashboard.layout.page import View
from proxy.database.audit import Change, changes
from proxy.identity import keys

MAX_SHOWN = 500
_REFRESH_S = 10.0
_DAYS = {1: "a day", 7: "a week", 30: "30 days", 365: "a year"}
_TIME_CELL = '<q-td :props="props"><local-time :datetime="props.value" with-date></local-time></q-td>'


def build(view: View, panel: ui.element) -> None:
    """Fill the tab."""
    columns = [
        {"name": name, "label": label, "field": name, "align": "left"}
        for name, label in (
            ("at", "Time"),
            ("action", "Action"),
            ("whom", "User or group"),
            ("key", "Key"),
            ("values", "Values"),
            ("by", "By"),
        )
    ]
    with ui.element("div").classes("panel"):
        with ui.row().classes("filters"):
            search = ui.input(placeholder="Search changes").props(
                'outlined dense clearable data-search aria-label="Search changes"'
            )
            days = ui.select(_DAYS, value=7, label="Of the last").props("outlined dense")
        table = parts.unread(ui.table(rows=[], columns=columns, row_key="id", pagination=25))
        table.props('flat dense wrap-cells no-data-label="No changes."')
        table.classes("stacks").bind_filter_from(search, "value")
        table.add_slot("body-cell-at", _TIME_CELL)
        bound = ui.label(f"The newest {MAX_SHOWN} changes are shown.").classes("soft")
        bound.set_visibility(False)
    newest = Newest()

    async def refresh() -> None:
        view.check(admin=True)
        if not panel.visible:
            return
        since = datetime.now(UTC) - timedelta(days=int(days.value))
        found = await newest.answer(view.ask(newest_changes, since))
        if found is None:
            return
        bound.set_visibility(len(found) > MAX_SHOWN)
        parts.set_rows(table, [_row(change) for change in found[:MAX_SHOWN]])

    days.on_value_change(view.action(refresh, admin=True))
    view.every(_REFRESH_S, refresh)


def newest_changes(connection: Connection, since: datetime) -> list[Change]:
    """The last changes since a time, the newest first; one more than MAX_SHOWN if there are more."""
    return changes(connection, since=since, limit=MAX_SHOWN + 1, newest_first=True)


def _row(change: Change) -> dict[str, Any]:
    return {
        "id": change.id,
        "at": change.at.isoformat(),
        "action": change.action,
        "whom": change.username or change.group_name or "",
        "key": f"{keys.PREFIX}{change.public_id}" if change.public_id else "",
        "values": change_text(change.old, change.new),
        "by": change.application,
    }
