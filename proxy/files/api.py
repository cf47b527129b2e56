"""Answers `/v1/files`."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any

import orjson
from psycopg_pool import AsyncConnectionPool

from proxy.database.schema import DATABASE_ERRORS
from proxy.edge.body import check_body
from proxy.edge.slow_clients import SlowClients
from proxy.errors import method_not_allowed, unknown_url
from proxy.exchange import Exchange
from proxy.files import contents, errors
from proxy.files.directory import Directory
from proxy.files.paging import after_of, as_list, limit_of, query_of
from proxy.files.table import FileTable, Row, StorageLimits
from proxy.files.uploads import Upload, Uploads
from proxy.settings import ProxySettings

logger = logging.getLogger(__name__)

FILES = "/v1/files"
MAX_PAGE = 10_000
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MIN_KEEP_S = 3600


class Files:
    """All users' files. Each user sees the own ones only."""

    def __init__(
        self, settings: ProxySettings, pool: AsyncConnectionPool, slow_clients: SlowClients
    ) -> None:
        self.directory = Directory(settings.files_dir)
        limits = StorageLimits(of_user=settings.user_files_bytes, of_all=settings.files_bytes)
        self.table = FileTable(pool, limits)
        self._pool = pool
        self._uploads = Uploads(self.directory, limit_bytes=settings.file_max_bytes)
        self._user_limit = settings.user_files_bytes
        self._retention_s = settings.files_retention_s
        self._max_file_bytes = settings.file_max_bytes
        self._slow_clients = slow_clients

    async def answer(self, exchange: Exchange) -> bytes | None:
        """The JSON of the response; None where the response has been sent.

        Raises:
            ApiError: the request is refused.
            one of DATABASE_ERRORS.
            ConnectionError: the client has gone.
        """
        request, user_id = exchange.request, exchange.principal.user_id
        method, path = request.method, request.path
        file_id, _, rest = path.removeprefix(FILES).lstrip("/").partition("/")
        if not file_id:
            if method == "POST":
                return await self._upload(exchange)
            if method == "GET":
                check_body(request, 0)
                return await self._list(exchange)
            raise method_not_allowed(method, path, "GET, POST")
        if not _ID.fullmatch(file_id) or rest not in ("", "content"):
            raise unknown_url(method, path)
        if method == "GET" and rest:
            await self._send_content(exchange, await self.table.get(user_id, file_id))
            return None
        if method == "GET":
            return orjson.dumps(described(await self.table.get(user_id, file_id)))
        if method == "DELETE" and not rest:
            await self.table.delete(user_id, file_id)
            self.directory.abandon(file_id)
            return orjson.dumps({"id": file_id, "object": "file", "deleted": True})
        raise method_not_allowed(method, path, "GET" if rest else "GET, DELETE")

    async def _list(self, exchange: Exchange) -> bytes:
        query = query_of(exchange.request.target, ("purpose", "after", "limit", "order"))
        limit = limit_of(query, default=MAX_PAGE, most=MAX_PAGE)
        if query.get("order", "desc") not in ("asc", "desc"):
            raise errors.bad_query("order", "must be asc or desc")
        rows = await self.table.list_files(
            exchange.principal.user_id,
            purpose=query.get("purpose") or None,
            after=after_of(query),
            limit=limit + 1,
            newest_first=query.get("order") != "asc",
        )
        return as_list([described(row) for row in rows], limit)

    async def _upload(self, exchange: Exchange) -> bytes:
        request, user_id = exchange.request, exchange.principal.user_id
        check_body(request, max(self._max_file_bytes, request.content_length))
        await self.table.check_room(user_id, 0)
        upload = await self._uploads.receive(request, user_id, self._check_size)
        if exchange.record is not None:
            exchange.record.request_bytes = upload.size
        try:
            row = await self._insert(upload, user_id)
        except BaseException:
            with suppress(OSError):
                self.directory.abandon(upload.file_id)
            raise
        return orjson.dumps(described(row))

    def _check_size(self, size: int) -> None:
        """Refuse a growing file that no user may have."""
        if size > self._user_limit:
            raise errors.no_room(self._user_limit, of_user=True)

    async def _insert(self, upload: Upload, user_id: int) -> Row:
        fields = dict(upload.fields)
        purpose = fields.pop("purpose", None)
        if purpose is None:
            raise errors.missing_field("purpose")
        if purpose != "batch":
            raise errors.bad_field("purpose", "must be batch")
        if fields.pop("expires_after[anchor]", "created_at") != "created_at":
            raise errors.bad_field("expires_after[anchor]", "must be created_at")
        seconds = fields.pop("expires_after[seconds]", str(int(self._retention_s)))
        if not re.fullmatch("[0-9]{1,12}", seconds) or int(seconds) < _MIN_KEEP_S:
            raise errors.bad_field("expires_after[seconds]", f"must be at least {_MIN_KEEP_S}")
        for name in fields:
            raise errors.bad_field(name, "is not known here; there are purpose, file and expires_after")
        return await self.table.insert(
            upload.file_id,
            user_id=user_id,
            filename=upload.filename,
            size=upload.size,
            keep_s=min(float(seconds), self._retention_s),
        )

    async def _send_content(self, exchange: Exchange, row: Row) -> None:
        if row["purpose"] == "batch":
            pieces, length = contents.of_upload(self.directory, row["id"]), row["bytes"]
        else:  # it may grow meanwhile
            pieces = contents.of_results(self._pool, exchange.principal.user_id, row["id"])
            length = None
        try:
            first = await anext(pieces, b"")
        except FileNotFoundError as error:
            raise errors.elsewhere(row["id"]) from error
        response = exchange.response
        lines = b"Content-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n"
        response.begin(200, b"OK", lines + exchange.headers(), length=length)
        response.status_code = 200
        try:
            response.write(first)
            response.response_bytes += len(first)
            await self._send(exchange, pieces)
        except (OSError, *DATABASE_ERRORS) as error:
            if isinstance(error, ConnectionError):
                raise
            logger.warning("a file's content cannot be read to its end: %s", error)
            response.break_off()
            raise ConnectionResetError from error
        response.end()

    async def _send(self, exchange: Exchange, pieces: AsyncIterator[bytes]) -> None:
        response = exchange.response
        wait = partial(self._slow_clients.wait_for_room, response, exchange.principal.user_id)
        await wait()
        async for piece in pieces:
            response.write(piece)
            response.response_bytes += len(piece)
            await wait()


def described(row: Row) -> dict[str, Any]:
    """OpenAI's file object."""
    return {**row, "object": "file", "status": "processed", "status_details": None}
