"""What a replica answers for all of them, whichever Ray Serve asks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from runtime.cluster.ingress import ASK_TIMEOUT_S, Answer, Ingress, answer_of
from runtime.engine.http.asgi import Message, Receive, Scope, Send, send_bytes

USAGE = b'{"prompt_tokens":3}'


class Replica:
    """An engine's app: its health, and the usage of the request that it knows."""

    def __init__(
        self, *, status: str = "ok", slots: int = 2, knows: str = "", model: str = "one.gguf"
    ) -> None:
        fields: dict[str, object] = {"status": status, "model": model, "slots": slots}
        fields |= {"running": 1, "waiting": 0, "embedding_slots": 8}
        self._health = (200 if status == "ok" else 503), json.dumps(fields).encode()
        self._knows = knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        status, body = 404, b"unknown"
        if path == "/health":
            status, body = self._health
        elif path == f"/internal/usage/{self._knows}" and (b"x-key", b"k") in scope["headers"]:
            status, body = 200, USAGE
        elif path == "/v1/models":
            status, body = 200, (await receive())["body"]
        await send_bytes(send, status, body, [], kind=b"application/json")


class Handle:
    """Ray Serve's handle, as far as it is used: each replica's result, or its exception."""

    def __init__(self, *replicas: Replica | Exception, hangs: bool = False) -> None:
        self._replicas = replicas
        self._hangs = hangs

    def broadcast(self, method: str, scope: Scope) -> Handle:
        assert method == "ask"
        self._scope = scope
        return self

    async def results_async(self, *, timeout_s: float, return_exceptions: bool) -> list[Any]:
        assert return_exceptions
        if self._hangs:
            assert timeout_s == ASK_TIMEOUT_S
            raise TimeoutError
        return [
            one if isinstance(one, Exception) else await answer_of(one, self._scope)
            for one in self._replicas
        ]


def ask(path: str, own: Replica, handle: Handle) -> Answer:
    """What a client gets from `own`'s ingress."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"x-key", b"k")], "state": {}}
    return asyncio.run(answer_of(Ingress(own, handle), scope))


def test_health_tells_the_sum_of_all_replicas() -> None:
    """Those that load or have just died have no slots yet, or no longer."""
    one, other = Replica(slots=2), Replica(slots=3)
    status, body = ask("/health", one, Handle(one, other, Replica(status="loading"), OSError("died")))
    assert status == 200
    assert json.loads(body) == {
        "status": "ok", "replicas": 2, "model": "one.gguf",
        "slots": 5, "running": 2, "waiting": 0, "embedding_slots": 16,
    }  # fmt: skip


def test_replicas_with_different_models_are_not_used() -> None:
    """A user would get the answer of the one or the other; the names say which machine to look at."""
    one, other = Replica(), Replica(model="other.gguf")
    status, body = ask("/health", one, Handle(one, other))
    assert (status, json.loads(body)["models"]) == (503, ["one.gguf", "other.gguf"])


def test_without_a_replica_that_is_ready_health_says_why() -> None:
    """The proxy then lets requests wait."""
    stuck = Replica(status="stuck")
    status, body = ask("/health", stuck, Handle(stuck))
    assert (status, json.loads(body)["status"]) == (503, "stuck")


@pytest.mark.parametrize("handle", [Handle(hangs=True), Handle(OSError("died"))])
def test_where_no_other_answers_a_replica_speaks_for_itself(handle: Handle) -> None:
    """One that hangs must not make the cluster look dead."""
    status, body = ask("/health", Replica(slots=2), handle)
    assert (status, json.loads(body)["slots"]) == (200, 2)


def test_the_replica_that_knows_a_request_tells_its_usage() -> None:
    """Whichever is asked. One that nobody knows is a 404."""
    one, other = Replica(), Replica(knows="r1")
    assert ask("/internal/usage/r1", one, Handle(one, other)) == (200, USAGE)
    assert ask("/internal/usage/r2", one, Handle(one, other))[0] == 404


def test_other_requests_are_the_replica_s_own() -> None:
    """With their bodies."""
    one = Replica()
    assert ask("/v1/models", one, Handle()) == (200, b"")


def test_the_start_and_the_end_of_the_app_are_acknowledged() -> None:
    """Ray Serve gives up a replica whose app does not."""
    events = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": next(events)}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(Ingress(Replica(), Handle())({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
