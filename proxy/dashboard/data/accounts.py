"""Users with their invitations, and what users may do to their own keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import Connection

from proxy.dashboard.data import errors
from proxy.identity import groups, invitations, users
from proxy.identity.groups import Group
from proxy.identity.invitations import Invitation
from proxy.identity.users import IssuedKey, User

MAX_NEW_KEYS_A_DAY = 20
"""A user may make so many keys without an administrator."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user and the user's last invitation."""

    user: User
    invitation: Invitation | None

    @property
    def state(self) -> str:
        """In a word."""
        if not self.user.is_active:
            return "deactivated"
        if any(key.state == "active" for key in self.user.keys):
            return "active"
        return "invited" if self.invitation is not None and self.invitation.is_open else "no key"

    @property
    def last_used_at(self) -> datetime | None:
        """When a key of the user was last used."""
        return max((key.last_used_at for key in self.user.keys if key.last_used_at), default=None)


def everyone(connection: Connection) -> list[Account]:
    """All users by name."""
    invited = invitations.list_invitations(connection)
    return [
        Account(user=user, invitation=invited.get(user.username))
        for user in users.list_users(connection)
    ]


def one(connection: Connection, username: str) -> Account:
    """One user.

    Raises:
        UserNotFound: there is no such user any more.
    """
    invited = invitations.list_invitations(connection, user=username)
    return Account(user=users.get_user(connection, username), invitation=invited.get(username))


def all_groups(connection: Connection) -> list[Group]:
    """All groups by name."""
    return groups.list_groups(connection)


def replace_own_key(
    connection: Connection, username: str, public_id: str, *, grace_s: float
) -> IssuedKey:
    """Make a new key in place of one of a user's own, which works for `grace_s` seconds more.

    Raises:
        KeyNotFound: the user has no such active key.
        DashboardError: the user has made MAX_NEW_KEYS_A_DAY.
    """
    a_day_ago = datetime.now(UTC) - timedelta(days=1)
    made = [key for key in users.get_user(connection, username).keys if key.created_at > a_day_ago]
    if len(made) >= MAX_NEW_KEYS_A_DAY:
        raise errors.too_many_keys(MAX_NEW_KEYS_A_DAY)
    return users.rotate_key(connection, username, public_id=public_id, grace_s=grace_s)
