"""Checks of the machine: disk space, open files, the spool, the clock."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from runtime.doctor.findings import Finding, Installation, ok, problem, warning

_RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""The program is not older than this: a clock that shows an earlier time is wrong."""
_SHORT_BYTES = 2**30
"""The logs take up to 180 MB, the database and its journal a few hundred."""
_FULL_BYTES = 100 * 2**20
_MUCH_SPOOLED_BYTES = 2 * 8 * 2**20
"""A spool file is removed when it has reached 8 MB and all of it is loaded."""
NEEDED_OPEN_FILES = 1024
"""supervisord refuses to start with fewer (OPEN_FILES in runtime/supervisor/processes.sh)."""
_KEPT_OPEN_FILES = 256
"""Open files of the proxy that are not clients' connections, generously counted."""


def disk(checkout: Installation) -> Iterator[Finding]:
    """There is enough disk space for the data and the logs."""
    places = {"logs": checkout.root / "runtime/logs"}
    places["data"] = checkout.config.data_dir if checkout.config else checkout.root / "runtime/data"
    for name, place in places.items():
        free = shutil.disk_usage(_existing(place)).free
        text = f"{free / 2**30:.1f} GB are free for the {name} in {place}"
        if free < _FULL_BYTES:
            yield problem(text, "free some disk space: nothing can be recorded on a full disk")
        elif free < _SHORT_BYTES:
            yield warning(text, "free some disk space")
        else:
            yield ok(text)


def open_files(checkout: Installation) -> Iterator[Finding]:
    """A program started from this session may open enough files."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = NEEDED_OPEN_FILES
    if checkout.config and checkout.config.switch("LLAMA_PROXY_ENABLED"):
        # Each client's connection may need a second one to the engine.
        wanted = max(
            wanted, 2 * checkout.config.integer("LLAMA_PROXY_MAX_CONNECTIONS") + _KEPT_OPEN_FILES
        )
    if limit == resource.RLIM_INFINITY or limit >= wanted:
        yield ok(f"a program may open enough files ({wanted} are needed)")
        return
    text = f"a program started here may open {limit} files; {wanted} are needed"
    remedy = f"ulimit -n {wanted} before the start (systemd: LimitNOFILE={wanted})"
    if limit < NEEDED_OPEN_FILES:
        yield problem(text, remedy)
    else:
        yield warning(f"{text} for LLAMA_PROXY_MAX_CONNECTIONS", remedy)


def spool(checkout: Installation) -> Iterator[Finding]:
    """The request records reach the database."""
    folder = checkout.known.data_dir / "spool"
    try:
        sizes = {path: path.stat().st_size for path in folder.iterdir()}
    except OSError:  # it does not exist before the first start, and its files come and go
        return
    rejected = sizes.pop(folder / "rejected.lines", 0)
    waiting = sum(sizes.values())
    text = f"{waiting / 2**20:.1f} MB of request records wait in the spool"
    if waiting > _MUCH_SPOOLED_BYTES:
        yield warning(
            f"{text}: they are not loaded into the database", "./console.sh logs proxy shows why"
        )
    else:
        yield ok(text)
    if rejected:
        yield warning(
            f"{folder / 'rejected.lines'} has {rejected} bytes of records that the database rejected",
            "./console.sh logs proxy shows why; remove the file when you do not need it",
        )


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def clock(_checkout: Installation) -> Iterator[Finding]:
    """The clock does not show a time before this program's release."""
    now = datetime.now(UTC)
    if now < _RELEASED:
        yield problem(
            f"the clock shows {now:%Y-%m-%d %H:%M} UTC, which is before this program was released",
            "set the clock: records, rate limits and the expiry of keys depend on it",
        )
    else:
        yield ok(f"the clock shows {now:%Y-%m-%d %H:%M} UTC ({time.tzname[0]} here)")
