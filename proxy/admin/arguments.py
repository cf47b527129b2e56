"""The commands of the command line, their options, and the checks on the arguments."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import NoReturn

from proxy.admin import commands, groups, invitations, times
from proxy.admin.limit_options import PARSERS
from proxy.identity import keys
from proxy.identity.invitations import DEFAULT_LIFE_S, MAX_LIFE_S
from proxy.identity.limits import GROUP_LIMITS, LIMITS
from proxy.identity.users import UNCHANGED


class WrongUsage(Exception):
    """A command line that cannot be understood. `usage` describes the command."""

    def __init__(self, message: str, usage: str) -> None:
        super().__init__(message)
        self.usage = usage


class Parser(argparse.ArgumentParser):
    """Raises WrongUsage instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        """As argparse calls it."""
        raise WrongUsage(_explained(message), self.format_usage())


def _explained(message: str) -> str:
    """What argparse complains about, with what to write instead."""
    unknown = re.search(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message)
    if unknown:
        near = get_close_matches(unknown[1], re.findall(r"[\w-]+", unknown[2]), n=2, cutoff=0.6)
        meant = f", did you mean {' or '.join(near)}?" if near else ";"
        return f"there is no command '{unknown[1]}'{meant} --help lists the commands"
    if message.endswith("required: COMMAND"):
        return f"{message}; --help lists the commands"
    if message.endswith("required: --username"):
        return f"{message}, for example --username alice"
    return message


Add = Callable[[str, commands.Command, str], Parser]
Parse = Callable[[str], object]
PROGRAM = "user_management_cli.sh"


def parse(argv: list[str], *, now: datetime) -> argparse.Namespace:
    """Parse a command line. With --help the program ends.

    Relative times such as `7d` count from `now`. The result's `run` is the command's function.

    Raises:
        WrongUsage: it is a bad one.
    """
    parser = Parser(
        prog=PROGRAM,
        description="Users of the auth proxy: their keys, limits and usage. All times are UTC.",
        epilog="From another machine: --url URL --admin-key-file FILE before the command sends it to "
        "the proxy at this URL, with the key of an administrator.",
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, run: commands.Command, help_: str) -> Parser:
        sub = subparsers.add_parser(name, help=help_, description=help_, allow_abbrev=False)
        sub.set_defaults(run=run, parser=sub)
        sub.add_argument("--json", action="store_true", help="print JSON, for scripts")
        return sub

    def add_for_user(name: str, run: commands.Command, help_: str) -> Parser:
        sub = add(name, run, help_)
        sub.add_argument("--username", metavar="NAME", required=True)
        return sub

    add("init-db", commands.init_db, "Bring the database's schema up to date.")
    _add_key_commands(add_for_user, now)
    _add_invitations(add_for_user, now)
    add("list-users", commands.list_users, "List all users.")
    _add_user_commands(add_for_user)
    _add_group_commands(add, add_for_user)
    _add_reports(add, now)
    arguments = parser.parse_args(argv)
    _check(arguments)
    return arguments


def _add_key_commands(add: Add, now: datetime) -> None:
    sub = add("create-user", commands.create_user, "Create a user and print the key, once.")
    _add_limits(sub, or_default=False)
    _add_new_key(sub, now, default=None, help_="when the key expires (default: never)")
    sub = add("rotate-key", commands.rotate_key, "Replace the user's keys by a new one.")
    sub.add_argument(
        "--grace",
        metavar="1h",
        type=_parser_of(times.parse_duration),
        default=0.0,
        help="how long the old keys still work (default: 0)",
    )
    sub.add_argument("--key", metavar="PUBLIC_ID", type=_public_id, help="replace this one only")
    help_ = "when the new key expires, or never (default: with the newest one replaced)"
    _add_new_key(sub, now, default=UNCHANGED, help_=help_)
    sub = add("revoke-key", commands.revoke_key, "Revoke one key, at once.")
    sub.add_argument("--key", metavar="PUBLIC_ID", type=_public_id, required=True, help="see show-user")


def _add_invitations(add: Add, now: datetime) -> None:
    help_ = "Print a link with which a user makes a key, once; the user is created if need be."
    sub = add("invite", invitations.invite, help_)
    sub.add_argument(
        "--valid",
        metavar="7d",
        type=_parser_of(invitation_life),
        default=DEFAULT_LIFE_S,
        help="how long the link is good (default: 7d)",
    )
    _add_limits(sub, or_default=True)
    _add_new_key(
        sub, now, default=None, help_="when the key expires (default: never)", printed="the link"
    )
    add("withdraw-invitation", invitations.withdraw_invitation, "Make a user's link void, at once.")


def invitation_life(text: str) -> float:
    """Parse how long an invitation is good into seconds.

    Raises:
        ValueError: it is not allowed; the error says what is.
    """
    seconds = times.parse_duration(text)
    if not 60 <= seconds <= MAX_LIFE_S:
        raise ValueError("must be from 1m to 90d")
    return seconds


