"""The schema of the database: checks it and brings it up to date.

Owns the numbered files in `migrations/`. Leaves the queries to the rooms that need them.
"""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
from psycopg import AsyncConnection, Connection

MIGRATIONS = Path(__file__).parent / "migrations"

# Any number of our own will do; it keeps two proxies from applying migrations at once.
_ADVISORY_LOCK = 0x6C6C616D61

_HAS_SCHEMA = "SELECT to_regclass('llama_schema') IS NOT NULL"
_VERSIONS = "SELECT version FROM llama_schema"


class SchemaError(Exception):
    """The database's schema is not this program's; the text says what to do."""


DATABASE_ERRORS = (psycopg.Error, OSError, TimeoutError, SchemaError)
"""Errors of a database that is out of reach, too slow, or has another program's schema."""


def known_migrations() -> list[tuple[int, str, str]]:
    """Number, name and SQL of every migration, in order."""
    found = []
    for path in sorted(MIGRATIONS.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_(\w+)", path.stem)
        assert match, f"{path.name}: a migration is named NNNN_what_it_does.sql"
        found.append((int(match[1]), match[2], path.read_text()))
    return found


def migrate(connection: Connection) -> list[str]:
    """Apply the migrations that are missing, all or none; return their names.

    Safe to run twice and by several at once.

    Raises:
        SchemaError: the database has migrations that this program does not know.
    """
    applied = []
    known = known_migrations()
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS llama_schema (version int PRIMARY KEY, name text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied_before = _versions(connection)
        _refuse_newer(applied_before)
        for number, name, sql in known:
            if number not in applied_before:
                connection.execute(sql.encode())
                connection.execute(
                    "INSERT INTO llama_schema (version, name) VALUES (%s, %s)", [number, name]
                )
                applied.append(name)
    return applied


def check_schema(connection: Connection) -> None:
    """Make sure that the schema is the one this program knows.

    Raises:
        SchemaError: it is missing, older or newer.
    """
    row = connection.execute(_HAS_SCHEMA).fetchone()
    _refuse_other(_versions(connection) if row and row[0] else set())


async def check_schema_async(connection: AsyncConnection) -> None:
    """The same on an asynchronous connection."""
    row = await (await connection.execute(_HAS_SCHEMA)).fetchone()
    versions: set[int] = set()
    if row and row[0]:
        cursor = await connection.execute(_VERSIONS)
        versions = {version for (version,) in await cursor.fetchall()}
    _refuse_other(versions)


def _versions(connection: Connection) -> set[int]:
    return {version for (version,) in connection.execute(_VERSIONS)}


def _refuse_other(versions: set[int]) -> None:
    _refuse_newer(versions)
    if {number for number, _, _ in known_migrations()} - versions:
        state = "older than this program's" if versions else "missing"
        raise SchemaError(f"the database's schema is {state}: run ./bin/user_management_cli.sh init-db")


def _refuse_newer(versions: set[int]) -> None:
    known = {number for number, _, _ in known_migrations()}
    if unknown := versions - known:
        raise SchemaError(
            f"the database's schema has version {max(unknown)}, newer than this program's {max(known)}: "
            "update the program, or restore a backup"
        )
