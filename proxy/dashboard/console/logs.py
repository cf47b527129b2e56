"""The last lines of the parts' logs, and what is added to them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PARTS = ("proxy", "server", "dashboard", "postgres", "supervisord", "install")
FIRST_BYTES = 32_768
MAX_BYTES = 65_536
"""What one look takes in: beyond it, the oldest lines are left out."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a reader is in a log: which file it was, and the next byte."""

    inode: int = 0
    offset: int = 0


def read(log_dir: Path, part: str, place: Place | None = None) -> tuple[list[str], Place]:
    """The whole lines that were added since `place`, or the last ones; and the place after them.

    A log that has been rotated is read from its beginning.

    Raises:
        ValueError: there is no such part.
    """
    if part not in PARTS:
        raise ValueError(f"{part!r} is none of {', '.join(PARTS)}")
    try:
        with (log_dir / f"{part}.log").open("rb") as log:
            status = os.fstat(log.fileno())
            start = _start(status, place)
            log.seek(start)
            content = log.read(MAX_BYTES)
    except OSError:
        return [], Place()
    if start > 0 and (place is None or start != place.offset):
        # It begins within a line.
        cut = content.find(b"\n") + 1
        start, content = start + cut, content[cut:]
    end = content.rfind(b"\n") + 1
    if not end and len(content) == MAX_BYTES:
        end = MAX_BYTES
    lines = content[:end].decode("utf-8", "replace").splitlines()
    return lines, Place(inode=status.st_ino, offset=start + end)


def _start(status: os.stat_result, place: Place | None) -> int:
    if place is None:
        return max(0, status.st_size - FIRST_BYTES)
    is_same = place.inode == status.st_ino and place.offset <= status.st_size
    return max(place.offset if is_same else 0, status.st_size - MAX_BYTES)
