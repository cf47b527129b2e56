"""The commands. Each does one action on the database and returns what to print."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from typing import cast

from psycopg import Connection

from proxy.admin import client_settings
from proxy.admin.limit_options import all_limits_text, limit_text
from proxy.admin.output import CommandOutput, budget_text, change_text, invitation_text, table, time_text
from proxy.database import schema
from proxy.database.audit import changes
from proxy.identity import admin_key, invitations, keys, users
from proxy.identity.limits import LIMITS, UserLimits
from proxy.identity.user_errors import UserError
from proxy.identity.users import UNCHANGED, IssuedKey, User
from proxy.records import reports
from runtime.config import Config

Command = Callable[[Connection, Config, Namespace], CommandOutput]


def init_db(connection: Connection, config: Config, _arguments: Namespace) -> CommandOutput:
    """Bring the schema up to date, and let the database know the administrator of the configuration."""
    applied = schema.migrate(connection)
    text = "The schema is up to date."
    if applied:
        text += f" Applied: {', '.join(applied)}."
    key = config.text("LLAMA_ADMIN_KEY")
    if key:
        try:
            if admin_key.register(connection, key):
                text += f" LLAMA_ADMIN_KEY is the key of the administrator {admin_key.USERNAME} now."
        except UserError as error:  # everything else works without it
            print(f"warning: {error}", file=sys.stderr)
    return CommandOutput(data={"applied": applied}, text=text)


def create_user(connection: Connection, config: Config, arguments: Namespace) -> CommandOutput:
    """Create a user with a key."""
    issued = users.create_user(
        connection,
        username=arguments.username,
        expires_at=arguments.expires,
        **limits_in(arguments),
    )
    user = users.get_user(connection, arguments.username)
    first = f"Created the user {user.username}: {all_limits_text(user, config)}."
    return _key_output(issued, user, config, arguments, [first])


def rotate_key(connection: Connection, config: Config, arguments: Namespace) -> CommandOutput:
    """Replace a user's keys by a new one."""
    issued = users.rotate_key(
        connection,
        arguments.username,
        grace_s=arguments.grace,
        public_id=arguments.key,
        expires_at=arguments.expires,
    )
    user = users.get_user(connection, arguments.username)
    lines = [f"Made a new key for {user.username}."]
    for key in _replaced(issued, user):
        fate = "is revoked" if key.revoked_at else f"works until {time_text(key.expires_at, none='')}"
        lines.append(f"The old key {keys.PREFIX}{key.public_id} {fate}.")
    if not user.is_active:
        lines.append(f"{user.username} is deactivated: the key works after activate-user.")
    return _key_output(issued, user, config, arguments, lines)


def _replaced(issued: IssuedKey, user: User) -> list[users.Key]:
    return [key for key in user.keys if key.public_id in issued.replaced]


def _key_output(
    issued: IssuedKey, user: User, config: Config, arguments: Namespace, lines: list[str]
) -> CommandOutput:
    url = config.proxy_url + "/v1"
    data = {
        "username": user.username,
        "key": issued.key,
        "public_id": issued.public_id,
        "expires_at": issued.expires_at,
        "base_url": url,
        "replaced": [asdict(key) for key in _replaced(issued, user)],
    }
    if arguments.quiet:
        return CommandOutput(data=data, text=issued.key)
    if not config.switch("LLAMA_PROXY_ENABLED"):
        lines.append("The proxy is off (LLAMA_PROXY_ENABLED=0): keys work once it is on.")
    lines += [
        f"The new key expires: {time_text(issued.expires_at, none='never')}.",
        "This is the key. It is shown this once and stored nowhere:",
        "",
        f"  {issued.key}",
        "",
        *client_settings.lines(config, issued.key),
    ]
    return CommandOutput(data=data, text="\n".join(lines))


def list_users(connection: Connection, config: Config, _arguments: Namespace) -> CommandOutput:
    """List all users."""
    found = users.list_users(connection)
    rows = []
    for user in found:
        used = [key.last_used_at for key in user.keys if key.last_used_at]
        active = sum(key.state == "active" for key in user.keys)
        last_used = time_text(max(used, default=None), none="never")
        rows.append(
            (
                user.username,
                _yes_or_no(user.is_active),
                limit_text(user, config),
                f"{user.weight:.12g}",
                user.max_concurrent or "any",
                active,
                last_used,
            )
        )
    headers = ["USERNAME", "ACTIVE", "RATE LIMIT", "WEIGHT", "AT A TIME", "KEYS", "LAST USED"]
    text = table(headers, rows)
    if not rows:
        text = "There are no users yet: create-user --username NAME makes one."
    return CommandOutput(data=[asdict(user) for user in found], text=text)


