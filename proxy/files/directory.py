"""The directory of uploaded files. One being received has a name of its own until it is whole."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PART = ".part"
ORPHAN_S = 6 * 3600.0
"""A file without a row, or a part of one, that was last written to so long ago belongs to nobody."""
MIN_FREE_BYTES = 2**28
"""The disk has to keep this: the database and the spool of records may be on it too."""


class Directory:
    """Files by their ids. Every method may block for as long as the disk takes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def path_of(self, file_id: str) -> Path:
        """Where the content of a file is."""
        return self._path / file_id

    def has(self, file_id: str) -> bool:
        """Whether its content is here."""
        return self.path_of(file_id).is_file()

    def begin(self, file_id: str) -> BinaryIO:
        """Begin to write a file, which nobody but this user of the machine may read.

        Raises:
            OSError: the directory cannot be written to.
        """
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.fdopen(os.open(self._part(file_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def complete(self, file_id: str, stream: BinaryIO) -> None:
        """Put a file that has been written to disk, under its name."""
        stream.flush()
        os.fsync(stream.fileno())
        stream.close()
        self._part(file_id).rename(self.path_of(file_id))

    def abandon(self, file_id: str, stream: BinaryIO | None = None) -> None:
        """Remove a file, whole or in part; nothing happens if there is none."""
        if stream is not None:
            with suppress(OSError):  # what is still to be written may have no room
                stream.close()
        self._part(file_id).unlink(missing_ok=True)
        self.path_of(file_id).unlink(missing_ok=True)

    def has_room(self, size: int) -> bool:
        """Whether the disk takes so many bytes more, and keeps MIN_FREE_BYTES."""
        place = self._path if self._path.exists() else self._path.parent
        return shutil.disk_usage(place).free - size >= MIN_FREE_BYTES

    def old_ones(self, now: float | None = None) -> list[str]:
        """The ids of files, whole or in part, that were last written ORPHAN_S seconds ago or earlier."""
        limit = (time.time() if now is None else now) - ORPHAN_S
        found = []
        for path in self._path.iterdir() if self._path.is_dir() else ():
            try:
                if path.stat().st_mtime <= limit:
                    found.append(path.name.removesuffix(PART))
            except FileNotFoundError:
                continue  # it has just been deleted
        return found

    def _part(self, file_id: str) -> Path:
        return self._path / (file_id + PART)
