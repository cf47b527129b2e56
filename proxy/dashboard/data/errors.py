"""Why a page cannot show or do something: texts that are shown as they are."""

from __future__ import annotations


class DashboardError(Exception):
    """The text tells the reader what is wrong and what to do."""


class NotAllowed(DashboardError):
    """The session has ended, or its user may not do this."""


class Unavailable(DashboardError):
    """The database or the proxy does not answer."""


def session_ended() -> NotAllowed:
    return NotAllowed("You are not logged in any more. Load the page again.")


def admins_only() -> NotAllowed:
    return NotAllowed("Only administrators can do this.")


def database_unavailable() -> Unavailable:
    return Unavailable(
        "The database is out of reach, or has taken too long. Try again, or ask for less."
    )


def overloaded() -> Unavailable:
    return Unavailable("Too many pages ask the database already. Try again in a few seconds.")


def not_read_yet() -> DashboardError:
    return DashboardError("The figures are still being read. Try again when they are shown.")


def live_needs_admin_key() -> Unavailable:
    return Unavailable(
        "Live state needs the administrator's key: LLAMA_ADMIN_KEY in runtime/config.env is empty, or "
        "has been revoked."
    )


def proxy_unavailable() -> Unavailable:
    return Unavailable("The proxy does not answer. ./console.sh status shows what runs.")


def request_not_running() -> DashboardError:
    return DashboardError("This request has ended by itself.")


def batch_ended() -> DashboardError:
    return DashboardError("This batch has ended by itself.")


def too_many_keys(number: int) -> DashboardError:
    return DashboardError(f"You have made {number} keys within a day: ask an administrator for more.")


def bad_field(label: str, text: str) -> DashboardError:
    return DashboardError(f"{label} {text}.")


def conversation_full(number: int) -> DashboardError:
    return DashboardError(f"A conversation has at most {number} messages: Clear begins a new one.")
