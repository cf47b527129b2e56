"""The spool: append-only files of lines that survive the death of this process.

The kernel has a line when `append` returns, so kill -9 loses nothing. A power failure loses what was
appended since the last `sync`. Each process writes and locks files of its own, so that several proxies
can share a directory, and a successor can tell a dead process's files from a living one's. Leaves the
meaning of the lines to `record_writer.py`.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from proxy.records.request_ids import new_request_id

logger = logging.getLogger(__name__)

SUFFIX = ".spool"
REJECTED = "rejected.lines"
"""Holds the lines that the database does not accept."""
REJECTED_LIMIT_BYTES = 2**24
ROTATE_BYTES = 8 * 2**20
ROTATE_S = 3600.0
"""Older files are replaced too: rows that have been pruned meanwhile must not be loaded again."""
LIMIT_BYTES = 2**30
AHEAD_BYTES = 2**18
"""The file grows by this much at a time, ahead of the lines."""


class SpoolFullError(OSError):
    """The spool has grown to its limit."""


class SpoolFile:
    """One file of the spool, open and locked."""

    def __init__(self, path: Path, *, create: bool, ahead_bytes: int = AHEAD_BYTES) -> None:
        """Open and lock a file.

        Raises:
            BlockingIOError: another process holds it.
            FileNotFoundError: another process has loaded and removed it.
        """
        self.path = path
        flags = os.O_RDWR | os.O_CLOEXEC
        self._fd = os.open(path, flags | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists():  # removed between our open and our lock
                raise FileNotFoundError(path)
        except BaseException:
            os.close(self._fd)
            if create:
                path.unlink(missing_ok=True)
            raise
        self.size = os.fstat(self._fd).st_size
        """Length of the written lines. The open file is preallocated, so zero bytes follow."""
        self._room = self.size
        """Length of the file."""
        self._ahead_bytes = ahead_bytes
        self.loaded = 0
        """Offset up to which its END lines are in the database."""
        self.begun_at = time.monotonic()
        self.unsynced = False

    def append(self, lines: bytes) -> None:
        """Write whole lines.

        Raises:
            OSError: the disk is full, and nothing is written.
        """
        end = self.size + len(lines)
        if end > self._room:
            self._make_room(end)
        written = os.pwrite(self._fd, lines, self.size)
        if written < len(lines):
            # The next line must not follow half a line.
            os.ftruncate(self._fd, self.size)
            self._room = self.size
            raise OSError(f"{self.path}: only {written} of {len(lines)} bytes could be written")
        self.size = end
        self.unsynced = True

    def _make_room(self, end: int) -> None:
        """Make the file longer ahead of its lines: a write that has to do so costs much more."""
        with suppress(OSError):  # when the disk is full, it will say so for the line itself
            self._room += os.pwrite(self._fd, bytes(self._ahead_bytes), self._room)
        self._room = max(self._room, end)

    def patch(self, offset: int, replacement: bytes) -> None:
        """Overwrite part of a line that has been appended."""
        os.pwrite(self._fd, replacement, offset)
        self.unsynced = True

    def read(self, offset: int, length: int) -> bytes:
        """Whole lines from `offset` on, about `length` bytes; a torn last line is left out."""
        chunk = os.pread(self._fd, min(length, self.size - offset), offset)
        end = chunk.rfind(b"\n") + 1
        if not end and len(chunk) == length:
            # A power failure can leave a long stretch that is no line; lines may follow it.
            return self.read(offset, 2 * length)
        return chunk[:end]

    def duplicate(self) -> int:
        """A second descriptor of the file, for a thread: the first may be closed meanwhile."""
        return os.dup(self._fd)

    def remove(self) -> None:
        """Delete the file: its lines are safe elsewhere."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        if self._room > self.size:
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)
        os.close(self._fd)


