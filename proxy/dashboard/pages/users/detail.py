"""One user in a dialog: keys, limits, group, rights, and an end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict

from nicegui import ui
from psycopg import Connection

from proxy.admin.output import invitation_text
from proxy.dashboard.data import accounts
from proxy.dashboard.data.accounts import Account
from proxy.dashboard.data.errors import DashboardError
from proxy.dashboard.layout.dialogs import confirmed, dialog, is_open
from proxy.dashboard.layout.page import Refresh, View
from proxy.dashboard.pages.users import new_users
from proxy.dashboard.pages.users.endings import ends_too, replace_keys
from proxy.dashboard.pages.users.fields import GRACES, LimitFields, expiry_field, expiry_of
from proxy.dashboard.pages.users.keys_table import keys_table
from proxy.identity import groups, invitations, keys, users
from proxy.identity.limits import LIMITS, UserLimits
from proxy.identity.users import UNCHANGED, IssuedKey, Key


class Detail:
    """The dialog of one user, for administrators. `refresh` reads the page behind it anew."""

    def __init__(self, view: View, username: str, refresh: Refresh) -> None:
        self._view = view
        self._username = username
        self._refresh_page = refresh
        self._account: Account
        self._state: ui.column
        self._limits: LimitFields
        self._group: ui.input

    async def open(self) -> None:
        """Show the user, if a click before has not done it."""
        self._account = await self._view.ask(accounts.one, self._username)
        if is_open(self._username):
            return
        with dialog(self._username) as self._dialog:
            self._state = ui.column().classes("wide")
            self._fill()
            self._add_new_key()
            self._add_limits()

    async def _changed(self, note: str) -> None:
        ui.notify(note, position="top")
        await self._refresh()

    async def _refresh(self) -> None:
        """Show the user anew, and the page; what has been typed stays."""
        with suppress(DashboardError):  # what was done is done
            account = await self._view.ask(accounts.one, self._username)
            if not self._dialog.is_deleted:
                self._show(account)
        await self._refresh_page()

    def _show(self, account: Account) -> None:
        self._limits.show(asdict(account.user))
        if self._typed_group() == self._account.user.group:
            self._group.value = account.user.group or ""
        self._account = account
        self._state.clear()
        self._fill()

    def _button(self, text: str, act: Callable[[], Awaitable[None]], props: str = "outline") -> None:
        ui.button(text, on_click=self._view.action(act, admin=True, once=True)).props(
            f"{props} dense no-caps"
        )

    def _fill(self) -> None:
        with self._state:
            self._fill_state(self._account)
            ui.label("Keys").classes("heading")
            keys_table(
                self._account.user.keys,
                self._key_buttons,
                in_use=self._view.session.principal.public_id,
            )

    def _fill_state(self, account: Account) -> None:
        user = account.user
        with ui.row().classes("filters"):
            ui.label(account.state).classes("tag").props(f'data-state="{account.state}"')
            if user.is_admin:
                ui.label("admin").classes("tag")
            ui.label(f"Invitation: {invitation_text(account.invitation)}").classes("soft")
        with ui.row().classes("filters"):
            self._button(
                "Deactivate" if user.is_active else "Activate", lambda: self._set_active(account)
            )
            self._button(
                "Not an administrator" if user.is_admin else "Make administrator",
                lambda: self._set_admin(account),
            )
            self._button("New invitation", self._invite)
            if account.invitation is not None and account.invitation.is_open:
                self._button("Withdraw invitation", self._withdraw)
            self._button("Delete", self._delete, "flat color=negative")

    def _key_buttons(self, key: Key) -> None:
        async def revoke() -> None:
            question = f"Revoke {keys.PREFIX}{key.public_id}…? Its requests end at once."
            if await confirmed(question + ends_too(self._view, [key.public_id]), "Revoke"):
                await self._view.ask(users.revoke_key, self._username, key.public_id)
                await self._changed("The key is revoked.")

        self._button("Revoke", revoke, "flat color=negative")

    def _add_new_key(self) -> None:
        with ui.row().classes("filters"):
            grace = ui.select(GRACES, value=0.0, label="Old keys end").props("outlined dense")
            grace.classes("short")
            expires = expiry_field("The new key expires")

            async def rotate() -> None:
                expires_at = expiry_of(expires) if expires.value else UNCHANGED
                await self._rotate(
                    lambda grace_s: self._view.ask(
                        users.rotate_key, self._username, grace_s=grace_s, expires_at=expires_at
                    ),
                    float(grace.value),
                )

            self._button("New key in place of all", rotate)

    async def _rotate(self, issue: Callable[[float], Awaitable[IssuedKey]], grace_s: float) -> None:
        question = f"Make a new key in place of all keys of {self._username}? "
        question += f"They and their requests end {GRACES[grace_s]}."
        question += ends_too(self._view, self._active_keys(), replaced=True)
        if await confirmed(question, "Replace"):
            await replace_keys(self._view, self._username, issue, grace_s=grace_s)
            await self._changed("There is a new key.")

    def _active_keys(self) -> list[str]:
        return [key.public_id for key in self._account.user.keys if key.state == "active"]

    def _add_limits(self) -> None:
        user = self._account.user
        ui.label("Limits").classes("heading")
        self._limits = LimitFields(self._view.services.settings.config, LIMITS, asdict(user))
        self._group = ui.input("Group", value=user.group or "", placeholder="none")
        self._group.props("outlined dense")
        with ui.row().classes("dialog-end"):
            self._button("Save", self._save, "unelevated")

    def _typed_group(self) -> str | None:
        return (self._group.value or "").strip() or None

    async def _save(self) -> None:
        group = self._typed_group()
        await self._view.ask(
            _set_limits,
            self._username,
            self._limits.changed(),
            group,
            has_moved=group != self._account.user.group,
        )
        await self._changed("The limits hold now.")

    async def _set_active(self, account: Account) -> None:
        active = not account.user.is_active
        question = f"Deactivate {self._username}? All running requests of the user end."
        question += ends_too(self._view, self._active_keys())
        if active or await confirmed(question, "Deactivate"):
            await self._view.ask(users.set_active, self._username, active=active)
            await self._changed("The user is active." if active else "No key of the user works now.")

    async def _set_admin(self, account: Account) -> None:
        admin = not account.user.is_admin
        if admin:
            question = f"Make {self._username} an administrator, who sees and may change everything?"
        else:
            question = f"Let {self._username} be an administrator no longer?"
            question += ends_too(self._view, self._active_keys())
        if await confirmed(question, "Make administrator" if admin else "Take the rights"):
            await self._view.ask(users.set_admin, self._username, admin=admin)
            await self._changed("The user is an administrator now." if admin else "Not any more.")

    async def _invite(self) -> None:
        new_users.invite(self._view, self._refresh, self._username)

    async def _withdraw(self) -> None:
        await self._view.ask(invitations.withdraw, self._username)
        await self._changed("The link is void.")

    async def _delete(self) -> None:
        question = f"Delete {self._username} and all keys? Records of requests stay."
        question += ends_too(self._view, self._active_keys())
        if await confirmed(question, "Delete"):
            await self._view.ask(users.delete_user, self._username)
            self._dialog.close()
            await self._refresh_page()


def _set_limits(
    connection: Connection, username: str, limits: UserLimits, group: str | None, *, has_moved: bool
) -> None:
    users.set_limits(connection, username, **limits)
    if has_moved:
        groups.set_group(connection, username, group)
