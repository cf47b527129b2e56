"""The state of one request that the handler's steps share, and the headers that the proxy adds."""

from __future__ import annotations

import time
from collections.abc import Mapping

from proxy import errors
from proxy.edge.body import Body
from proxy.edge.request import Request
from proxy.edge.response import Response
from proxy.error_envelopes import MESSAGES
from proxy.errors import ApiError
from proxy.identity.active_requests import ActiveRequest
from proxy.identity.principal import Principal
from proxy.ratelimit.admission import Admission
from proxy.ratelimit.sliding_window import Decision
from proxy.records.record import RequestRecord
from proxy.records.request_ids import new_request_id, public_form
from proxy.scheduling.fair_queue import QueueEntry
from proxy.upstream.foreign_usage import asking_for_usage
from proxy.upstream.relay import UpstreamResponse
from proxy.upstream.routes import Route


class Exchange:
    """The state of one request. `arrived` is in monotonic seconds, `arrived_at` is Unix time."""

    principal: Principal
    """The user and key that sent the request; set by `begin_record`."""
    active: ActiveRequest
    """Set after authentication."""
    route: Route
    """Set after authentication, from the method and path."""
    body: Body
    # Defaults on the class save the time of setting them for each request.
    admission: Admission | None = None
    """The rate-limit decision. Its `entry` is set while the request counts against the limit."""
    admission_noted = False
    """Whether the admission has been written to the request log."""
    sent = False
    """Whether the engine may have received the request. If so, it counts against the rate limit."""
    checked = False
    """Whether the engine has been asked for errors of the request while it waits."""
    found_invalid = False
    """Whether it has found one. Such a request counts against the rate limit, as if it had been sent."""
    charged: bool | None = None
    """Whether the tokens have been charged; False: they will be charged again with the record."""
    settling = False
    """Whether the engine is being asked for the request's usage. Its reply then ends the turn."""
    record: RequestRecord | None = None
    """None before `begin_record`, and after the record has been handed to the request log."""
    queue_entry: QueueEntry | None = None
    """Set once the request has joined a queue for the engine."""
    wants_events: bool | None = None
    """Whether the client asks for a stream; None until the body has been parsed for it."""

    hides_usage = False
    """Whether the engine is asked for a stream's usage that the client has not asked for."""

    def __init__(self, request: Request, client: str) -> None:
        self.request = request
        self.client = client
        """The client's address."""
        self.id = new_request_id()
        self.arrived = time.monotonic()
        self.arrived_at = time.time()
        self.path = request.path
        self.response = Response(request)

    def begin_record(self, principal: Principal) -> RequestRecord:
        """Create the request's record, after authentication."""
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
        if principal.group is not None:
            record.group_id = principal.group.group_id
        return record

    def complete(self, record: RequestRecord, status: int | None, error: str | None) -> None:
        """Fill in the outcome: status, error, times, sizes. May be called again with later values."""
        response, arrived, entry = self.response, self.arrived, self.queue_entry
        record.status_code = status
        record.error = error
        record.latency_ms = (time.monotonic() - arrived) * 1000
        if response.first_byte_at is not None:
            record.ttft_ms = (response.first_byte_at - arrived) * 1000
        if entry is not None:
            record.queue_ms = entry.waited_s * 1000
        record.response_bytes = response.response_bytes
        record.stream = response.stream
        record.answer = response.scanner

    async def ask_for_usage(self) -> None:
        """Have an engine that is not ours tell the usage of its stream."""
        body = self.body.content
        # Most requests end here: a field of this name is written so, or with an escaped letter.
        if not (b'"stream"' in body or b"\\u" in body) or self.hides_usage:
            return
        if self.route.usage_if_asked and (asking := await asking_for_usage(body)) is not None:
            self.body.content, self.hides_usage = asking, True

    async def begin(self, upstream: UpstreamResponse) -> None:
        """Begin the client's response with the status and headers of the engine's response.

        Raises:
            UpstreamFailedError: a stream has begun, and the engine's response is none.
        """
        response, parser = self.response, upstream.parser
        response.status_code = parser.status
        response.scanner.header = parser.usage
        if self.request.begun:
            await upstream.check_is_stream()
            return
        response.stream = parser.event_stream
        lines = upstream.header_lines(self.headers())
        response.begin(parser.status, parser.reason, lines, length=upstream.length)
        if not parser.pieces and not parser.complete and upstream.length is None:
            # Send the head at once: the body may take long. One of known length follows directly, and
            # until then an error can have a status of its own.
            response.write(b"")

    def note_backend(self, url: str) -> None:
        """Note which of several engines gets the request."""
        if self.record is not None:
            self.record.backend = url

    def begin_anew(self) -> bool:
        """Return whether another engine may respond instead: nothing has come from this one but a head.

        A stream's head may have been sent to the client; another one would be the same.
        """
        response = self.response
        if response.first_byte_at is not None:
            return False
        return not self.request.begun or response.take_back() or response.stream

    def headers(self) -> bytes:
        """The headers that the proxy adds to every response, as encoded lines.

        `openai-processing-ms` is the time from the request's arrival to the response's head. The client
        can measure this time itself, so the header reveals nothing more about other users.
        """
        lines = (
            f"Server: llamaserve\r\nx-request-id: req_{self.id}\r\n"
            f"openai-processing-ms: {round((time.monotonic() - self.arrived) * 1000)}\r\n"
        )
        if self.path.startswith(MESSAGES):
            lines += f"request-id: req_{self.id}\r\n"
        if self.request.cors_headers:
            lines += header_lines(self.request.cors_headers).decode("latin-1")
        admission = self.admission
        if admission is not None:
            lines += _limits("requests", admission.requests)
            if admission.tokens is not None:
                lines += _limits("tokens", admission.tokens)
        return lines.encode("latin-1")

    def refuse(self, error: ApiError) -> None:
        """Send an error as the response. The response must not have begun.

        Raises:
            ConnectionError: the client has gone.
        """
        lines = header_lines(error.headers)
        self.response.whole(error.status, lines + self.headers(), self.error_body(error))

    def error_body(self, error: ApiError) -> bytes:
        """The body of an error response, in the form of the request's path."""
        return error.body(self.path, public_form(self.id))

    def error_event(self, error: ApiError) -> bytes:
        """The error as an event of the stream that has begun, a broken event completed before it."""
        scanner = self.response.scanner
        event = error.event(self.path, public_form(self.id), number=scanner.events)
        return scanner.rest_of_event() + event


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they are written in a head."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")


def _limits(kind: str, decision: Decision) -> str:
    return (
        f"x-ratelimit-limit-{kind}: {decision.limit}\r\n"
        f"x-ratelimit-remaining-{kind}: {decision.remaining}\r\n"
        f"x-ratelimit-reset-{kind}: {errors.duration(decision.reset_s)}\r\n"
    )
