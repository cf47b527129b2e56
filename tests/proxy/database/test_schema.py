"""Migrations, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psycopg
import pytest

from proxy.database import schema
from proxy.database.pool import connect


def tables(url: str) -> set[str]:
    with connect(url, application="tests") as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}


def test_migrations_are_applied_once(empty_database_url: str) -> None:
    """The first run makes the schema, the second finds nothing to do, data stay."""
    names = [name for _, name, _ in schema.known_migrations()]
    with connect(empty_database_url, application="tests") as connection:
        assert schema.migrate(connection) == names
        connection.execute("INSERT INTO llama_users (username) VALUES ('alice')")
        assert schema.migrate(connection) == []
        assert connection.execute("SELECT username FROM llama_users").fetchall() == [("alice",)]
        schema.check_schema(connection)
    assert {"llama_users", "llama_api_keys", "llama_requests"} <= tables(empty_database_url)


def test_several_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    """One does the work, the others wait for it and find it done."""
    together = Barrier(6)

    def migrate(_: int) -> list[str]:
        with connect(empty_database_url, application="tests") as connection:
            together.wait(30)
            return schema.migrate(connection)

    with ThreadPoolExecutor(6) as pool:
        applied = list(pool.map(migrate, range(6)))
    names = [name for _, name, _ in schema.known_migrations()]
    assert sorted(applied) == [[]] * 5 + [names]


def test_a_failing_migration_leaves_nothing(
    empty_database_url: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All or none."""
    (directory / "0001_good.sql").write_text("CREATE TABLE good ()")
    (directory / "0002_bad.sql").write_text("CREATE TABLE bad (no_such_type)")
    monkeypatch.setattr(schema, "MIGRATIONS", directory)
    with connect(empty_database_url, application="tests") as connection:
        with pytest.raises(psycopg.errors.SyntaxError):
            schema.migrate(connection)
        with pytest.raises(schema.SchemaError, match=r"is missing: run .* init-db"):
            schema.check_schema(connection)
    assert tables(empty_database_url) == set()


def test_a_newer_schema_is_refused(database_url: str) -> None:
    """By those that would change it and by those that would use it."""
    with connect(database_url, application="tests") as connection:
        connection.execute("INSERT INTO llama_schema (version, name) VALUES (9999, 'from_the_future')")
        for refuses in (schema.migrate, schema.check_schema):
            with pytest.raises(
                schema.SchemaError, match=r"version 9999, newer than .* update the program"
            ):
                refuses(connection)


def test_an_older_schema_is_told_from_none(
    database_url: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both say how to get it up to date, which then works."""
    for path in schema.MIGRATIONS.glob("*.sql"):
        (directory / path.name).write_text(path.read_text())
    (directory / "0999_more.sql").write_text("CREATE TABLE more ()")
    monkeypatch.setattr(schema, "MIGRATIONS", directory)
    with connect(database_url, application="tests") as connection:
        with pytest.raises(schema.SchemaError, match=r"older than this program's: run .* init-db"):
            schema.check_schema(connection)
        assert schema.migrate(connection) == ["more"]
        schema.check_schema(connection)


def test_old_rows_keep_what_they_were_charged_with(
    empty_database_url: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told usage, the estimate of a stream that told none, and nothing for anything else."""
    migrations = schema.MIGRATIONS
    for path in sorted(migrations.glob("*.sql"))[:3]:
        (directory / path.name).write_text(path.read_text())
    with connect(empty_database_url, application="tests") as connection:
        monkeypatch.setattr(schema, "MIGRATIONS", directory)
        schema.migrate(connection)
        connection.execute(
            "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, admitted,"
            " stream, ttft_ms, request_bytes, response_bytes, prompt_tokens, completion_tokens)"
            " SELECT gen_random_uuid(), now(), 'alice', n, 'POST', '/', true, n > 1,"
            " CASE WHEN n < 3 THEN 1 END, 400, 600, CASE WHEN n = 1 THEN 7 END, NULL"
            " FROM generate_series(1, 3) n"
        )
        monkeypatch.setattr(schema, "MIGRATIONS", migrations)
        assert schema.migrate(connection)[:1] == ["charged_once"]
        charged = connection.execute("SELECT tokens_charged FROM llama_requests ORDER BY user_id")
        assert charged.fetchall() == [(7,), (103,), (0,)]
