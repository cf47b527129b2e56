"""The commands for invitations. Each does one action on the database and returns what to print."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from psycopg import Connection

from proxy.admin import client_settings
from proxy.admin.commands import limits_in
from proxy.admin.output import CommandOutput, time_text
from proxy.identity import invitations, users
from runtime.config import Config


def invite(connection: Connection, config: Config, arguments: Namespace) -> CommandOutput:
    """Make an invitation, for a new user or one that there is."""
    issued = invitations.invite(
        connection,
        username=arguments.username,
        life_s=arguments.valid,
        key_expires_at=arguments.expires,
        **limits_in(arguments),
    )
    link = client_settings.invitation_link(config, issued.code)
    data = {
        "username": issued.username,
        "is_new_user": issued.is_new_user,
        "link": link,
        "expires_at": issued.expires_at,
    }
    if arguments.quiet:
        return CommandOutput(data=data, text=link)
    who = "the new user" if issued.is_new_user else "the user"
    lines = [
        f"This link lets {who} {issued.username} make a key, once, until "
        f"{time_text(issued.expires_at, none='')}.",
        "It is shown this once and stored nowhere:",
        "",
        f"  {link}",
    ]
    if hint := client_settings.dashboard_hint(config):
        lines += ["", hint]
    return CommandOutput(data=data, text="\n".join(lines))


def withdraw_invitation(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Take an invitation back."""
    invitations.withdraw(connection, arguments.username)
    user = users.get_user(connection, arguments.username)
    return CommandOutput(
        data=asdict(user), text=f"The invitation of {user.username} is withdrawn: its link is void."
    )
