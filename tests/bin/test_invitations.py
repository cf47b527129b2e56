"""Invitations on the command line."""

from __future__ import annotations

import re

from tests.bin.conftest import MINUTE, Cli, create


def test_a_link_is_printed_once(cli: Cli) -> None:
    """With how long it is good, and what stands in the way of those who open it."""
    text = cli("invite", "--username", "alice", "--rate-limit", "5", "--valid", "2d")
    assert re.sub("lsi_[A-Za-z0-9_-]{43}", "CODE", re.sub(MINUTE, "TIME", text)) == (
        """\
This link lets the new user alice make a key, once, until TIME.
It is shown this once and stored nowhere:

  http://127.0.0.1:8002/invitation/CODE

The dashboard listens to this machine only: for others, set LLAMA_DASHBOARD_HOST, or put \
the address of your reverse proxy in front of /invitation/.
"""
    )
    assert re.search(f"Invitation  open until {MINUTE}\n", cli("show-user", "--username", "alice"))
    (code,) = re.findall("lsi_[A-Za-z0-9_-]{43}", text)
    assert code not in cli("audit", "--json") + cli("show-user", "--username", "alice", "--json")
    withdrawn = cli("withdraw-invitation", "--username", "alice")
    assert withdrawn == "The invitation of alice is withdrawn: its link is void.\n"
    assert "Invitation  none\n" in cli("show-user", "--username", "alice")


def test_scripts_get_the_link_alone_or_as_json(cli: Cli) -> None:
    """For a user that there is, too."""
    create(cli, "alice")
    assert re.fullmatch(r"http://\S+/invitation/\S+\n", cli("invite", "--username", "alice", "--quiet"))
    made = cli.json("invite", "--username", "alice")
    assert (made["username"], made["is_new_user"]) == ("alice", False)


def test_what_cannot_be_done_says_why(cli: Cli) -> None:
    """Times out of range, a key that would end first, nothing to withdraw."""
    error = cli.error("invite", "--username", "alice", "--valid", "91d", code=2)
    assert "'91d' must be from 1m to 90d" in error
    assert "expire before" in cli.error("invite", "--username", "alice", "--expires", "1d")
    create(cli, "alice")
    assert "no open invitation" in cli.error("withdraw-invitation", "--username", "alice")
