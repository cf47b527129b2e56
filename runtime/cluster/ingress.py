"""What every replica answers for all: Ray Serve sends a request to any of them.

`/health` tells the sum of all replicas, so that the proxy's slots follow their number, and
`/internal/usage/ID` asks all for the one that knows the request. Everything else is the engine's.
"""

from __future__ import annotations

from typing import Any

import orjson

from runtime.engine.app import HEALTH
from runtime.engine.http.asgi import App, Message, Receive, Scope, Send, send_bytes

ASK_TIMEOUT_S = 1.5
"""How long the replicas may take to answer each other; the proxy waits 2 s for /health."""
_USAGE = "/internal/usage/"
_SUMMED = ("slots", "running", "waiting", "embedding_slots")
_ASKED = ("type", "method", "path", "raw_path", "query_string", "headers", "http_version")
"""The parts of a request's scope that can be sent to another process."""
_OK, _UNAVAILABLE = 200, 503

Answer = tuple[int, bytes]
"""Status and body."""


class Ingress:
    """The ASGI app of one replica.

    Args:
        engine: the replica's own.
        replicas: Ray Serve's handle of all replicas, each of which has the method `ask`.
    """

    def __init__(self, engine: App, replicas: Any) -> None:
        self._engine = engine
        self._replicas = replicas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http" and scope["path"] == HEALTH:
            await _tell(send, summed(await self._ask_all(scope)))
        elif scope["type"] == "http" and scope["path"].startswith(_USAGE):
            await _tell(send, min(await self._ask_all(scope)))  # 200 from the one that knows it
        else:
            await self._engine(scope, receive, send)

    async def _ask_all(self, scope: Scope) -> list[Answer]:
        """The answers of the replicas; this one's alone if another does not answer in time."""
        asked = {name: scope[name] for name in _ASKED if name in scope}
        try:
            answers = await self._replicas.broadcast("ask", asked).results_async(
                timeout_s=ASK_TIMEOUT_S, return_exceptions=True
            )
        except TimeoutError:
            answers = []
        whole = [answer for answer in answers if not isinstance(answer, BaseException)]
        return whole or [await answer_of(self._engine, asked)]


def summed(answers: list[Answer]) -> Answer:
    """One answer to `/health` for all that are ready; a 503 that says why if none can be given."""
    ready = [orjson.loads(body) for status, body in answers if status == _OK]
    if not ready:
        return answers[0]
    models = sorted({one["model"] for one in ready})
    if len(models) > 1:  # a request would get the one or the other
        said = {"status": "the replicas serve different models", "models": models}
        return _UNAVAILABLE, orjson.dumps(said)
    sums = {name: sum(one[name] for one in ready) for name in _SUMMED}
    return _OK, orjson.dumps({"status": "ok", "replicas": len(ready), "model": models[0], **sums})


async def _tell(send: Send, answer: Answer) -> None:
    status, body = answer
    await send_bytes(send, status, body, [], kind=b"application/json")


async def answer_of(app: App, scope: Scope) -> Answer:
    """The answer of an ASGI app to a request without a body."""
    status, body = 0, b""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    await app(scope, receive, send)
    return status, body
