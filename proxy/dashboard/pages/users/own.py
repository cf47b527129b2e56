"""A user's own keys and limits."""

from __future__ import annotations

from nicegui import ui

from proxy.admin.limit_options import all_limits_text
from proxy.dashboard.data import accounts
from proxy.dashboard.layout.dialogs import confirmed
from proxy.dashboard.layout.page import Refresh, View
from proxy.dashboard.pages.users.endings import ends_too, replace_keys
from proxy.dashboard.pages.users.fields import GRACES
from proxy.dashboard.pages.users.keys_table import keys_table
from proxy.identity import keys, users
from proxy.identity.users import Key, User

_REFRESH_S = 10.0


def build(view: View) -> None:
    """Fill the page."""
    page = _Own(view)
    with ui.element("div").classes("panel"):
        ui.label("Your keys").classes("heading")
        ui.label(
            "Keys are for programs, and log you in here. A new key "
            "replaces an old one, which works on for as long as you choose."
        ).classes("soft")
        page.grace = ui.select(GRACES, value=0.0, label="A replaced key ends").props("outlined dense")
        page.grace.classes("short")
        page.keys = ui.column().classes("wide")
    with ui.element("div").classes("panel"):
        ui.label("Your limits").classes("heading")
        page.limits = ui.label()
        ui.label("The page Usage shows what remains, and when it resets.").classes("soft")
    page.refresh = view.every(_REFRESH_S, page.read)


class _Own:
    def __init__(self, view: View) -> None:
        self._view = view
        self._shown: User | None = None
        self.grace: ui.select
        self.keys: ui.column
        self.limits: ui.label
        self.refresh: Refresh

    async def read(self) -> None:
        """Read the user anew."""
        user = await self._view.ask(users.get_user, self._view.username)
        if user == self._shown:
            return
        self._shown = user
        self.limits.text = f"You may send {all_limits_text(user, self._view.services.settings.config)}."
        self.keys.clear()
        with self.keys:
            keys_table(user.keys, self._buttons, in_use=self._view.session.principal.public_id)

    def _buttons(self, key: Key) -> None:
        async def replace() -> None:
            await replace_keys(
                self._view,
                self._view.username,
                lambda grace_s: self._view.ask(
                    accounts.replace_own_key, self._view.username, key.public_id, grace_s=grace_s
                ),
                grace_s=float(self.grace.value),
            )
            await self.refresh()

        async def revoke() -> None:
            question = f"Revoke {keys.PREFIX}{key.public_id}…? Its requests end at once."
            if await confirmed(question + ends_too(self._view, [key.public_id]), "Revoke"):
                await self._view.ask(users.revoke_key, self._view.username, key.public_id)
                await self.refresh()

        for text, act, props in (
            ("Replace", replace, "outline"),
            ("Revoke", revoke, "flat color=negative"),
        ):
            ui.button(text, on_click=self._view.action(act, once=True)).props(f"{props} dense no-caps")
