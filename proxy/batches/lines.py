"""Runs one line of a batch: a request without a client, with the engine and records of any other."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import HttpVersion11
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from proxy import errors
from proxy.batches.errors import line_unreadable, response_too_large
from proxy.batches.progress import Outcome
from proxy.dispatch.settlement import Accounts
from proxy.edge.request import Request
from proxy.errors import ApiError
from proxy.exchange import Exchange
from proxy.identity.active_requests import ActiveRequest
from proxy.identity.principal import Principal
from proxy.ratelimit.quotas import Quotas
from proxy.records.record import RequestRecord
from proxy.records.request_ids import public_form
from proxy.scheduling.batch_turns import BatchTurn, BatchTurns
from proxy.scheduling.turns import Turns
from proxy.upstream.failures import EngineAwayError, EngineBusyError, UpstreamFailedError
from proxy.upstream.relay import Relay
from proxy.upstream.routes import route_of

logger = logging.getLogger(__name__)

MAX_RESPONSE_BYTES = 2**24
ATTEMPTS = 3
"""A line that the engine breaks off is run so often: it may be what brings the engine down."""
AGAIN_S = 0.5
_PASSING = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
_ENDED = "batch_ended"
_ENDED_STATUS = 499


class BudgetUsedUpError(Exception):
    """No tokens are left for the user: the line has not been run."""


class _NotNowError(Exception):
    """The line cannot be run at present, and has not been."""


class _Nobody:
    """In place of a client's connection."""

    transport: asyncio.Transport | None = None
    remote = "batch"
    writing_paused = False

    async def drained(self) -> None:
        """Nothing is ever unread."""

    def write(self, data: bytes) -> None:
        """Drop it."""

    def flush(self) -> None:
        """Nothing is kept back."""

    def closes_after(self, request: Request, status: int) -> bool:
        """There is no connection."""
        del request, status
        return True


def _request(path: str) -> Request:
    raw = ((b"Content-Type", b"application/json"),)
    headers = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json"}))
    message = RawRequestMessage(
        "POST", path, HttpVersion11, headers, raw, False, None, False, False, URL(path)
    )
    return Request(message, EMPTY_PAYLOAD, _Nobody())


