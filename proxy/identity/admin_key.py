"""The administrator whose key is in the configuration (LLAMA_ADMIN_KEY).

At each start the database learns the key's hash, unless it has it. What is done to this user or key in
the database stays: a key that has been revoked stays revoked. A new key in the configuration replaces
the old one.
"""

from __future__ import annotations

from psycopg import Connection

from proxy.identity import keys
from proxy.identity.user_errors import UserError

USERNAME = "admin"
LABEL = "LLAMA_ADMIN_KEY"
"""The label of the keys that are from the configuration."""


class AdminKeyError(UserError):
    """The key of the configuration cannot be that of the administrator."""


def register(connection: Connection, key: str) -> bool:
    """Make the key that of the administrator USERNAME, who is created if need be.

    Returns whether anything has changed.

    Raises:
        AdminKeyError: it is no key, it is another one's, or there is a user of this name otherwise.
    """
    public_id = keys.public_id_of(key)
    if public_id is None:
        raise AdminKeyError("LLAMA_ADMIN_KEY is mistyped: its checksum is wrong")
    with connection.transaction():
        row = connection.execute(
            "SELECT hash, label FROM llama_api_keys WHERE public_id = %s", [public_id]
        ).fetchone()
        if row is not None:
            if row[1] != LABEL or not keys.verify_key(key, row[0]):
                raise AdminKeyError(
                    "LLAMA_ADMIN_KEY is the key of another user, or nearly: make a new one"
                )
            return False
        user_id = _administrator(connection)
        connection.execute(
            "UPDATE llama_api_keys SET revoked_at = now()"
            " WHERE user_id = %s AND label = %s AND revoked_at IS NULL",
            [user_id, LABEL],
        )
        connection.execute(
            "INSERT INTO llama_api_keys (user_id, public_id, hash, label) VALUES (%s, %s, %s, %s)",
            [user_id, public_id, keys.hash_of(key), LABEL],
        )
    return True


def _administrator(connection: Connection) -> int:
    """The id of the user USERNAME, whom nobody else may have made."""
    row = connection.execute(
        "INSERT INTO llama_users (username, is_admin) VALUES (%s, true)"
        " ON CONFLICT (username) DO NOTHING RETURNING id",
        [USERNAME],
    ).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT u.id FROM llama_users u WHERE u.username = %s AND EXISTS ("
            "SELECT FROM llama_api_keys k WHERE k.user_id = u.id AND k.label = %s) FOR UPDATE",
            [USERNAME, LABEL],
        ).fetchone()
    if row is None:
        raise AdminKeyError(
            f"there is a user {USERNAME} already, who does not become an administrator by "
            "LLAMA_ADMIN_KEY: use set-admin for a user of your choice, and leave LLAMA_ADMIN_KEY empty"
        )
    return int(row[0])
