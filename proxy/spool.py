"""The spool: an append-only file of lines that no death of this process can take back.

A line is in the kernel's hands when `append` returns, so kill -9 loses nothing; a power failure may
lose what the kernel had not written out. Each process writes files of its own, held by a lock, so that
several proxies can share a directory and a successor can tell a dead process's files from a living
one's. What the lines mean is `request_log.py`'s business.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from proxy.ids import new_request_id

logger = logging.getLogger(__name__)

SUFFIX = ".spool"
ROTATE_BYTES = 8 * 2**20


class SpoolFile:
    """One file of the spool, open and locked."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Open and lock a file.

        Raises:
            BlockingIOError: another process holds it.
            FileNotFoundError: another process has loaded and removed it.
        """
        self.path = path
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists():  # removed between our open and our lock
                raise FileNotFoundError(path)
        except BaseException:
            os.close(self._fd)
            raise
        self.size = os.fstat(self._fd).st_size

    def append(self, lines: bytes) -> None:
        """Write whole lines; OSError when the disk is full."""
        written = os.write(self._fd, lines)
        self.size += written
        if written < len(lines):
            raise OSError(f"{self.path}: only {written} of {len(lines)} bytes could be written")

    def read(self, offset: int, length: int) -> bytes:
        """Whole lines from `offset` on, about `length` bytes; a torn last line is left out."""
        chunk = os.pread(self._fd, length, offset)
        end = chunk.rfind(b"\n") + 1
        return chunk[:end]

    def remove(self) -> None:
        """Delete the file: its lines are safe elsewhere."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        os.close(self._fd)


class Spool:
    """This process's end of the spool: the file being written, and full ones not yet loaded."""

    def __init__(self, directory: Path) -> None:
        """Open a new file in the directory, which is made if need be.

        Raises:
            OSError: it cannot be written.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._current = self._new_file()
        self.pending: list[SpoolFile] = []

    @property
    def current(self) -> SpoolFile:
        return self._current

    def _new_file(self) -> SpoolFile:
        return SpoolFile(self._directory / f"{new_request_id().hex}{SUFFIX}", create=True)

    def append(self, line: bytes) -> None:
        """Write a line to the current file."""
        self._current.append(line)

    def rotate(self, still_open: Iterable[bytes]) -> None:
        """Begin a new file with these lines, the admissions that have no end yet.

        OSError, and nothing has changed, when the disk is full.
        """
        new = self._new_file()
        try:
            if carried := b"".join(still_open):
                new.append(carried)
        except OSError:
            new.remove()
            raise
        self.pending.append(self._current)
        self._current = new

    def leftovers(self) -> Iterator[SpoolFile]:
        """The files of processes that have died, oldest first."""
        ours = {self._current.path, *(file.path for file in self.pending)}
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            if path not in ours:
                try:
                    yield SpoolFile(path, create=False)
                except (BlockingIOError, FileNotFoundError):
                    continue
                except OSError as error:
                    # One file of another owner must not keep the others from being loaded.
                    logger.error("a left spool file cannot be read and is passed over: %s", error)

    def close(self) -> None:
        for file in [*self.pending, self._current]:
            file.close()