class Lines:
    """Runs lines. `under_way` has the requests that run, by id, for operators to see."""

    def __init__(
        self,
        *,
        relay: Relay,
        turns: Turns,
        batch_turns: BatchTurns,
        accounts: Accounts,
        quotas: Quotas,
        under_way: dict[str, Exchange],
    ) -> None:
        self._relay = relay
        self._turns = turns
        self._batch_turns = batch_turns
        self._accounts = accounts
        self._quotas = quotas
        self._under_way = under_way

    async def run(
        self, principal: Principal, *, batch_id: str, endpoint: str, custom_id: str, line: bytes | None
    ) -> Outcome:
        """The result of a line, of which `line` are the bytes in the file; None: they cannot be read.

        Raises:
            BudgetUsedUpError: no tokens are left.
        """
        if line is None:
            return _outcome(custom_id, None, line_unreadable())
        body = await asyncio.to_thread(_body_of, line)
        attempt = 0
        while True:
            exchange = Exchange(_request(endpoint), "batch")
            exchange.route = route_of("POST", endpoint)
            record = exchange.begin_record(principal)
            record.batch_id, record.request_bytes = batch_id, len(body)
            try:
                text = await self._attempt(exchange, record, body)
            except (EngineAwayError, EngineBusyError, _NotNowError):
                await asyncio.sleep(AGAIN_S)
                continue
            except ApiError as error:
                attempt += 1
                final = error.headers.get("x-should-retry") == "false"
                if error.status in _PASSING and attempt < ATTEMPTS and not final:
                    await asyncio.sleep(AGAIN_S)
                    continue
                return _outcome(custom_id, exchange, error)
            status = exchange.response.status_code
            attempt += 1
            if status in _PASSING and attempt < ATTEMPTS:
                await asyncio.sleep(AGAIN_S)
                continue
            return await asyncio.to_thread(_outcome_of, custom_id, exchange, text)

    async def _attempt(self, exchange: Exchange, record: RequestRecord, body: bytes) -> bytes:
        """Send the line once; the response's body.

        Raises:
            EngineAwayError, EngineBusyError: the engine has not received it.
            ApiError: the engine failed.
            BudgetUsedUpError: no tokens are left.
        """
        turn = await self._batch_turns.take(exchange.route, exchange.principal)
        try:
            await self._check_budget(exchange)
            return await self._in_turn(exchange, record, turn, body)
        finally:
            self._under_way.pop(exchange.id, None)
            turn.end(settling=exchange.settling)

    async def _check_budget(self, exchange: Exchange) -> None:
        try:
            await self._quotas.check_budgets(exchange.principal)
        except ApiError as error:
            if error.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise BudgetUsedUpError from error
            raise _NotNowError from error

    async def _in_turn(
        self, exchange: Exchange, record: RequestRecord, turn: BatchTurn, body: bytes
    ) -> bytes:
        exchange.queue_entry = entry = turn.at_engine
        if self._turns.several:
            chosen = turn.lease is None
            if not chosen and self._turns.assign(entry, exchange.principal.user_id) is None:
                raise EngineBusyError
            exchange.note_backend(self._relay.url_of(entry.backend))
        task = asyncio.current_task()
        assert task is not None
        exchange.active = ActiveRequest(task, exchange.principal.public_id)
        self._under_way[exchange.id] = exchange
        record.admitted = exchange.admission_noted = exchange.sent = True
        self._accounts.admitted(record)
        try:
            text = await self._relayed(exchange, entry.backend, body, pauses=turn.lease is None)
        except EngineAwayError:
            self._turns.engine_lost(entry)
            self._end(exchange, errors.engine_starting(), sent=False)
            raise
        except EngineBusyError:
            self._turns.engine_busy(entry)
            self._end(exchange, errors.engine_starting(), sent=False)
            raise
        except UpstreamFailedError as failure:
            self._end(exchange, failure.error)
            raise failure.error from failure
        except ApiError as error:
            self._end(exchange, error)
            raise
        except asyncio.CancelledError:
            if (by := exchange.active.error) is not None:  # an administrator, at /admin/v1/live
                task.uncancel()
                self._end(exchange, by)
                raise by from None
            self._accounts.end(exchange, _ENDED_STATUS, _ENDED)
            raise
        self._accounts.end(exchange)
        return text

    def _end(self, exchange: Exchange, error: ApiError, *, sent: bool = True) -> None:
        exchange.sent = sent
        self._accounts.end(exchange, error.status, error.error)

    async def _relayed(self, exchange: Exchange, backend: int, body: bytes, *, pauses: bool) -> bytes:
        """`pauses`: the engine may pause the line, and is silent meanwhile."""
        response, principal = exchange.response, exchange.principal
        received = bytearray()
        async with self._relay.send(
            exchange.request,
            body,
            request_id=exchange.id,
            user_id=principal.user_id,
            weight=principal.weight,
            backend=backend,
            is_batch=pauses,
        ) as upstream:
            parser = upstream.parser
            response.status_code = parser.status
            response.scanner.header = parser.usage
            ended = False
            while not ended:
                if not parser.pieces and not parser.complete:
                    await upstream.news()
                piece = upstream.take()
                ended = parser.complete and not parser.pieces
                if piece:
                    if response.first_byte_at is None:
                        response.first_byte_at = time.monotonic()
                    response.response_bytes += len(piece)
                    response.scanner.feed(piece)
                    received += piece
                if len(received) > MAX_RESPONSE_BYTES:
                    raise response_too_large(MAX_RESPONSE_BYTES)
        return bytes(received)


def _body_of(line: bytes) -> bytes:
    return orjson.dumps(orjson.loads(line)["body"])


def _outcome_of(custom_id: str, exchange: Exchange, text: bytes) -> Outcome:
    """The result of a line that the engine has answered."""
    try:
        body: Any = orjson.loads(text)
    except ValueError:
        body = text.decode("utf-8", "replace")
    status = exchange.response.status_code or HTTPStatus.BAD_GATEWAY
    return _result(custom_id, exchange, status, body)


def _outcome(custom_id: str, exchange: Exchange | None, error: ApiError) -> Outcome:
    """The result of a line that has failed here."""
    return _result(custom_id, exchange, error.status, orjson.loads(error.body()))


def _result(custom_id: str, exchange: Exchange | None, status: int, body: object) -> Outcome:
    prompt_tokens, completion_tokens = (None, None)
    if exchange is not None:
        prompt_tokens, completion_tokens = exchange.response.scanner.usage()
    result = {
        "id": f"batch_req_{uuid.uuid4().hex}",
        "custom_id": custom_id,
        "response": {
            "status_code": status,
            "request_id": None if exchange is None else public_form(exchange.id),
            "body": body,
        },
        "error": None,
    }
    return Outcome(
        result=orjson.dumps(result).decode(),
        failed=status >= HTTPStatus.BAD_REQUEST,
        prompt_tokens=prompt_tokens or 0,
        completion_tokens=completion_tokens or 0,
    )
