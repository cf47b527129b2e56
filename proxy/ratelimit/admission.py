"""Decides whether a request is within its user's limits, for requests and for tokens.

Owns the rules that both kinds of `Admitter` share: `local.py` keeps the windows in this process,
`shared.py` keeps them in the database, for several proxies.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from proxy import errors
from proxy.identity.principal import Principal
from proxy.ratelimit.budgets import BudgetState
from proxy.ratelimit.sliding_window import Decision
from proxy.records.record import RequestRecord
from proxy.settings import ProxySettings


class EffectiveLimits(NamedTuple):
    """The limits of one user, with the proxy's defaults filled in."""

    requests: int
    tokens: int | None
    window_s: float


@dataclass(slots=True)
class Admission:
    """The rate-limit decision for one request."""

    requests: Decision
    tokens: Decision | None
    """None if tokens are not limited."""
    entry: object = None
    """Set while the request counts against the limit; `give_back` needs it."""
    of_group: Admission | None = None
    """The decision of the group's windows, if the user's group has any."""
    budgets: Sequence[BudgetState] = ()
    """Only set by `look`."""


class Admitter(Protocol):
    """Keeps the windows of all users."""

    def admit(self, principal: Principal, *, generates: bool) -> Coroutine[Any, Any, Admission]:
        """Count a request in the user's window, unless it is full.

        The token window is looked at only for a request that generates.

        Raises:
            ApiError: 503, the windows cannot be read.
        """

    async def tokens_left(self, principal: Principal) -> Decision | None:
        """State of the token window now, after a wait; None if tokens are not limited."""

    def give_back(self, principal: Principal, admission: Admission) -> None:
        """Undo an admission: the request was refused after all."""

    def charge(self, principal: Principal, record: RequestRecord, *, again: bool = False) -> bool:
        """Count the tokens that an admitted request used. Call it before its turn ends.

        Returns False where tokens are not limited. If the record has not been written then, call it once
        more when it has, with `again`: there may be a limit since.
        """

    async def look(self, principal: Principal) -> Admission:
        """State of the user's windows and budgets. Counts nothing.

        Raises:
            ApiError: 503, the windows cannot be read.
        """


def effective_limits(principal: Principal, settings: ProxySettings) -> EffectiveLimits:
    """The user's limits."""
    return EffectiveLimits(
        principal.rate_limit or settings.rate_limit,
        principal.token_limit or settings.token_limit,
        principal.rate_window_s or settings.rate_window_s,
    )


def limit_error(
    admission: Admission, limits: EffectiveLimits, *, of_group: bool = False
) -> errors.ApiError:
    """The 429 for a request that was not admitted. It describes the window that is full for longer."""
    requests, tokens = admission.requests, admission.tokens
    if tokens is not None and tokens.retry_after_s > requests.retry_after_s:
        return tokens_refused(tokens, limits, of_group=of_group)
    return errors.rate_limited(
        kind="requests",
        limit=limits.requests,
        window_s=limits.window_s,
        retry_after_s=requests.retry_after_s,
        of_group=of_group,
    )


def tokens_refused(
    decision: Decision, limits: EffectiveLimits, *, of_group: bool = False
) -> errors.ApiError:
    """The 429 for a full token window."""
    return errors.rate_limited(
        kind="tokens",
        limit=decision.limit,
        window_s=limits.window_s,
        retry_after_s=decision.retry_after_s,
        of_group=of_group,
    )
