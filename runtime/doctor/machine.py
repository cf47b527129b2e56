"""What the machine has: room on its disks, what waits there, and a clock that is right."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from runtime.doctor.findings import Finding, Installation, ok, problem, warning

_RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""The program is not older: a clock that is before it is wrong."""
_SHORT_BYTES = 2**30
"""The logs may take 180 MB, the database and its journal some hundred."""
_FULL_BYTES = 100 * 2**20
_MUCH_SPOOLED_BYTES = 2 * 8 * 2**20
"""A file of the spool is put away when it has 8 MB and all of it is loaded."""


def disk(there: Installation) -> Iterator[Finding]:
    """There is room for the data and the logs."""
    places = {"logs": there.root / "runtime/logs"}
    places["data"] = there.config.data_dir if there.config else there.root / "runtime/data"
    for name, place in places.items():
        free = shutil.disk_usage(_existing(place)).free
        text = f"{free / 2**30:.1f} GB are free for the {name} in {place}"
        if free < _FULL_BYTES:
            yield problem(text, "make room: nothing can be recorded on a full disk")
        elif free < _SHORT_BYTES:
            yield warning(text, "make room")
        else:
            yield ok(text)


def spool(there: Installation) -> Iterator[Finding]:
    """The request records have gone to the database."""
    folder = there.known.data_dir / "spool"
    try:
        sizes = {path: path.stat().st_size for path in folder.iterdir()}
    except OSError:  # it is not there before the first start, and its files come and go
        return
    rejected = sizes.pop(folder / "rejected.lines", 0)
    waiting = sum(sizes.values())
    text = f"{waiting / 2**20:.1f} MB of request records lie in the spool"
    if waiting > _MUCH_SPOOLED_BYTES:
        yield warning(f"{text}: the database does not take them", "./console.sh logs proxy shows why")
    else:
        yield ok(text)
    if rejected:
        yield warning(
            f"{folder / 'rejected.lines'} has {rejected} bytes of records that could not be loaded",
            "./console.sh logs proxy shows why; remove the file when it is not needed",
        )


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def clock(_there: Installation) -> Iterator[Finding]:
    """It does not stand before the program's own release."""
    now = datetime.now(UTC)
    if now < _RELEASED:
        yield problem(
            f"the clock says {now:%Y-%m-%d %H:%M} UTC, which is before this program was made",
            "set it; records, limits and keys' ends go by it",
        )
    else:
        yield ok(f"the clock says {now:%Y-%m-%d %H:%M} UTC ({time.tzname[0]} here)")
