"""The commands for groups of users. Each does one action on the database and returns what to print."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import cast

from psycopg import Connection

from proxy.admin.commands import confirm
from proxy.admin.output import CommandOutput, budget_text, table
from proxy.identity import groups, users
from proxy.identity.groups import Group
from proxy.identity.limits import GROUP_LIMITS, GroupLimits
from proxy.identity.users import UNCHANGED
from runtime.config import Config


def create_group(connection: Connection, config: Config, arguments: Namespace) -> CommandOutput:
    """Create a group."""
    groups.create_group(connection, arguments.name, **_limits_in(arguments))
    return _changed(connection, config, arguments, "Created the group {name}: {limits}.")


def set_group_limits(connection: Connection, config: Config, arguments: Namespace) -> CommandOutput:
    """Set a group's limits."""
    groups.set_group_limits(connection, arguments.name, **_limits_in(arguments))
    return _changed(connection, config, arguments, "The members of {name} share {limits}.")


def delete_group(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Delete a group, after asking."""
    group = groups.get_group(connection, arguments.name)
    if not arguments.yes:
        confirm(f"Delete the group {group.name} of {len(group.members)} users?")
    groups.delete_group(connection, group.name)
    return CommandOutput(data=asdict(group), text=f"Deleted the group {group.name}.")


def list_groups(connection: Connection, config: Config, _arguments: Namespace) -> CommandOutput:
    """List all groups."""
    found = groups.list_groups(connection)
    rows = [(group.name, _limits_text(group, config), ", ".join(group.members)) for group in found]
    text = table(["GROUP", "LIMITS", "MEMBERS"], rows)
    if not rows:
        text = "There are no groups: create-group --name GROUP makes one."
    return CommandOutput(data=[asdict(group) for group in found], text=text)


def set_group(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Put a user into a group."""
    groups.set_group(connection, arguments.username, arguments.name)
    user = users.get_user(connection, arguments.username)
    where = f"is in the group {user.group} now" if user.group else "is in no group now"
    return CommandOutput(data=asdict(user), text=f"{user.username} {where}.")


def _changed(connection: Connection, config: Config, arguments: Namespace, text: str) -> CommandOutput:
    group = groups.get_group(connection, arguments.name)
    return CommandOutput(
        data=asdict(group), text=text.format(name=group.name, limits=_limits_text(group, config))
    )


def _limits_text(group: Group, config: Config) -> str:
    window_s = group.rate_window_seconds or config.number("LLAMA_PROXY_RATE_WINDOW_SECONDS")
    parts = [
        f"{limit} {what} in {window_s:.12g} s"
        for limit, what in ((group.rate_limit, "requests"), (group.token_limit, "tokens"))
        if limit
    ]
    if group.token_budget:
        parts.append(budget_text(group.token_budget, group.budget_period))
    return ", ".join(parts) or "no limits"


def _limits_in(arguments: Namespace) -> GroupLimits:
    """The limits that the command line gives."""
    given = {name: getattr(arguments, name) for name in GROUP_LIMITS}
    return cast("GroupLimits", {key: value for key, value in given.items() if value is not UNCHANGED})