def _add_user_commands(add: Add) -> None:
    add("show-user", commands.show_user, "Show a user and the user's keys.")
    add(
        "deactivate-user", commands.deactivate_user, "Deactivate a user: no key works any more, at once."
    )
    add("activate-user", commands.activate_user, "Activate a user again.")
    sub = add("set-admin", commands.set_admin, "Make a user an administrator, who may see everything.")
    sub.add_argument("--revoke", action="store_true", help="an administrator no longer")
    sub = add("delete-user", commands.delete_user, "Delete a user and all keys; records stay.")
    sub.add_argument("--yes", action="store_true", help="do not ask")
    sub = add("set-limits", commands.set_limits, "Set a user's limits and weight.")
    _add_limits(sub, or_default=True)


def _add_group_commands(add: Add, add_for_user: Add) -> None:
    def add_for_group(name: str, run: commands.Command, help_: str) -> Parser:
        sub = add(name, run, help_)
        sub.add_argument("--name", metavar="GROUP", required=True)
        return sub

    sub = add_for_group("create-group", groups.create_group, "Create a group of users.")
    _add_limits(sub, or_default=False, names=GROUP_LIMITS)
    help_ = "Set the limits that a group's members share."
    sub = add_for_group("set-group-limits", groups.set_group_limits, help_)
    _add_limits(sub, or_default=True, names=GROUP_LIMITS)
    add("list-groups", groups.list_groups, "List all groups.")
    sub = add_for_group("delete-group", groups.delete_group, "Delete a group; its members stay.")
    sub.add_argument("--yes", action="store_true", help="do not ask")
    sub = add_for_user("set-group", groups.set_group, "Put a user into a group, or out of any.")
    sub.add_argument("--name", metavar="GROUP", help="the group (default: none)")


def _add_reports(add: Add, now: datetime) -> None:
    sub = add("usage", commands.usage, "Sum up requests, tokens, bytes and latency.")
    _add_range(sub, now, default="7d")
    sub.add_argument("--by", choices=["user", "day"], default="user", help="(default: user)")
    sub = add("audit", commands.audit, "Show who changed which user or key, and how.")
    _add_range(sub, now, default="30d")


def _add_range(sub: Parser, now: datetime, *, default: str) -> None:
    sub.add_argument("--username", "--user", metavar="NAME", help="show this user only")
    sub.add_argument(
        "--since",
        metavar=default,
        type=_parser_of(partial(times.parse_past, now=now)),
        default=default,
        help=f"a time such as 24h, or a date (default: {default})",
    )


def _add_limits(sub: Parser, *, or_default: bool, names: Sequence[str] = LIMITS) -> None:
    """Add the options for these limits, with the ranges of the configuration keys for all users.

    An option that is not given is UNCHANGED.
    """
    for name, metavar, what in (
        ("rate_limit", "N", "requests in any window"),
        ("rate_window_seconds", "S", "the window's length"),
        ("token_limit", "N", "tokens in any window"),
        ("weight", "W", "share of turns relative to other users (a new user has 1)"),
        ("max_concurrent", "N", "requests at the engine at a time"),
        ("token_budget", "N", "tokens in a calendar period"),
        ("batch_limit", "N", "lines of batches in 24 hours"),
        ("budget_period", "P", "day, week or month, which it is if not set"),
    ):
        if name not in names:
            continue
        accepted = PARSERS[name]
        sub.add_argument(
            "--" + name.replace("_", "-"),
            metavar=metavar,
            type=_parser_of(_or_default(accepted) if or_default else accepted),
            default=UNCHANGED,
            help=what + (" (or the word default)" if or_default else ""),
        )


def _add_new_key(
    sub: Parser, now: datetime, *, default: object, help_: str, printed: str = "the key"
) -> None:
    sub.add_argument(
        "--expires",
        metavar="30d",
        type=_parser_of(partial(times.parse_future, now=now)),
        default=default,
        help=help_,
    )
    sub.add_argument("--quiet", action="store_true", help=f"print {printed} and nothing else")


def _parser_of(accepted: Parse) -> Parse:
    """Turn a parser's ValueError, which says what is allowed, into argparse's error."""

    def parse_argument(text: str) -> object:
        try:
            return accepted(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} {error}") from error

    return parse_argument


def _or_default(accepted: Parse) -> Parse:
    return lambda text: None if text == "default" else accepted(text)


def _public_id(text: str) -> str:
    """Accept a public id with or without its prefix, or a whole key that contains it."""
    return keys.public_id_of(text) or text.removeprefix(keys.PREFIX)


def _check(arguments: argparse.Namespace) -> None:
    error = arguments.parser.error
    if arguments.json and getattr(arguments, "quiet", False):
        error("--quiet and --json exclude each other")
    if (
        arguments.command in ("delete-user", "delete-group")
        and not arguments.yes
        and not sys.stdin.isatty()
    ):
        error("there is no terminal to ask on: give --yes")
    names = {"set-limits": LIMITS, "set-group-limits": GROUP_LIMITS}.get(arguments.command, ())
    if names and all(getattr(arguments, name) is UNCHANGED for name in names):
        options = ", ".join("--" + name.replace("_", "-") for name in names)
        error(f"give one or more of {options}")
