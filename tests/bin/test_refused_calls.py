"""What the user command line says to calls that it cannot understand or cannot carry out."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.database.pool import connect
from tests.bin.conftest import Cli, create, sealed_environment

NAMED = [
    "show-user",
    "rotate-key",
    "deactivate-user",
    "activate-user",
    "delete-user --yes",
    "set-limits --rate-limit 5",
    "revoke-key --key 0123456789ab",
]


@pytest.mark.parametrize("command", NAMED)
def test_an_unknown_user_is_one_clear_line(cli: Cli, command: str) -> None:
    """Exit code 1."""
    error = cli.error(*command.split(), "--username", "bob")
    assert error == "error: there is no user bob: list-users shows who there is\n"


def test_what_cannot_be_done_is_one_clear_line(cli: Cli) -> None:
    """A name that is taken, one that cannot be, a key that is not there."""
    create(cli, "alice")
    taken = "error: there is a user alice already: rotate-key gives that user a new key\n"
    assert cli.error("create-user", "--username", "alice") == taken
    assert cli.error("create-user", "--username", "no\nway") == (
        "error: 'no\\nway' cannot be a username: use 1 to 64 of A-Z a-z 0-9 . _ @ -, beginning with a "
        "letter or digit\n"
    )
    missing = "error: alice has no key '0123': show-user shows the user's keys\n"
    assert cli.error("revoke-key", "--username", "alice", "--key", "lsk_0123") == missing


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "the following arguments are required: COMMAND; --help lists the commands"),
        ("nonsense", "there is no command 'nonsense'; --help lists the commands"),
        ("list-user", "there is no command 'list-user', did you mean list-users"),
        (
            "create-user bob",
            "the following arguments are required: --username, for example --username alice",
        ),
        ("create-user --username a --rate-limit 0", "'0' must be a whole number from 1 to"),
        ("create-user --username a --rate-limit 1.5", "'1.5' must be a whole number from 1 to"),
        ("create-user --username a --rate-limit default", "'default' must be a whole number"),
        ("create-user --username a --rate-window-seconds 0", "must be a number of seconds from 0.001"),
        ("create-user --username a --expires 2020-01-31", "'2020-01-31' must not be over already"),
        ("create-user --username a --expires 0", "'0' must not be over already"),
        ("create-user --username a --expires soon", "'soon' must be a time such as 30m, 24h or 7d"),
        ("create-user --username a --expires 9999-12-31", "must be a time such as"),
        ("create-user --username a --expires 99999999999d", "must be a time such as"),
        ("create-user --username a --quiet --json", "--quiet and --json exclude each other"),
        ("rotate-key --username a --grace 60", "must be 0 or a time such as 90s, 30m, 24h"),
        ("set-limits --username a", "give one or more of --rate-limit, --rate-window-seconds, --token"),
        ("set-limits --username a --weight 0", "'0' must be a number from 0.01 to 1000"),
        ("set-limits --username a --weight nan", "'nan' must be a number from 0.01 to 1000"),
        ("set-limits --username a --max-concurrent 0", "'0' must be a whole number from 1 to"),
        ("create-user --username a --token-limit -1", "'-1' must be a whole number from 1 to"),
        ("create-user --username a --weight default", "'default' must be a number from"),
        ("usage --by week", "argument --by: invalid choice: 'week'"),
        ("usage --since 7x", "'7x' must be a time such as 30m, 24h or 7d"),
        ("delete-user --username a --ye", "unrecognized arguments: --ye"),
    ],
)
def test_a_call_that_cannot_be_understood(directory: Path, arguments: str, expected: str) -> None:
    """Usage and what is wrong on stderr, exit code 2, no database needed."""
    error = Cli(directory, sealed_environment()).error(*arguments.split(), code=2)
    assert error.startswith("usage: user_management_cli.sh")
    assert expected in error.splitlines()[-1]


def test_a_newer_schema_is_left_alone(cli: Cli, database_url: str) -> None:
    """By every command, init-db included."""
    with connect(database_url, application="tests") as connection:
        connection.execute("INSERT INTO llama_schema (version, name) VALUES (9999, 'later')")
    for command in ("init-db", "list-users"):
        assert cli.error(command).startswith("error: the database's schema has version 9999, newer than")


def test_a_bad_configuration_is_told(cli: Cli) -> None:
    """As everywhere: the key, the value, what is allowed."""
    cli.environment["LLAMA_PROXY_PORT"] = "http"
    expected = "error: environment: LLAMA_PROXY_PORT=http: must be a whole number from 1 to 65535\n"
    assert cli.error("list-users") == expected
