"""How a request can fail at an engine, for those who decide whether it is sent again."""

from __future__ import annotations

from proxy import errors


class UpstreamFailedError(Exception):
    """The engine failed after it may have received the request; `error` is to be sent to the client."""

    def __init__(self, error: errors.ApiError, *, broke_off: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.broke_off = broke_off
        """Whether the connection broke off: another backend might respond."""


class EngineAwayError(Exception):
    """The engine cannot be reached and has not received the request: it may be sent again."""


class EngineBusyError(Exception):
    """One of several engines has no room for the request, which may be sent to another."""
