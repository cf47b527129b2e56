"""What the user command line says when the database is out of reach: one line, never a password."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.bin.conftest import Cli, sealed_environment
from tests.support.postgres import Postgres


def test_an_embedded_database_that_was_never_set_up(directory: Path) -> None:
    """Names the command."""
    cli = Cli(directory, sealed_environment(LLAMA_DATA_DIR=str(directory)))
    expected = (
        "error: the embedded database is not set up yet: run ./console.sh start, or, for one that is "
        "elsewhere, set LLAMA_SERVER_DATABASE_URL\n"
    )
    assert cli.error("list-users") == expected


def test_an_embedded_database_that_is_stopped(directory: Path) -> None:
    """Says how to start it; while it runs, the same configuration works."""
    with Postgres() as server:
        cli = Cli(directory, sealed_environment(LLAMA_DATA_DIR=str(server.directory)))
        cli("init-db")
        assert cli.json("list-users") == []
        server.stop()
        assert cli.error("list-users") == (
            "error: the embedded database cannot be used (No such file or directory): "
            "start it with ./console.sh start\n"
        )


def test_a_database_of_one_s_own_that_does_not_run(directory: Path, unused_tcp_port: int) -> None:
    """Host, port and where they were configured."""
    port = str(unused_tcp_port)
    cli = Cli(
        directory,
        sealed_environment(
            POSTGRES_AUTH_HOST="127.0.0.1", POSTGRES_AUTH_PORT=port, POSTGRES_AUTH_PASSWORD="hush"
        ),
    )
    assert cli.error("list-users") == (
        f"error: the database at host 127.0.0.1, port {port}, cannot be used (Connection refused): "
        "check POSTGRES_AUTH_* in .env, and that it runs (docker compose up -d starts the one of "
        "compose.yaml)\n"
    )
    cli.environment = sealed_environment(
        LLAMA_SERVER_DATABASE_URL=f"postgresql://alice:hush@127.0.0.1:{port}/x"
    )
    assert cli.error("list-users") == (
        f"error: the database at host 127.0.0.1, port {port}, cannot be used (Connection refused): "
        "check LLAMA_SERVER_DATABASE_URL, and that it runs\n"
    )


def test_a_wrong_password(directory: Path, database_url: str) -> None:
    """PostgreSQL's own reason, and not the password."""
    parts = urlsplit(database_url)
    _, _, place = parts.netloc.rpartition("@")
    url = parts._replace(netloc=f"{parts.username}:hush@{place}").geturl()
    error = Cli(directory, sealed_environment(LLAMA_SERVER_DATABASE_URL=url)).error("list-users")
    assert f'password authentication failed for user "{parts.username}"' in error
    assert "hush" not in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "password", ["hu@sh", "hu/sh", "hu:sh@", "12/sh", "hu?sh", "hu#sh", "hu%sh", "hu sh", "[sh"]
)
def test_a_password_that_should_have_been_escaped(directory: Path, password: str) -> None:
    """libpq takes a part of it for host, port or database: none of it may be shown."""
    url = f"postgresql://alice:{password}@db.invalid:5432/x"
    error = Cli(directory, sealed_environment(LLAMA_SERVER_DATABASE_URL=url)).error("list-users")
    assert "LLAMA_SERVER_DATABASE_URL" in error
    assert "hu" not in error
    assert "sh@" not in error
    assert len(error.splitlines()) == 1
