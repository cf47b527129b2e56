"""Invitations: whoever has the code of one makes a key for its user, once, which nobody else sees.

A user has one invitation at most: a new one replaces it. The code has 256 random bits, so that a plain
hash of it can be stored and looked up. Times are those of the database's clock.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Unpack

from psycopg import Connection
from psycopg.rows import class_row

from proxy.identity import users
from proxy.identity.limits import UserLimits
from proxy.identity.user_errors import InvitationNotFound, InvitationRefused, UserExists
from proxy.identity.users import IssuedKey

PREFIX = "lsi_"
DEFAULT_LIFE_S = 7 * 86_400.0
MAX_LIFE_S = 90 * 86_400.0
_FORM = re.compile(PREFIX + "[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """An invitation. It is open until it is used or expires."""

    username: str
    created_at: datetime
    expires_at: datetime
    key_expires_at: datetime | None
    """Of the key that is made with it; None: never."""
    used_at: datetime | None
    is_open: bool


@dataclass(frozen=True, kw_only=True)
class IssuedInvitation:
    """An invitation just made. `code` is shown once and stored nowhere."""

    code: str = field(repr=False)
    username: str
    expires_at: datetime
    is_new_user: bool


def invite(
    connection: Connection,
    *,
    username: str,
    life_s: float = DEFAULT_LIFE_S,
    key_expires_at: datetime | None = None,
    **limits: Unpack[UserLimits],
) -> IssuedInvitation:
    """Make an invitation for a user, who is created without a key if there is none.

    Args:
        connection: the database.
        username: the user, whose keys stay.
        life_s: seconds until the invitation expires, above 0 to MAX_LIFE_S.
        key_expires_at: when the key that is made with it expires; None: never.
        limits: are set for the user.

    Raises:
        InvalidUsername: no user can have this name.
        InvitationRefused: the key would expire before the invitation.
    """
    code = PREFIX + secrets.token_urlsafe(32)
    with connection.transaction():
        is_new_user = False
        with suppress(UserExists):
            users.create_user_without_key(connection, username=username)
            is_new_user = True
        users.set_limits(connection, username, **limits)
        connection.execute(
            "DELETE FROM llama_invitations WHERE user_id = (SELECT id FROM llama_users"
            " WHERE username = %s)",
            [username],
        )
        row = connection.execute(
            "INSERT INTO llama_invitations (user_id, hash, expires_at, key_expires_at)"
            " SELECT id, %s, now() + make_interval(secs => %s), %s FROM llama_users"
            " WHERE username = %s RETURNING expires_at, expires_at >= key_expires_at",
            [_hash_of(code), life_s, key_expires_at, username],
        ).fetchone()
        assert row is not None
        if row[1]:
            raise InvitationRefused(
                "the key would expire before the invitation does: let it live longer"
            )
        return IssuedInvitation(code=code, username=username, expires_at=row[0], is_new_user=is_new_user)


def withdraw(connection: Connection, username: str) -> None:
    """Take a user's invitation back.

    Raises:
        InvalidUsername, UserNotFound: there is no such user.
        InvitationNotFound: the user has none that is open.
    """
    with connection.transaction():
        users.get_user(connection, username)
        cursor = connection.execute(
            "DELETE FROM llama_invitations i USING llama_users u WHERE u.id = i.user_id"
            " AND u.username = %s AND i.used_at IS NULL AND i.expires_at > now()",
            [username],
        )
        if cursor.rowcount == 0:
            raise InvitationNotFound(username)


def list_invitations(connection: Connection, *, user: str | None = None) -> dict[str, Invitation]:
    """Each user's last invitation, by the user's name; those that are used or have expired too.

    `user`: of this one alone.
    """
    found = connection.cursor(row_factory=class_row(Invitation)).execute(
        "SELECT u.username, i.created_at, i.expires_at, i.key_expires_at, i.used_at,"
        " i.used_at IS NULL AND i.expires_at > now() AS is_open"
        " FROM llama_invitations i JOIN llama_users u ON u.id = i.user_id"
        " WHERE u.username = coalesce(%s, u.username) ORDER BY u.username",
        [user],
    )
    return {one.username: one for one in found}


def find(connection: Connection, code: str) -> Invitation:
    """The invitation of this code, which is open.

    Raises:
        InvitationRefused: there is none, it is used or has expired, or its user is deactivated.
    """
    row = None
    if _FORM.fullmatch(code):
        row = connection.execute(
            "SELECT u.username, i.created_at, i.expires_at, i.key_expires_at, i.used_at,"
            " i.expires_at > now(), u.is_active"
            " FROM llama_invitations i JOIN llama_users u ON u.id = i.user_id WHERE i.hash = %s",
            [_hash_of(code)],
        ).fetchone()
    if row is None:
        raise InvitationRefused("there is no such invitation: it may have been replaced by a newer one")
    username, created_at, expires_at, key_expires_at, used_at, is_valid, is_active = row
    if used_at is not None:
        raise InvitationRefused("the invitation has been used: if it was not by you, say so at once")
    if not is_valid:
        raise InvitationRefused("the invitation has expired: ask for a new one")
    if not is_active:
        raise InvitationRefused("the user is deactivated: ask the administrator")
    return Invitation(
        username=username,
        created_at=created_at,
        expires_at=expires_at,
        key_expires_at=key_expires_at,
        used_at=None,
        is_open=True,
    )


def redeem(connection: Connection, code: str) -> tuple[str, IssuedKey]:
    """Make the key of an invitation, and use it up. Returns the user's name and the key.

    Raises:
        InvitationRefused: as `find` does.
    """
    with connection.transaction():
        username = find(connection, code).username
        # The user first, as `invite` does; what is read of the invitation before that may be over.
        connection.execute("SELECT FROM llama_users WHERE username = %s FOR UPDATE", [username])
        invitation = find(connection, code)
        connection.execute(
            "UPDATE llama_invitations SET used_at = now() WHERE hash = %s", [_hash_of(code)]
        )
        return username, users.add_key(connection, username, expires_at=invitation.key_expires_at)


def _hash_of(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