def show_user(connection: Connection, config: Config, arguments: Namespace) -> CommandOutput:
    """Show one user and the user's keys."""
    user = users.get_user(connection, arguments.username)
    last = invitations.list_invitations(connection, user=user.username).get(user.username)
    rows = [
        (
            keys.PREFIX + key.public_id,
            key.state,
            time_text(key.created_at, none=""),
            time_text(key.expires_at, none="never"),
            time_text(key.last_used_at, none="never"),
        )
        for key in user.keys
    ]
    text = f"""\
Username    {user.username}
Active      {_yes_or_no(user.is_active)}
Admin       {_yes_or_no(user.is_admin)}
Rate limit  {limit_text(user, config)}
Weight      {user.weight:.12g}
At a time   {user.max_concurrent or "as many as the engine takes"}
Budget      {_budget_text(connection, user)}
Group       {user.group or "none"}
Invitation  {invitation_text(last)}
Created     {time_text(user.created_at, none="")}

{table(["KEY", "STATE", "CREATED", "EXPIRES", "LAST USED"], rows)}"""
    return CommandOutput(data=asdict(user), text=text)


def deactivate_user(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Deactivate a user."""
    users.set_active(connection, arguments.username, active=False)
    return _changed(connection, arguments, "is deactivated: no key of theirs works")


def activate_user(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Activate a user again."""
    users.set_active(connection, arguments.username, active=True)
    return _changed(connection, arguments, "is active")


def delete_user(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Remove a user and all keys."""
    user = users.get_user(connection, arguments.username)
    if not arguments.yes:
        confirm(f"Delete {user.username} and all keys? Records stay.")
    users.delete_user(connection, user.username)
    text = f"{user.username} is deleted. The records of their requests stay."
    return CommandOutput(data={"deleted": user.username}, text=text)


def confirm(question: str) -> None:
    """Ask on the terminal.

    Raises:
        UserError: the answer is not yes.
    """
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("not confirmed, nothing was deleted")


def set_limits(connection: Connection, config: Config, arguments: Namespace) -> CommandOutput:
    """Set a user's limits and weight."""
    users.set_limits(connection, arguments.username, **limits_in(arguments))
    user = users.get_user(connection, arguments.username)
    return _changed(connection, arguments, f"may send {all_limits_text(user, config)}")


def set_admin(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Make a user an administrator, or one no longer."""
    users.set_admin(connection, arguments.username, admin=not arguments.revoke)
    what = "is no longer an administrator" if arguments.revoke else "is an administrator now"
    return _changed(connection, arguments, what)


def revoke_key(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Revoke one key."""
    users.revoke_key(connection, arguments.username, arguments.key)
    return _changed(connection, arguments, f"can no longer use the key {keys.PREFIX}{arguments.key}")


def usage(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Report what was used."""
    found = reports.usage(connection, since=arguments.since, by=arguments.by, user=arguments.username)
    if not found and arguments.username is not None:
        users.get_user(connection, arguments.username)
    data = []
    for row in map(asdict, found):
        data.append({arguments.by: row.pop("name"), **row})
    since = time_text(arguments.since, none="")
    headers = "REQUESTS|REFUSED|TOKENS IN|TOKENS OUT|BYTES IN|BYTES OUT|MEDIAN MS|P95 MS".split("|")
    rows = [tuple(row.values()) for row in data]
    text = f"Since {since}\n\n{table([arguments.by.upper(), *headers], rows)}"
    if not rows:
        text = f"No requests since {since}."
    return CommandOutput(data=data, text=text)


def audit(connection: Connection, _config: Config, arguments: Namespace) -> CommandOutput:
    """Report who changed what."""
    found = changes(connection, since=arguments.since, user=arguments.username)
    if not found and arguments.username is not None:
        users.get_user(connection, arguments.username)
    rows = [
        (
            time_text(change.at, none=""),
            change.action,
            change.username or change.group_name or "",
            keys.PREFIX + change.public_id if change.public_id else "",
            change_text(change.old, change.new),
            f"{change.database_role}, {change.application}",
        )
        for change in found
    ]
    text = table(["TIME", "ACTION", "USER OR GROUP", "KEY", "VALUES", "BY (ROLE, PROGRAM)"], rows)
    if not rows:
        text = f"No changes since {time_text(arguments.since, none='')}."
    return CommandOutput(data=[asdict(change) for change in found], text=text)


def _changed(connection: Connection, arguments: Namespace, what: str) -> CommandOutput:
    user = users.get_user(connection, arguments.username)
    return CommandOutput(data=asdict(user), text=f"{user.username} {what}.")


def _budget_text(connection: Connection, user: User) -> str:
    if user.token_budget is None:
        return "any number of tokens"
    used, renewed_at = reports.budget_use(connection, user.username)
    budget = budget_text(user.token_budget, user.budget_period)
    return f"{used} of {budget} used; renewed {time_text(renewed_at, none='')}"


def limits_in(arguments: Namespace) -> UserLimits:
    """The limits that the command line gives."""
    given = {name: getattr(arguments, name) for name in LIMITS}
    return cast("UserLimits", {name: value for name, value in given.items() if value is not UNCHANGED})


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"
