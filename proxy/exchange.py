"""One request and what becomes of it: the state that its steps share, and its answer's own headers."""

from __future__ import annotations

import time

from aiohttp import web

from proxy import errors
from proxy.admission import Admission
from proxy.answer import Answer
from proxy.errors import ApiError
from proxy.gate import Place
from proxy.ids import new_request_id, public_form
from proxy.paths import Route
from proxy.principal import Principal
from proxy.record import RequestRecord
from proxy.windows import Decision


class Exchange:
    """One request and what becomes of it. Times without a unit in their name are monotonic."""

    def __init__(self, request: web.Request, client: str) -> None:
        self.request = request
        self.client = client
        """Its address."""
        self.id = new_request_id()
        self.arrived = time.monotonic()
        self.arrived_at = time.time()
        self.path = request.raw_path.partition("?")[0]
        self.admission: Admission | None = None
        """What its user's windows said; with an entry as long as it holds a place in them."""
        self.sent = False
        """Whether the engine may have seen it: from then on it counts, whatever becomes of it."""
        self.answer = Answer()
        self.record: RequestRecord | None = None
        self.body = b""
        self.place: Place | None = None
        """At the gate, once it has come there."""
        self.wants_events: bool | None = None
        """Whether the client asks for a stream; None as long as nobody had to know."""
        self._route: Route | None = None
        self._principal: Principal | None = None

    @property
    def route(self) -> Route:
        """What it is for, known once the path has been looked at."""
        assert self._route is not None
        return self._route

    @route.setter
    def route(self, route: Route) -> None:
        self._route = route

    @property
    def principal(self) -> Principal:
        """Whose request it is, known from `begin_record` on."""
        assert self._principal is not None
        return self._principal

    def begin_record(self, principal: Principal) -> None:
        """Begin the record, now that it is known whose request this is."""
        self._principal = principal
        self.record = RequestRecord(
            id=self.id,
            created_at=self.arrived_at,
            username=principal.username,
            user_id=principal.user_id,
            key_id=principal.key_id,
            method=self.request.method[:16],
            path=self.path[:256],
        )

    def complete(self, record: RequestRecord, status: int | None, error: str | None) -> None:
        """Put into the record what became of the request."""
        answer = self.answer
        record.status_code = status
        record.error = error
        record.latency_ms = self.elapsed_ms()
        if answer.first_byte_at is not None:
            record.ttft_ms = self.elapsed_ms(answer.first_byte_at)
        if self.place is not None:
            record.queue_ms = self.place.waited_s * 1000
        record.response_bytes = answer.response_bytes
        record.stream = answer.stream
        record.model = answer.scanner.model()
        record.prompt_tokens, record.completion_tokens = answer.scanner.usage()

    def headers(self) -> dict[str, str]:
        """The headers of our own that go on every answer."""
        headers = {
            "Server": "llamaserve",
            "x-request-id": public_form(self.id),
            "openai-processing-ms": str(round(self.elapsed_ms())),
        }
        if self.admission is not None:
            _add_limits(headers, "requests", self.admission.requests)
            if self.admission.tokens is not None:
                _add_limits(headers, "tokens", self.admission.tokens)
        return headers

    def elapsed_ms(self, until: float | None = None) -> float:
        return ((time.monotonic() if until is None else until) - self.arrived) * 1000

    def error_response(self, error: ApiError) -> web.Response:
        return web.Response(
            status=error.status,
            body=error.body(),
            content_type="application/json",
            headers=error.headers | self.headers(),
        )


def _add_limits(headers: dict[str, str], kind: str, decision: Decision) -> None:
    headers[f"x-ratelimit-limit-{kind}"] = str(decision.limit)
    headers[f"x-ratelimit-remaining-{kind}"] = str(decision.remaining)
    headers[f"x-ratelimit-reset-{kind}"] = errors.duration(decision.reset_s)
