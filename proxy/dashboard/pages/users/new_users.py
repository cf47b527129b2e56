"""The dialogs that make a user with a key, or an invitation."""

from __future__ import annotations

from nicegui import ui

from proxy.admin import client_settings
from proxy.admin.arguments import invitation_life
from proxy.dashboard.layout.dialogs import dialog, is_open, show_secret
from proxy.dashboard.layout.page import Refresh, View
from proxy.dashboard.pages.users.fields import LimitFields, expiry_field, expiry_of, parsed
from proxy.identity import invitations, users
from proxy.identity.limits import LIMITS, UserLimits

KEY_NOTE = (
    "It is shown this once and stored nowhere: copy it now. The page Connect has settings for clients."
)


def create(view: View, refresh: Refresh) -> None:
    """Ask for a new user, and show the key."""
    if is_open("New user"):
        return
    with dialog("New user") as opened:
        name = _name_field()
        expires = expiry_field("The key expires")
        limits = LimitFields(view.services.settings.config, LIMITS, {})

        async def make() -> None:
            if not opened.value:  # a click that is heard late
                return
            issued = await view.ask(
                users.create_user,
                username=name.value.strip(),
                expires_at=expiry_of(expires),
                **limits.changed(),
            )
            opened.close()
            show_secret(f"The key of {name.value.strip()}", issued.key, KEY_NOTE)
            await refresh()

        ui.label("You will see the key: an invitation lets the user make it unseen.").classes("soft")
        with ui.row().classes("dialog-end"):
            ui.button("Create", on_click=view.action(make, admin=True, once=True)).props("unelevated")


def invite(view: View, refresh: Refresh, username: str = "") -> None:
    """Ask whom to invite, and show the link."""
    if is_open("Invite a user"):
        return
    config = view.services.settings.config
    with dialog("Invite a user") as opened:
        name = _name_field(username)
        valid = ui.input("The link is good for", value="7d").props('outlined dense hint="1m to 90d"')
        expires = expiry_field("The key expires")
        limits = None if username else LimitFields(config, LIMITS, {})

        async def make() -> None:
            if not opened.value:  # a click that is heard late
                return
            life_s = parsed("How long the link is good", invitation_life, valid.value)
            issued = await view.ask(
                invitations.invite,
                username=name.value.strip(),
                life_s=invitations.DEFAULT_LIFE_S if life_s is None else float(str(life_s)),
                key_expires_at=expiry_of(expires),
                **(limits.changed() if limits else UserLimits()),
            )
            opened.close()
            link = client_settings.invitation_link(config, issued.code)
            note = f"It lets {issued.username} make a key, once. It is shown this once."
            show_secret("Invitation", link, f"{note} {client_settings.dashboard_hint(config)}")
            await refresh()

        with ui.row().classes("dialog-end"):
            ui.button("Make the link", on_click=view.action(make, admin=True, once=True)).props(
                "unelevated"
            )


def _name_field(value: str = "") -> ui.input:
    field = ui.input("Username", value=value).props("outlined dense autofocus maxlength=64")
    if value:
        field.props("readonly")
    return field
