"""The operations that only read: usage, requests and the audit."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import timedelta

from psycopg import Connection

from proxy.batches import overview
from proxy.database import audit
from proxy.operators import errors, fields
from proxy.operators.fields import DEFAULT_PAGE
from proxy.operators.operation import Call, Operation, page_of
from proxy.records import reports

_RECENT = timedelta(days=7)


def _usage(connection: Connection, call: Call) -> object:
    since = call.values.get("since", call.now - _RECENT)
    found = reports.usage(
        connection, since=since, by=call.values.get("by", "user"), user=call.values.get("user")
    )
    return {"since": since, "data": [asdict(row) for row in found]}


def _requests(connection: Connection, call: Call) -> object:
    values, limit = call.values, call.values.get("limit", DEFAULT_PAGE)
    wanted = call.given("user", "since", "until", "status", "error")
    if "after" in values:
        wanted["after"] = _id(values["after"])
    found = reports.requests(connection, limit=limit + 1, **wanted)
    return page_of(found, limit, lambda row: row["id"])


def _request(connection: Connection, call: Call) -> object:
    found = reports.request(connection, _id(call.path["id"]))
    if found is None:
        raise errors.not_found(f"there is no record of the request {call.path['id'][:80]}")
    return found


def _id(text: str) -> str:
    try:
        return str(uuid.UUID(text.removeprefix("req_")))
    except ValueError as error:
        raise errors.invalid_field("id", "must be an x-request-id such as req_0123…") from error


def _batches(connection: Connection, call: Call) -> object:
    limit = call.values.get("limit", DEFAULT_PAGE)
    after = call.values.get("after")
    found = overview.batches(connection, user=call.values.get("user"), after=after, limit=limit + 1)
    return page_of(found, limit, lambda batch: batch["id"])


def _cancel_batch(connection: Connection, call: Call) -> object:
    batch_id = call.path["id"]
    if not overview.cancel(connection, batch_id):
        raise errors.not_found(f"no batch that has not ended has the id {batch_id[:80]}")
    return {"cancelled": batch_id}


def _audit(connection: Connection, call: Call) -> object:
    limit, after = call.values.get("limit", DEFAULT_PAGE), call.values.get("after", "0")
    if not after.isdecimal() or len(after) > 18:
        raise errors.invalid_field("after", "must be the value of next of the page before")
    found = audit.changes(
        connection,
        since=call.values.get("since", call.now - 4 * _RECENT),
        user=call.values.get("user"),
        after=int(after),
        limit=limit + 1,
    )
    return page_of([asdict(change) for change in found], limit, lambda change: str(change["id"]))


OPERATIONS = (
    Operation(method="GET", path="/admin/v1/usage", run=_usage,
              fields=(fields.SINCE, fields.BY, fields.USER),
              summary="Sum up requests, tokens, bytes and latency, by user or by day; default: 7d."),
    Operation(method="GET", path="/admin/v1/requests", run=_requests,
              fields=(fields.USER, fields.STATUS, fields.ERROR, fields.SINCE, fields.UNTIL,
                      *fields.PAGE),
              summary="List records of requests, the newest first."),
    Operation(method="GET", path="/admin/v1/requests/{id}", run=_request,
              summary="Show the record of a request by the x-request-id of its response."),
    Operation(method="GET", path="/admin/v1/batches", run=_batches, fields=(fields.USER, *fields.PAGE),
              summary="List all users' batches, the newest first, with their progress and speed."),
    Operation(method="POST", path="/admin/v1/batches/{id}/cancel", run=_cancel_batch,
              summary="Cancel a user's batch. Results that it has stay."),
    Operation(method="GET", path="/admin/v1/audit", run=_audit,
              fields=(fields.SINCE, fields.USER, *fields.PAGE),
              summary="List who changed which user, key or group, the oldest first; default: 28d."),
)  # fmt: skip
