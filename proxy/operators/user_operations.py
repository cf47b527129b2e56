"""The operations on users, keys and groups. They call what the user command calls."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from operator import itemgetter
from typing import Any

from psycopg import Connection

from proxy.admin import arguments, client_settings, commands
from proxy.admin.output import to_json
from proxy.identity import groups, invitations, keys, users
from proxy.identity.limits import GROUP_LIMITS, LIMITS
from proxy.identity.users import UNCHANGED, IssuedKey
from proxy.operators import errors, fields
from proxy.operators.fields import DEFAULT_PAGE
from proxy.operators.operation import Call, Operation, page_of


def _list_users(connection: Connection, call: Call) -> object:
    return _by_name(call, users.list_users(connection), "username")


def _by_name(call: Call, found: Iterable[Any], name: str) -> object:
    """A page of what has names in a field, in the order of these."""
    limit, after = call.values.get("limit", DEFAULT_PAGE), call.values.get("after", "")
    rows = sorted((one for one in map(asdict, found) if one[name] > after), key=itemgetter(name))
    return page_of(rows[: limit + 1], limit, itemgetter(name))


def _create_user(connection: Connection, call: Call) -> object:
    with connection.transaction():
        issued = users.create_user(
            connection,
            username=call.values["username"],
            expires_at=call.values.get("expires"),
            **call.given(*LIMITS),
        )
        _set_group_and_rights(connection, call.values["username"], call)
        user = users.get_user(connection, call.values["username"])
    return {"user": asdict(user), **_key(issued)}


def _get_user(connection: Connection, call: Call) -> object:
    return asdict(users.get_user(connection, call.path["username"]))


def _change_user(connection: Connection, call: Call) -> object:
    username = call.path["username"]
    with connection.transaction():
        users.set_limits(connection, username, **call.given(*LIMITS))
        if "is_active" in call.values:
            users.set_active(connection, username, active=call.values["is_active"])
        _set_group_and_rights(connection, username, call)
        return asdict(users.get_user(connection, username))


def _set_group_and_rights(connection: Connection, username: str, call: Call) -> None:
    if "is_admin" in call.values:
        users.set_admin(connection, username, admin=call.values["is_admin"])
    if "group" in call.values:
        groups.set_group(connection, username, call.values["group"])


def _delete_user(connection: Connection, call: Call) -> object:
    users.delete_user(connection, call.path["username"])
    return {"deleted": call.path["username"]}


def _rotate_key(connection: Connection, call: Call) -> object:
    values = call.values
    issued = users.rotate_key(
        connection,
        call.path["username"],
        grace_s=values.get("grace", 0.0),
        public_id=values.get("public_id"),
        expires_at=values.get("expires", UNCHANGED),
    )
    return {**_key(issued), "replaced": list(issued.replaced)}


def _revoke_key(connection: Connection, call: Call) -> object:
    public_id = call.path["public_id"]
    public_id = keys.public_id_of(public_id) or public_id.removeprefix(keys.PREFIX)
    users.revoke_key(connection, call.path["username"], public_id)
    return asdict(users.get_user(connection, call.path["username"]))


def _invite(connection: Connection, call: Call) -> object:
    given = {name: call.values[field] for field, name in _INVITATION if field in call.values}
    issued = invitations.invite(
        connection, username=call.path["username"], **given, **call.given(*LIMITS)
    )
    link = client_settings.invitation_link(call.config, issued.code)
    return {
        "username": issued.username,
        "is_new_user": issued.is_new_user,
        "link": link,
        "expires_at": issued.expires_at,
    }


def _withdraw_invitation(connection: Connection, call: Call) -> object:
    invitations.withdraw(connection, call.path["username"])
    return asdict(users.get_user(connection, call.path["username"]))


def _list_invitations(connection: Connection, call: Call) -> object:
    return _by_name(call, invitations.list_invitations(connection).values(), "username")


def _key(issued: IssuedKey) -> dict[str, Any]:
    return {"key": issued.key, "public_id": issued.public_id, "expires_at": issued.expires_at}


def _list_groups(connection: Connection, call: Call) -> object:
    return _by_name(call, groups.list_groups(connection), "name")


def _create_group(connection: Connection, call: Call) -> object:
    groups.create_group(connection, call.values["name"], **call.given(*GROUP_LIMITS))
    return asdict(groups.get_group(connection, call.values["name"]))


def _get_group(connection: Connection, call: Call) -> object:
    return asdict(groups.get_group(connection, call.path["name"]))


def _change_group(connection: Connection, call: Call) -> object:
    groups.set_group_limits(connection, call.path["name"], **call.given(*GROUP_LIMITS))
    return _get_group(connection, call)


def _delete_group(connection: Connection, call: Call) -> object:
    groups.delete_group(connection, call.path["name"])
    return {"deleted": call.path["name"]}


def _command(connection: Connection, call: Call) -> object:
    line = call.values["arguments"]
    if {"-h", "--help"}.intersection(line) or line[:1] == ["init-db"]:
        raise errors.invalid_field("arguments", "has what can only be done on the server itself")
    try:
        parsed = arguments.parse(line, now=call.now)
    except arguments.WrongUsage as wrong:
        raise errors.invalid_field("arguments", f"is not a command line: {wrong}") from wrong
    run: commands.Command = parsed.run
    output = run(connection, call.config, parsed)
    return {"data": json.loads(to_json(output.data)), "text": output.text}


_USER, _GROUP = "/admin/v1/users/{username}", "/admin/v1/groups/{name}"
_INVITATION = (("valid", "life_s"), ("expires", "key_expires_at"))
_CHANGES = (fields.IS_ADMIN, fields.GROUP, *fields.USER_LIMITS)

OPERATIONS = (
    Operation(method="GET", path="/admin/v1/users", run=_list_users, fields=fields.PAGE,
              summary="List users by name, with their keys."),
    Operation(method="POST", path="/admin/v1/users", run=_create_user, status=201,
              fields=(fields.USERNAME, fields.EXPIRES, *_CHANGES),
              summary="Create a user. The response has the key, which is shown this once."),
    Operation(method="GET", path=_USER, run=_get_user, summary="Show a user."),
    Operation(method="PATCH", path=_USER, run=_change_user, fields=(fields.IS_ACTIVE, *_CHANGES),
              summary="Change what is given: limits, group, rights; or deactivate a user."),
    Operation(method="DELETE", path=_USER, run=_delete_user,
              summary="Delete a user and all keys. Records of requests stay."),
    Operation(method="POST", path=_USER + "/keys", run=_rotate_key, status=201,
              fields=(fields.GRACE, fields.KEY, fields.EXPIRES),
              summary="Make a new key in place of the old ones, or of the one that is named."),
    Operation(method="DELETE", path=_USER + "/keys/{public_id}", run=_revoke_key,
              summary="Revoke a key."),
    Operation(method="POST", path=_USER + "/invitation", run=_invite, status=201,
              fields=(fields.VALID, fields.EXPIRES, *fields.USER_LIMITS),
              summary="Make a link to make a key with, once; the user is created if need be."),
    Operation(method="DELETE", path=_USER + "/invitation", run=_withdraw_invitation,
              summary="Make the link of a user's invitation void."),
    Operation(method="GET", path="/admin/v1/invitations", run=_list_invitations,
              fields=fields.PAGE,
              summary="List each user's last invitation."),
    Operation(method="GET", path="/admin/v1/groups", run=_list_groups, fields=fields.PAGE,
              summary="List groups by name."),
    Operation(method="POST", path="/admin/v1/groups", run=_create_group, status=201,
              fields=(fields.GROUP_NAME, *fields.SHARED_LIMITS), summary="Create a group."),
    Operation(method="GET", path=_GROUP, run=_get_group, summary="Show a group."),
    Operation(method="PATCH", path=_GROUP, run=_change_group, fields=fields.SHARED_LIMITS,
              summary="Change those limits of a group that are given."),
    Operation(method="DELETE", path=_GROUP, run=_delete_group,
              summary="Delete a group. Its members stay."),
    Operation(method="POST", path="/admin/v1/commands", run=_command, fields=(fields.COMMAND,),
              summary="Run a command of user_management_cli.sh, which sends it with --url."),
)  # fmt: skip
