"""What ends with a user's keys: the session that has one of them, and what LLAMA_ADMIN_KEY is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from psycopg import Connection

from proxy.dashboard.data.errors import DashboardError
from proxy.dashboard.layout.dialogs import show_secret
from proxy.dashboard.layout.page import View
from proxy.dashboard.pages.users.new_users import KEY_NOTE
from proxy.errors import ApiError
from proxy.identity import keys, users
from proxy.identity.users import IssuedKey

_HANDOVER_S = 60.0
"""How long the old key of a session stays good while the session goes over to the new one."""


def ends_too(view: View, ended: Collection[str], *, replaced: bool = False) -> str:
    """What a question about keys must say besides: sentences that begin with a space, or nothing.

    `ended`: the public ids of the keys that end. `replaced`: there is a new one in their place.
    """
    text = ""
    if view.session.principal.public_id in ended:
        text += " Your session goes over to the new one." if replaced else " You will be logged out."
    if keys.public_id_of(view.services.settings.admin_key) in ended:
        text += (
            " LLAMA_ADMIN_KEY ends: there is no live state until its line has been taken out of"
            " runtime/config.env and ./console.sh restart has made a new one."
        )
    return text


async def replace_keys(
    view: View, username: str, issue: Callable[[float], Awaitable[IssuedKey]], *, grace_s: float
) -> None:
    """Make a key in place of others, and show it; a session that has one of them goes over to it.

    `issue` gets for how many seconds the old keys go on.
    """
    is_own = username == view.username
    issued = await issue(max(grace_s, _HANDOVER_S) if is_own else grace_s)
    show_secret("Your new key" if is_own else f"The new key of {username}", issued.key, KEY_NOTE)
    if view.session.principal.public_id in issued.replaced:
        with suppress(ApiError):  # then the session ends with the old key
            principal = await view.services.authenticator.authenticate(issued.key, "127.0.0.1")
            view.services.sessions.take_over(view.session, principal, issued.key)
    if is_own and grace_s < _HANDOVER_S:
        with suppress(DashboardError):  # then they end after _HANDOVER_S
            await view.ask(_revoke, username, issued.replaced)


def _revoke(connection: Connection, username: str, public_ids: Collection[str]) -> None:
    for public_id in public_ids:
        users.revoke_key(connection, username, public_id)
