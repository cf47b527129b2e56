"""Answers `/v1/batches`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from proxy.batches import errors
from proxy.batches.table import BatchTable, NewBatch, described
from proxy.edge.body import Body, BodyMemory, check_body
from proxy.errors import method_not_allowed, unknown_url
from proxy.exchange import Exchange
from proxy.files.errors import bad_field, missing_field
from proxy.files.paging import after_of, as_list, limit_of, query_of

BATCHES = "/v1/batches"
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
MAX_BODY_BYTES = 65_536
MAX_PAGE, DEFAULT_PAGE = 100, 20
MAX_WINDOW_S = 14 * 86_400
_METADATA = 16, 64, 512
"""Most pairs, and the longest key and value, as OpenAI has it."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WINDOW = re.compile(r"([1-9][0-9]{0,2})([hd])")
_FIELDS = ("input_file_id", "endpoint", "completion_window", "metadata")


class BatchApi:
    """All users' batches. Each user sees the own ones only. `wake` is called when there is work."""

    def __init__(self, table: BatchTable, body_memory: BodyMemory, wake: Callable[[], None]) -> None:
        self._table = table
        self._body_memory = body_memory
        self._wake = wake

    async def answer(self, exchange: Exchange) -> bytes:
        """The JSON of the response.

        Raises:
            ApiError: the request is refused.
            one of DATABASE_ERRORS.
        """
        method, path = exchange.request.method, exchange.request.path
        user_id = exchange.principal.user_id
        batch_id, _, rest = path.removeprefix(BATCHES).lstrip("/").partition("/")
        if batch_id and (not _ID.fullmatch(batch_id) or rest not in ("", "cancel")):
            raise unknown_url(method, path)
        allowed = "POST" if rest else "GET" if batch_id else "GET, POST"
        if method not in allowed.split(", "):
            raise method_not_allowed(method, path, allowed)
        check_body(exchange.request, MAX_BODY_BYTES)
        if rest:
            row = await self._table.cancel(user_id, batch_id)
            self._wake()
        elif batch_id:
            row = await self._table.get(user_id, batch_id)
        elif method == "GET":
            return await self._list(exchange)
        else:
            new = _new_batch(await self._body(exchange))
            row = await self._table.create(user_id, exchange.principal.key_id, new)
            self._wake()
        return orjson.dumps(described(row))

    async def _list(self, exchange: Exchange) -> bytes:
        query = query_of(exchange.request.target, ("after", "limit"))
        limit = limit_of(query, default=DEFAULT_PAGE, most=MAX_PAGE)
        rows = await self._table.list_batches(
            exchange.principal.user_id, after=after_of(query), limit=limit + 1
        )
        return as_list([described(row) for row in rows], limit)

    async def _body(self, exchange: Exchange) -> dict[str, Any]:
        body = Body(self._body_memory, exchange.principal.user_id)
        try:
            await body.read(exchange.request, MAX_BODY_BYTES)
            fields = orjson.loads(body.content)
        except ValueError as error:
            raise errors.not_an_object() from error
        finally:
            body.leave()
        if not isinstance(fields, dict):
            raise errors.not_an_object()
        return fields


def _new_batch(fields: dict[str, Any]) -> NewBatch:
    for name in fields:
        if name not in _FIELDS:
            raise bad_field(name, f"is not known here; there are: {', '.join(_FIELDS)}")
    for name in _FIELDS[:3]:
        if fields.get(name) is None:
            raise missing_field(name)
        if not isinstance(fields[name], str):
            raise bad_field(name, "must be a text")
    if not _ID.fullmatch(fields["input_file_id"]):
        raise bad_field("input_file_id", "must be the id of a file")
    if fields["endpoint"] not in ENDPOINTS:
        raise bad_field("endpoint", f"must be one of {', '.join(ENDPOINTS)}")
    window = _WINDOW.fullmatch(fields["completion_window"])
    window_s = 0 if window is None else int(window[1]) * (3600 if window[2] == "h" else 86_400)
    if not 0 < window_s <= MAX_WINDOW_S:
        raise bad_field("completion_window", "must be from 1h to 14d, such as 24h")
    return NewBatch(
        endpoint=fields["endpoint"],
        input_file_id=fields["input_file_id"],
        window=fields["completion_window"],
        window_s=window_s,
        metadata=_metadata(fields.get("metadata")),
    )


def _metadata(given: object) -> dict[str, str] | None:
    if given is None:
        return None
    pairs, key_length, value_length = _METADATA
    if not isinstance(given, dict) or len(given) > pairs:
        raise bad_field("metadata", f"must be an object with at most {pairs} texts")
    for key, value in given.items():
        whole = f"{key}{value}"
        if (
            not isinstance(value, str)
            or len(key) > key_length
            or len(value) > value_length
            or "\0" in whole
        ):
            text = (
                f"must have keys of at most {key_length} and texts of at most {value_length} characters"
            )
            raise bad_field("metadata", text)
    return given
