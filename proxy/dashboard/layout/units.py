"""Numbers with their units, as pages show them."""

from __future__ import annotations

import math
from datetime import datetime

NONE = "–"


def count(number: float | None) -> str:
    """12,345."""
    return NONE if number is None else f"{number:,.0f}"


def compact(number: float | None) -> str:
    """1,234 or 12.3 k or 4.5 M."""
    if number is None:
        return NONE
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (size if unit != 'k' else 1e3):.3g} {unit}"
    return f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """12 ms, 1.2 s, 3 min 5 s or 2 h 4 min."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def milliseconds(number: float | None) -> str:
    """The same, of milliseconds."""
    return duration(None if number is None else number / 1000)


def size(number: float | None) -> str:
    """512 bytes, 1.2 kB or 3.4 MB; 1 kB is 1,000 bytes."""
    if number is None:
        return NONE
    if number < 1000:
        return f"{number:.0f} bytes"
    power = min(3, int(math.log10(number)) // 3)
    return f"{number / 1000**power:.3g} {('kB', 'MB', 'GB')[power - 1]}"


def share(part: float, whole: float) -> str:
    """42 %."""
    return NONE if not whole else f"{100 * part / whole:.0f} %"


def iso(at: datetime | str | None) -> str:
    """A time for `<local-time>`, which shows it in the reader's zone."""
    return "" if at is None else at if isinstance(at, str) else at.isoformat()
