"""The command `audit`."""

from __future__ import annotations

import getpass
import re

from tests.bin.conftest import MINUTE, Cli, create


def test_audit_is_a_table(cli: Cli) -> None:
    """Who did what with which program, to users who are gone too; no key is in it."""
    create(cli, "bob")
    key = create(cli, "alice")
    cli("set-limits", "--username", "alice", "--rate-limit", "5", "--weight", "2")
    cli("delete-user", "--username", "alice", "--yes")
    lines = cli("audit", "--username", "alice").splitlines()
    by = f"llamaserve, llamaserve-cli/{getpass.getuser()}"
    assert [re.split(" {2,}", re.sub(MINUTE, "TIME", line)) for line in lines] == [
        ["TIME", "ACTION", "USER OR GROUP", "KEY", "VALUES", "BY (ROLE, PROGRAM)"],
        ["TIME", "create user", "alice", "is_active: true, is_admin: false, weight: 1", by],
        ["TIME", "create key", "alice", key[:16], by],
        ["TIME", "change user", "alice", "rate_limit: null → 5, weight: 1 → 2", by],
        [
            "TIME",
            "delete user",
            "alice",
            "is_active: true, is_admin: false, rate_limit: 5, weight: 2",
            by,
        ],
        ["TIME", "delete key", "alice", key[:16], by],
    ]  # fmt: skip
    assert key not in cli("audit", "--json")


def test_audit_answers_scripts_in_json(cli: Cli) -> None:
    """With values that are values."""
    create(cli, "alice", "--rate-limit", "7")
    changed = cli.json("audit", "--since", "1h")[1]
    assert changed.pop("at") > "2020"
    assert changed.pop("id") > 0
    assert changed == {
        "action": "change user", "username": "alice", "group_name": None, "public_id": None,
        "old": {"rate_limit": None}, "new": {"rate_limit": 7}, "database_role": "llamaserve",
        "application": f"llamaserve-cli/{getpass.getuser()}", "client_address": None,
    }  # fmt: skip


def test_audit_of_nothing(cli: Cli) -> None:
    """No changes is an answer; a name that never was is an error."""
    create(cli, "alice")
    assert re.sub(MINUTE, "TIME", cli("audit", "--since", "0")) == "No changes since TIME.\n"
    assert cli.json("audit", "--since", "0", "--username", "alice") == []
    error = "error: there is no user eve: list-users shows who there is\n"
    assert cli.error("audit", "--username", "eve") == error
