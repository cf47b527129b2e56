"""Output as tables for people and as JSON for scripts. All times are UTC."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.identity.invitations import Invitation
from proxy.identity.limits import DEFAULT_PERIOD

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class CommandOutput:
    """What a command prints: `data` with --json, else `text`."""

    data: object
    text: str


def to_json(data: object) -> str:
    """Indented JSON; times in ISO 8601."""
    return json.dumps(data, indent=2, ensure_ascii=False, default=_json_time)


def _json_time(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return value.astimezone(UTC).isoformat(timespec="seconds")


def time_text(moment: datetime | None, *, none: str) -> str:
    """A time to the minute; the text `none` if there is no time."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else none


def budget_text(tokens: int, period: str | None) -> str:
    """A budget in words."""
    return f"{tokens} tokens a {period or DEFAULT_PERIOD}"


def invitation_text(last: Invitation | None) -> str:
    """The state of a user's last invitation."""
    if last is None:
        return "none"
    if last.used_at is not None:
        return f"used {time_text(last.used_at, none='')}"
    return f"{'open until' if last.is_open else 'expired'} {time_text(last.expires_at, none='')}"


def change_text(old: dict[str, object], new: dict[str, object]) -> str:
    """`name: old → new` for each value that changed, or one value if it was added or removed."""
    texts = []
    for name in sorted(old | new):
        sides = [json.dumps(side[name], ensure_ascii=False) for side in (old, new) if name in side]
        texts.append(f"{name}: {' → '.join(sides)}")
    return ", ".join(texts)


def table(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Columns as wide as their content; numbers to the right, None as a dash."""
    lines = [list(headers), *([_cell_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [
        bool(rows) and not any(isinstance(cell, str) for cell in col) for col in zip(*rows, strict=True)
    ]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right or [False] * len(widths), strict=True)
        ).rstrip()
        for line in lines
    )


def _cell_text(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.0f}" if isinstance(cell, float) else str(cell)
