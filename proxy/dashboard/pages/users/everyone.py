"""All users in a table, and what an administrator makes: users, invitations, groups."""

from __future__ import annotations

from typing import Any

from nicegui import events, ui

from proxy.admin.limit_options import all_limits_text
from proxy.dashboard.data import accounts
from proxy.dashboard.data.accounts import Account
from proxy.dashboard.layout import parts
from proxy.dashboard.layout.page import Refresh, View
from proxy.dashboard.pages.users import new_groups, new_users
from proxy.dashboard.pages.users.detail import Detail

_REFRESH_S = 5.0
_COLUMNS = [
    {"name": name, "label": label, "field": name, "align": "left", "sortable": True}
    for name, label in (
        ("name", "User"),
        ("state", "State"),
        ("group", "Group"),
        ("limits", "Limits"),
        ("keys", "Keys"),
        ("last_used", "Last used"),
    )
]
_STATE_CELL = (
    '<q-td :props="props"><span class="tag" :data-state="props.value">{{ props.value }}</span></q-td>'
)
_TIME_CELL = """<q-td :props="props"><local-time v-if="props.value" :datetime="props.value" with-date>
</local-time><span v-else class="soft">never</span></q-td>"""


def build(view: View) -> None:
    """Fill the page."""
    page = _Everyone(view)
    with ui.row().classes("filters"):
        page.search = ui.input(placeholder="Search users").props(
            'outlined dense clearable data-search aria-label="Search users"'
        )
        ui.space()
        ui.button("Groups", on_click=page.show_groups).props("flat")
        ui.button("Invite", on_click=page.invite).props("outline")
        ui.button("New user", on_click=page.create).props("unelevated")
    with ui.element("div").classes("panel"):
        page.add_table()
    page.refresh = view.every(_REFRESH_S, page.read)


class _Everyone:
    def __init__(self, view: View) -> None:
        self._view = view
        self.search: ui.input
        self._table: ui.table
        self.refresh: Refresh
        self.create = view.action(lambda: new_users.create(view, self.refresh), admin=True)
        self.invite = view.action(lambda: new_users.invite(view, self.refresh), admin=True)
        self.show_groups = view.action(lambda: new_groups.show(view, self.refresh), admin=True)

    def add_table(self) -> None:
        """The table; a click on a row shows its user."""
        self._table = ui.table(
            rows=[], columns=_COLUMNS, row_key="name", pagination={"rowsPerPage": 25, "sortBy": "name"}
        ).props('flat wrap-cells no-data-label="No users yet: Invite or New user makes one."')
        parts.unread(self._table).classes("rows-open stacks").bind_filter_from(self.search, "value")
        self._table.add_slot("body-cell-state", _STATE_CELL)
        self._table.add_slot("body-cell-last_used", _TIME_CELL)
        self._table.on("rowClick", self._show_row, [[], ["name"], None])

    async def read(self) -> None:
        """Read the users anew."""
        self._view.check(admin=True)
        rows = [self._row(one) for one in await self._view.ask(accounts.everyone)]
        parts.set_rows(self._table, rows)

    def _row(self, one: Account) -> dict[str, Any]:
        user = one.user
        return {
            "name": user.username,
            "state": one.state + (" · admin" if user.is_admin else ""),
            "group": user.group or "",
            "limits": all_limits_text(user, self._view.services.settings.config),
            "keys": sum(key.state == "active" for key in user.keys),
            "last_used": one.last_used_at.isoformat() if one.last_used_at else None,
        }

    async def _show_row(self, event: events.GenericEventArguments) -> None:
        detail = Detail(self._view, str(event.args[1]["name"]), self.refresh)
        await self._view.action(detail.open, admin=True)()
