"""The user and the key that a request is sent with, and whether the key may be used."""

from __future__ import annotations

from dataclasses import dataclass

from proxy import errors
from proxy.identity.limits import DEFAULT_PERIOD, Period


@dataclass(frozen=True, kw_only=True, slots=True)
class Membership:
    """The group that a user belongs to. Its members share these limits; None: no limit."""

    group_id: int
    name: str
    rate_limit: int | None
    rate_window_s: float | None
    """None: the proxy's default."""
    token_limit: int | None
    token_budget: int | None
    budget_period: Period


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """A user and the one of the user's keys that is used."""

    public_id: str
    key_id: int
    user_id: int
    username: str
    is_active: bool
    revoked: bool
    expires_at: float | None
    """Unix time."""
    rate_limit: int | None
    """Requests in a window; None: the proxy's default. So too for the window's length."""
    rate_window_s: float | None
    token_limit: int | None = None
    """Tokens in a window; None: the proxy's default."""
    weight: float = 1.0
    """The user's share of turns, relative to other users."""
    max_concurrent: int | None = None
    """Requests at the engine at a time; None: as many as it has slots."""
    token_budget: int | None = None
    """Tokens in a period; None: any number."""
    budget_period: Period = DEFAULT_PERIOD
    group: Membership | None = None
    is_admin: bool = False
    """Whether the user may read metrics and use the admin API."""


NOBODY = Principal(
    public_id="", key_id=0, user_id=0, username="", is_active=False, revoked=True, expires_at=None,
    rate_limit=None, rate_window_s=None,
)  # fmt: skip
"""Placeholder principal for logging failed authentication."""


def access_error(principal: Principal, *, now: float, masked: str) -> errors.ApiError | None:
    """Why this key may not be used at the Unix time `now`; None when it may."""
    if principal.revoked:
        return errors.invalid_key(masked)
    if not principal.is_active:
        return errors.user_inactive()
    if principal.expires_at is not None and now >= principal.expires_at:
        return errors.key_expired()
    return None
