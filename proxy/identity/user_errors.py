"""Errors of actions on users and keys. The text of each, one line, says why and what to do."""

from __future__ import annotations


class UserError(Exception):
    """An action that cannot be done; the text, one line, says why and what to do."""


class InvalidUsername(UserError):
    """No user can have this name."""

    def __init__(self, username: str) -> None:
        super().__init__(
            f"{username!r} cannot be a username: use 1 to 64 of A-Z a-z 0-9 . _ @ -, beginning with a "
            "letter or digit"
        )


class UserExists(UserError):
    """The username is taken."""

    def __init__(self, username: str) -> None:
        super().__init__(f"there is a user {username} already: rotate-key gives that user a new key")


class UserNotFound(UserError):
    """No user has this username."""

    def __init__(self, username: str) -> None:
        super().__init__(f"there is no user {username}: list-users shows who there is")


class InvalidGroupName(UserError):
    """No group can have this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot be a group's name: use 1 to 64 of A-Z a-z 0-9 . _ @ -, beginning with a "
            "letter or digit"
        )


class GroupExists(UserError):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a group {name} already: set-group-limits changes its limits")


class GroupNotFound(UserError):
    """No group has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no group {name}: list-groups shows which there are")


class KeyNotFound(UserError):
    """The user has no such key."""

    def __init__(self, username: str, public_id: str) -> None:
        super().__init__(f"{username} has no key {public_id!r}: show-user shows the user's keys")


class InvitationNotFound(UserError):
    """The user has no open invitation."""

    def __init__(self, username: str) -> None:
        super().__init__(f"{username} has no open invitation: show-user shows the last one")


class InvitationRefused(UserError):
    """An invitation cannot be made or used."""
