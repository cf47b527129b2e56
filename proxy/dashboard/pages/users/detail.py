"""One user in a dialog: keys, limits, group, rights, and an end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict

from nicegui import ui
from psycopg import Connection

from proxy.admin.output import invitation_text
from proxy.dashboard.data import accounts
from proxy.dashboard.data.accounts import Account
from proxy.dashboard.layout.dialogs import confirmed, dialog, is_open, show_secret
from proxy.dashboard.layout.page import View
from proxy.dashboard.pages.users import new_users
from proxy.dashboard.pages.users.fields import GRACES, LimitFields, expiry_field, expiry_of
from proxy.dashboard.pages.users.keys_table import keys_table
from proxy.identity import groups, invitations, keys, users
from proxy.identity.limits import LIMITS, UserLimits
from proxy.identity.users import UNCHANGED, Key

Refresh = Callable[[], Awaitable[None]]


class Detail:
    """The dialog of one user, for administrators. `refresh` reads the page behind it anew."""

    def __init__(self, view: View, username: str, refresh: Refresh) -> None:
        self._view = view
        self._username = username
        self._refresh_page = refresh
        self._body: ui.column

    async def open(self) -> None:
        """Show the user, if a click before has not done it."""
        account = await self._view.ask(accounts.one, self._username)
        with self._view.client.content:
            if is_open(self._username):
                return
            with dialog(self._username) as self._dialog:
                self._body = ui.column().classes("wide")
                self._fill(account)

    async def _changed(self, note: str) -> None:
        account = await self._view.ask(accounts.one, self._username)
        self._body.clear()
        self._fill(account)
        ui.notify(note, position="top")
        await self._refresh_page()

    def _button(self, text: str, act: Callable[[], Awaitable[None]], props: str = "outline") -> None:
        ui.button(text, on_click=self._view.action(act, admin=True)).props(f"{props} dense no-caps")

    def _fill(self, account: Account) -> None:
        with self._body:
            self._fill_state(account)
            ui.label("Keys").classes("heading")
            keys_table(
                account.user.keys,
                self._key_buttons,
                in_use=self._view.session.principal.public_id,
            )
            self._fill_new_key()
            self._fill_limits(account)

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
            if await confirmed(question, "Revoke"):
                await self._view.ask(users.revoke_key, self._username, key.public_id)
                await self._changed("The key is revoked.")

        self._button("Revoke", revoke, "flat color=negative")

    def _fill_new_key(self) -> None:
        with ui.row().classes("filters"):
            grace = ui.select(GRACES, value=0.0, label="Old keys end").props("outlined dense")
            grace.classes("short")
            expires = expiry_field("The new key expires")

            async def rotate() -> None:
                issued = await self._view.ask(
                    users.rotate_key,
                    self._username,
                    grace_s=float(grace.value),
                    expires_at=expiry_of(expires) if expires.value else UNCHANGED,
                )
                with self._view.client.content:
                    show_secret(f"The new key of {self._username}", issued.key, new_users.KEY_NOTE)
                await self._changed("There is a new key.")

            self._button("New key in place of all", rotate)

    def _fill_limits(self, account: Account) -> None:
        user = account.user
        ui.label("Limits").classes("heading")
        limits = LimitFields(self._view.services.settings.config, LIMITS, asdict(user))
        group = ui.input("Group", value=user.group or "", placeholder="none").props("outlined dense")

        async def save() -> None:
            await self._view.ask(
                _set_limits, self._username, limits.values(), group.value.strip() or None
            )
            await self._changed("The limits hold now.")

        with ui.row().classes("dialog-end"):
            self._button("Save", save, "unelevated")

    async def _set_active(self, account: Account) -> None:
        active = not account.user.is_active
        question = f"Deactivate {self._username}? All running requests of the user end."
        if active or await confirmed(question, "Deactivate"):
            await self._view.ask(users.set_active, self._username, active=active)
            await self._changed("The user is active." if active else "No key of the user works now.")

    async def _set_admin(self, account: Account) -> None:
        admin = not account.user.is_admin
        question = f"Make {self._username} an administrator, who sees and may change everything?"
        if not admin or await confirmed(question, "Make administrator"):
            await self._view.ask(users.set_admin, self._username, admin=admin)
            await self._changed("The user is an administrator now." if admin else "Not any more.")

    async def _invite(self) -> None:
        with self._view.client.content:
            new_users.invite(self._view, self._refresh_page, self._username)

    async def _withdraw(self) -> None:
        await self._view.ask(invitations.withdraw, self._username)
        await self._changed("The link is void.")

    async def _delete(self) -> None:
        question = f"Delete {self._username} and all keys? Records of requests stay."
        if await confirmed(question, "Delete"):
            await self._view.ask(users.delete_user, self._username)
            self._dialog.close()
            await self._refresh_page()


def _set_limits(connection: Connection, username: str, limits: UserLimits, group: str | None) -> None:
    users.set_limits(connection, username, **limits)
    groups.set_group(connection, username, group)
