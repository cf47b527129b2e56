"""Receives an upload: straight to disk, within bounds on size, number and time.

A file gets its name in the directory when it is whole, and its row after that, so that a process that is
killed leaves at most what `upkeep.py` removes later.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from proxy.edge.request import Request
from proxy.files import errors
from proxy.files.body_stream import BodyStream
from proxy.files.directory import Directory
from proxy.files.form import OVERHEAD_BYTES, UploadForm
from proxy.files.table import new_file_id

logger = logging.getLogger(__name__)

AT_A_TIME = 16
USER_AT_A_TIME = 2
WRITE_BYTES = 2**20
"""So much is gathered in memory before it is written."""
T = TypeVar("T")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that has been received and has no row yet."""

    file_id: str
    filename: str
    size: int
    fields: dict[str, str]


class Uploads:
    """Receives files of at most `limit_bytes`, a few at a time."""

    def __init__(self, directory: Directory, *, limit_bytes: int) -> None:
        self._directory = directory
        self._limit = limit_bytes
        self._by_user: Counter[int] = Counter()
        self.received_bytes = 0
        """Of the uploads under way."""

    async def receive(
        self, request: Request, user_id: int, check_room: Callable[[int], object]
    ) -> Upload:
        """Receive a file. The caller must give it a row, or have the directory abandon it.

        `check_room` is called with the bytes of a file that is growing, and raises if they are too many.

        Raises:
            ApiError: 400, 408, 413 or 503. Nothing is left behind.
        """
        if request.content_length > self._limit + OVERHEAD_BYTES:
            raise errors.file_too_large(self._limit)
        if self._by_user[user_id] >= USER_AT_A_TIME:
            raise errors.too_many_uploads(of_user=True)
        if self._by_user.total() >= AT_A_TIME:
            raise errors.too_many_uploads(of_user=False)
        self._by_user[user_id] += 1
        try:
            return await self._receive(request, check_room)
        finally:
            self._by_user[user_id] -= 1
            self._by_user += Counter()  # drops zeros

    async def _receive(self, request: Request, check_room: Callable[[int], object]) -> Upload:
        received = _Received(self, check_room, limit_bytes=self._limit)
        form = UploadForm(request.headers.get("Content-Type", ""), received.take)
        too_large = errors.file_too_large(self._limit)
        stream = BodyStream(request, limit_bytes=self._limit + OVERHEAD_BYTES, too_large=too_large)
        file_id = new_file_id()
        try:
            await self._blocking(received.begin, self._directory, file_id)
            while piece := await stream.read():
                form.feed(piece)
                if len(received.waiting) >= WRITE_BYTES:
                    await self._write(received)
            form.finish()
            await self._write(received)
            await self._blocking(self._directory.complete, file_id, received.file)
        except BaseException:
            with suppress(OSError):
                self._directory.abandon(file_id, received.file)
            raise
        finally:
            self.received_bytes -= received.size
        assert form.filename is not None
        return Upload(file_id=file_id, filename=form.filename, size=received.size, fields=form.fields)

    async def _write(self, received: _Received) -> None:
        data, received.waiting = received.waiting, bytearray()
        if not await self._blocking(self._directory.has_room, self.received_bytes):
            raise errors.disk_full()
        assert received.file is not None
        await self._blocking(received.file.write, data)

    async def _blocking(self, function: Callable[..., T], *arguments: object) -> T:
        """Call what waits for the disk in a thread, and let it end even if this task is cancelled.

        Raises:
            ApiError: 503, the disk is full or fails.
        """
        work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise
        except OSError as error:
            if error.errno not in _NO_ROOM:
                logger.exception("an uploaded file cannot be written")
            raise errors.disk_full() from error


class _Received:
    """What has come of one file."""

    def __init__(
        self, uploads: Uploads, check_room: Callable[[int], object], *, limit_bytes: int
    ) -> None:
        self.waiting = bytearray()
        """What is not written yet."""
        self.size = 0
        self.file: BinaryIO | None = None
        """Known as soon as it is open, so that it is closed in any case."""
        self._uploads = uploads
        self._check_room = check_room
        self._limit = limit_bytes

    def begin(self, directory: Directory, file_id: str) -> None:
        """Open the file.

        Raises:
            OSError: the directory cannot be written to.
        """
        self.file = directory.begin(file_id)

    def take(self, piece: bytes) -> None:
        """Take a piece of the file.

        Raises:
            ApiError: 413.
        """
        self.size += len(piece)
        self._uploads.received_bytes += len(piece)
        if self.size > self._limit:
            raise errors.file_too_large(self._limit)
        self._check_room(self.size)
        self.waiting += piece
