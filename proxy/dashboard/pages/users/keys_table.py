"""A user's keys in a table, with buttons for those that are active."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nicegui import ui

from proxy.identity import keys
from proxy.identity.users import Key

MAX_SHOWN = 50
"""The newest ones; all active ones are shown."""

Buttons = Callable[[Key], None]


def keys_table(found: tuple[Key, ...], buttons: Buttons, *, in_use: str = "") -> None:
    """List the keys, the newest first. `in_use`: the public id of the key that this session has."""
    newest_first = list(reversed(found))
    shown = [
        key for number, key in enumerate(newest_first) if number < MAX_SHOWN or key.state == "active"
    ]
    if not shown:
        ui.label("No keys.").classes("empty")
        return
    with ui.element("div").classes("keys-list"):
        for key in shown:
            with ui.element("div").classes("key-row"):
                _describe(key, is_in_use=key.public_id == in_use)
                with ui.row().classes("key-buttons"):
                    if key.state == "active":
                        buttons(key)


def _describe(key: Key, *, is_in_use: bool) -> None:
    with ui.element("div").classes("key-about"):
        with ui.row().classes("key-title"):
            ui.label(f"{keys.PREFIX}{key.public_id}…").classes("mono")
            ui.label(key.state).classes("tag").props(f'data-state="{key.state}"')
            if is_in_use:
                ui.label("this session").classes("tag")
        with ui.row().classes("key-times soft"):
            _time("made", key.created_at)
            _time("last used", key.last_used_at, none="never")
            if key.revoked_at is not None:
                _time("revoked", key.revoked_at)
            else:
                _time("expires", key.expires_at, none="never")


def _time(label: str, moment: datetime | None, *, none: str = "") -> None:
    ui.label(label)
    if moment is None:
        ui.label(none)
    else:
        ui.element("local-time").props(f'datetime="{moment.isoformat()}" with-date')