class Spool:
    """The spool of this process: the file being written, and full ones that are not loaded yet."""

    def __init__(self, directory: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """Open a new file in the directory, which is created if it does not exist.

        `limit_bytes` bounds the files of this process and those of dead ones together.

        Raises:
            OSError: the directory cannot be written.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self.limit_bytes = limit_bytes
        self.rotate_bytes = min(ROTATE_BYTES, limit_bytes // 4)
        self._left_bytes = sum(_size(path) for path in directory.glob(f"*{SUFFIX}"))
        self._name_unsynced = False
        self._current = self._new_file()
        self.pending: list[SpoolFile] = []

    @property
    def current(self) -> SpoolFile:
        return self._current

    @property
    def used_bytes(self) -> int:
        """Bytes that count towards the limit."""
        return self._current.size + self._left_bytes + sum(file.size for file in self.pending)

    def _new_file(self) -> SpoolFile:
        path = self._directory / f"{new_request_id()}{SUFFIX}"
        ahead_bytes = min(AHEAD_BYTES, self.limit_bytes // 64)
        file = SpoolFile(path, create=True, ahead_bytes=ahead_bytes)
        self._name_unsynced = True
        return file

    @property
    def is_due(self) -> bool:
        """True if the current file is loaded, and old or long enough to be replaced."""
        file = self._current
        old = file.loaded > 0 and time.monotonic() - file.begun_at >= ROTATE_S
        return old or file.loaded >= self.rotate_bytes

    def append(self, line: bytes) -> None:
        """Write a line to the current file.

        Raises:
            SpoolFullError: that would exceed the limit.
            OSError: the disk is full.
        """
        current = self._current
        # Without a call of `used_bytes`: files are rarely pending, and this runs for each request.
        used = self.used_bytes if self.pending else current.size + self._left_bytes
        if used + len(line) > self.limit_bytes:
            raise SpoolFullError(f"{self._directory} has its {self.limit_bytes} bytes")
        current.append(line)

    def rotate(self, still_open: Iterable[bytes]) -> None:
        """Begin a new file with these lines, the admissions that have no end yet.

        Raises:
            OSError: the disk is full, and nothing has changed.
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

    def reject(self, line: bytes) -> Path:
        """Keep a line that can never be loaded in a file of its own; return that file's path.

        Raises:
            SpoolFullError: the file has reached REJECTED_LIMIT_BYTES.
            OSError: the file cannot be written.
        """
        path = self._directory / REJECTED
        # Non-blocking: a named pipe in its place must not stop the event loop.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size + len(line) > REJECTED_LIMIT_BYTES:
                raise SpoolFullError(f"{path} has reached {REJECTED_LIMIT_BYTES} bytes")
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
        return path

    async def sync(self) -> None:
        """Flush to disk what was appended: from then on a power failure does not lose it.

        Raises:
            OSError: the disk failed; the next call tries again.
        """
        files = [file for file in (*self.pending, self._current) if file.unsynced]
        sync_name = self._name_unsynced
        if not files and not sync_name:
            return
        # Lines appended while the thread runs set the flags again.
        for file in files:
            file.unsynced = False
        self._name_unsynced = False
        try:
            await asyncio.to_thread(_sync, self._duplicates(files, with_directory=sync_name))
        except OSError:
            for file in files:
                file.unsynced = True
            self._name_unsynced = self._name_unsynced or sync_name
            raise

    def _duplicates(self, files: list[SpoolFile], *, with_directory: bool) -> list[int]:
        """Descriptors for a thread, which closes them: the files may be closed meanwhile."""
        descriptors: list[int] = []
        try:
            if with_directory:
                descriptors.append(os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC))
            descriptors.extend(file.duplicate() for file in files)
        except OSError:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        return descriptors

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

    def leftovers_loaded(self) -> None:
        """Stop counting the files of dead processes towards the limit: they have been removed."""
        self._left_bytes = 0

    def close(self) -> None:
        for file in [*self.pending, self._current]:
            file.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # loaded and removed by another process
        return 0


def _sync(descriptors: list[int]) -> None:
    """Sync and close the descriptors, all of them whatever happens."""
    failure: OSError | None = None
    for descriptor in descriptors:
        try:
            os.fsync(descriptor)
        except OSError as error:
            failure = error
        finally:
            os.close(descriptor)
    if failure is not None:
        raise failure
