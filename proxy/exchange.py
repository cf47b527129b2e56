"""One request and what becomes of it: the state that its steps share, and its answer's own headers."""

from __future__ import annotations

import time

from proxy import errors
from proxy.edge.body import Body
from proxy.edge.request import Request
from proxy.edge.response import Response
from proxy.errors import ApiError
from proxy.identity.principal import Principal
from proxy.ratelimit.admission import Admission
from proxy.ratelimit.sliding_window import Decision
from proxy.records.record import RequestRecord
from proxy.records.request_ids import new_request_id
from proxy.scheduling.fair_queue import QueueEntry
from proxy.upstream.routes import Route


class Exchange:
    """One request and what becomes of it. Times without a unit in their name are monotonic."""

    principal: Principal
    """Whose request it is, known from `begin_record` on."""
    route: Route
    """What it is for, known once the path has been looked at."""
    body: Body
    # Defaults of the class: what does not happen to a request costs it nothing.
    admission: Admission | None = None
    """What its user's windows said; with an entry as long as it holds a place in them."""
    sent = False
    """Whether the engine may have seen it: from then on it counts, whatever becomes of it."""
    record: RequestRecord | None = None
    place: QueueEntry | None = None
    """At the gate, once it has come there."""
    wants_events: bool | None = None
    """Whether the client asks for a stream; None as long as nobody had to know."""

    def __init__(self, request: Request, client: str) -> None:
        self.request = request
        self.client = client
        """Its address."""
        self.id = new_request_id()
        self.arrived = time.monotonic()
        self.arrived_at = time.time()
        self.path = request.path
        self.answer = Response(request)

    def begin_record(self, principal: Principal) -> RequestRecord:
        """Begin the record, now that it is known whose request this is."""
        self.principal = principal
        self.record = record = RequestRecord(
            id=self.id,
            created_at=self.arrived_at,
            username=principal.username,
            user_id=principal.user_id,
            key_id=principal.key_id,
            method=self.request.method[:16],
            path=self.path[:256],
        )
        return record

    def complete(self, record: RequestRecord, status: int | None, error: str | None) -> None:
        """Put into the record what became of the request."""
        answer, arrived, place = self.answer, self.arrived, self.place
        record.status_code = status
        record.error = error
        record.latency_ms = (time.monotonic() - arrived) * 1000
        if answer.first_byte_at is not None:
            record.ttft_ms = (answer.first_byte_at - arrived) * 1000
        if place is not None:
            record.queue_ms = place.waited_s * 1000
        record.response_bytes = answer.response_bytes
        record.stream = answer.stream
        record.answer = answer.scanner

    def headers(self) -> bytes:
        """The headers of our own that go on every answer, as lines."""
        lines = (
            f"Server: llamaserve\r\nx-request-id: req_{self.id}\r\n"
            f"openai-processing-ms: {round((time.monotonic() - self.arrived) * 1000)}\r\n"
        )
        admission = self.admission
        if admission is not None:
            lines += _limits("requests", admission.requests)
            if admission.tokens is not None:
                lines += _limits("tokens", admission.tokens)
        return lines.encode()

    def refuse(self, error: ApiError) -> None:
        """Answer with an error, where nothing has been answered yet.

        Raises:
            ConnectionError: the client has gone.
        """
        own = "".join(f"{name}: {value}\r\n" for name, value in error.headers.items())
        self.answer.whole(error.status, own.encode() + self.headers(), error.body())


def _limits(kind: str, decision: Decision) -> str:
    return (
        f"x-ratelimit-limit-{kind}: {decision.limit}\r\n"
        f"x-ratelimit-remaining-{kind}: {decision.remaining}\r\n"
        f"x-ratelimit-reset-{kind}: {errors.duration(decision.reset_s)}\r\n"
    )
