"""Access to the users' database for the console's commands: the front door for runtime/.

`./console.sh chat` gets a key here, and `doctor` looks at the database. runtime/ imports nothing else of
proxy/ (a contract in pyproject.toml).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time

import psycopg
from psycopg import Connection

from proxy.admin import database
from proxy.admin.database import DatabaseUnavailable
from proxy.database import schema
from proxy.database.schema import SchemaError
from proxy.identity import keys, user_errors, users
from runtime.config import Config, ConfigError

__all__ = [
    "AccessError",
    "DatabaseState",
    "DatabaseUnavailable",
    "database_state",
    "is_key",
    "renew_key",
]

NOTIFICATION_TIMEOUT_S = 2.0


class AccessError(Exception):
    """The database did not do what was asked; the text, one line, says why."""


@dataclass(frozen=True, kw_only=True)
class DatabaseState:
    """The result of `database_state`."""

    postgres_version: int
    """The major one."""
    schema_version: int
    """The newest migration; 0 where `schema_problem` says what is wrong."""
    schema_problem: str
    clock_skew_s: float
    """How far the database's clock is from this machine's, in either direction."""
    notifications_arrive: bool
    """False behind a connection pooler in transaction mode, where LISTEN has no effect."""


def is_key(text: str) -> bool:
    """Whether the text has the form of a user's key, its checksum included."""
    return keys.public_id_of(text) is not None


def renew_key(config: Config, *, username: str, old: str, life: timedelta) -> str:
    """Make a new key for a user in place of `old`; the user is created if there is none.

    The user's other keys stay: another checkout on the same database may use them.

    Args:
        config: names the database.
        username: the user who gets the key.
        old: the key to be replaced; empty if there is none.
        life: the time until the new key expires.

    Raises:
        AccessError: the database cannot be used, or refuses.
    """
    expires_at = datetime.now(UTC) + life
    try:
        with database.connect(config) as connection:
            schema.check_schema(connection)
            return _issue(connection, username, keys.public_id_of(old) or "", expires_at)
    except (ConfigError, DatabaseUnavailable, SchemaError, user_errors.UserError) as error:
        raise AccessError(str(error)) from error
    except psycopg.Error as error:
        raise AccessError(str(error).splitlines()[0]) from error


def _issue(connection: Connection, username: str, old: str, expires_at: datetime) -> str:
    with suppress(user_errors.UserExists):
        return users.create_user(connection, username=username, expires_at=expires_at).key
    if old:
        # The user has no such key where it has expired, or where another database is in use now.
        with suppress(user_errors.KeyNotFound):
            return users.rotate_key(connection, username, public_id=old, expires_at=expires_at).key
    return users.add_key(connection, username, expires_at=expires_at).key


def database_state(config: Config) -> DatabaseState:
    """Connect to the database and examine it.

    Raises:
        ConfigError: the embedded database has not been set up yet.
        DatabaseUnavailable: it cannot be reached, or does not let this program in.
    """
    with database.connect(config) as connection:
        version, problem = 0, ""
        try:
            schema.check_schema(connection)
            version = len(schema.known_migrations())
        except SchemaError as error:
            problem = str(error)
        before = time()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        assert row is not None
        return DatabaseState(
            postgres_version=connection.info.server_version // 10_000,
            schema_version=version,
            schema_problem=problem,
            clock_skew_s=max(before - row[0], row[0] - time(), 0.0),
            notifications_arrive=_notifications_arrive(config, connection),
        )


def _notifications_arrive(config: Config, listener: Connection) -> bool:
    """Whether this connection hears of a notification that another one sends."""
    listener.execute("LISTEN llama_doctor")
    with database.connect(config) as sender:
        sender.execute("NOTIFY llama_doctor")
    return any(True for _ in listener.notifies(timeout=NOTIFICATION_TIMEOUT_S, stop_after=1))
