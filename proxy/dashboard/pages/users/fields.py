"""The fields of forms for limits and times, with the ranges of the user command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, cast, get_args

from nicegui import ui

from proxy.admin import times
from proxy.admin.limit_options import PARSERS
from proxy.dashboard.data import errors
from proxy.identity.limits import GroupLimits, Period, UserLimits
from runtime.config import Config

GRACES = {0.0: "at once", 3600.0: "in an hour", 86_400.0: "in a day", 604_800.0: "in a week"}
"""Seconds that an old key works beside a new one."""
_LABELS = {
    "rate_limit": "Requests in a window",
    "rate_window_seconds": "Window in seconds",
    "token_limit": "Tokens in a window",
    "weight": "Weight",
    "max_concurrent": "Requests at a time",
    "token_budget": "Token budget",
    "budget_period": "Budget of a",
    "batch_limit": "Lines of batches a day",
}


class LimitFields:
    """A field for each limit; an empty one means the default.

    It remembers what is stored, so that a form writes nothing but what was changed in it: others may
    change the same user or group while it is open.

    Args:
        config: has the defaults of all users.
        names: which limits.
        values: what is set.
        of_group: they are those of a group, which has no limits by default.
    """

    def __init__(
        self, config: Config, names: Iterable[str], values: dict[str, Any], *, of_group: bool = False
    ) -> None:
        self._names = tuple(names)
        self._stored = {name: _text(values.get(name)) for name in self._names}
        with ui.element("div").classes("form-grid"):
            self._inputs = {
                name: _field(name, self._stored[name], _default(name, config, of_group=of_group))
                for name in self._names
            }

    def changed(self) -> UserLimits:
        """What the fields say that say something else than is stored; None is the default.

        Raises:
            DashboardError: one has a bad value.
        """
        found = {
            name: parsed(_LABELS[name], PARSERS[name], self._typed(name))
            for name in self._names
            if self._typed(name) != self._stored[name]
        }
        return cast("UserLimits", found)

    def show(self, values: dict[str, Any]) -> None:
        """Note what is stored now, and show it in the fields that nobody has changed."""
        for name in self._names:
            text = _text(values.get(name))
            if self._typed(name) == self._stored[name] != text:
                self._inputs[name].value = text or None
            self._stored[name] = text

    def _typed(self, name: str) -> str:
        return str(self._inputs[name].value or "").strip()


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)


def _field(name: str, text: str, default: str) -> ui.input | ui.select:
    if name == "budget_period":
        periods = list(get_args(Period))
        return ui.select(periods, value=text or None, label=_LABELS[name], clearable=True).props(
            'outlined dense hint="default: month" persistent-hint'
        )
    return ui.input(_LABELS[name], value=text).props(
        f'outlined dense inputmode=decimal hint="default: {default}"'
    )


def _default(name: str, config: Config, *, of_group: bool) -> str:
    if name == "weight":
        return "1"
    if name == "rate_window_seconds":
        return config.text("LLAMA_PROXY_RATE_WINDOW_SECONDS")
    keys = {"rate_limit": "LLAMA_PROXY_RATE_LIMIT", "token_limit": "LLAMA_PROXY_TOKEN_LIMIT"}
    if name in keys and not of_group:
        return config.text(keys[name]) or "any number"
    return "any number"


def group_limits(values: UserLimits) -> GroupLimits:
    """The values of fields that are for a group."""
    return cast("GroupLimits", values)


def expiry_field(label: str) -> ui.input:
    """A field for when a key expires."""
    return ui.input(label, placeholder="never").props('outlined dense hint="30d, or 2027-01-31"')


def expiry_of(field: ui.input) -> datetime | None:
    """When the key expires; None: never.

    Raises:
        DashboardError: it is no time in the future.
    """
    found = parsed(
        "The key's end", lambda text: times.parse_future(text, now=datetime.now(UTC)), field.value
    )
    assert found is None or isinstance(found, datetime)
    return found


def parsed(label: str, parse: Callable[[str], object], text: str | None) -> object | None:
    """The value of a field; None for an empty one.

    Raises:
        DashboardError: it has a bad value; the text says what is allowed.
    """
    text = (text or "").strip()
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise errors.bad_field(label, str(error)) from error
