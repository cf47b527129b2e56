"""What every response has in common: the key it needs, an id, the time it took, an error's form."""

from __future__ import annotations

import hmac
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping

from runtime.engine import errors
from runtime.engine.errors import Refusal
from runtime.engine.http.asgi import (
    App,
    ClientLeftError,
    Message,
    Receive,
    Scope,
    Send,
    header,
    send_refusal,
)
from runtime.engine.http.envelope import AnthropicEnvelope, is_anthropic
from runtime.engine.metrics import Metrics

logger = logging.getLogger(__name__)

CLIENT_LEFT = 499
_KEY_HEADERS = (b"x-api-key", b"api-key")
"""Headers of a bare key: Anthropic's clients send the first, Azure's the second."""
COUNTED_AS = "llamaserve.counted_as"
"""The key in the ASGI scope for the path under which a request is counted. An unknown path sets no key,
since a client can invent any number of them."""


Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Table = Mapping[str, tuple[str, Handler]]
"""The method and the handler of each path. One that ends with a slash stands for all paths below it."""


async def dispatch(table: Table, scope: Scope, receive: Receive, send: Send) -> None:
    """Have the handler of a request's path answer it.

    Raises:
        Refusal: 404 or 405.
    """
    path, method = scope["path"], scope["method"]
    if path[-1:] == "/" != path:  # many a client's base URL brings a slash too many
        scope["path"] = path = path[:-1]
    below = (name for name in table if name.endswith("/") and path.startswith(name))
    prefix = next(below, path)
    if prefix not in table:
        raise errors.unknown_url(method, path)
    allowed, handler = table[prefix]
    scope[COUNTED_AS] = prefix
    if method != allowed:
        raise errors.method_not_allowed(method, allowed)
    await handler(scope, receive, send)


class KeyCheck:
    """Lets in who sends the one key: as a bearer token (RFC 6750), or bare as other clients do.

    An empty key lets all in.
    """

    def __init__(self, app: App, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._key:
            self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        scheme, _, token = (header(scope, b"authorization") or "").partition(" ")
        bare = [header(scope, name) or "" for name in _KEY_HEADERS]
        sent = [key.strip() for key in (token if scheme.lower() == "bearer" else "", *bare)]
        found = [key for key in sent if key]
        if not found:
            raise errors.no_key()
        if not any(hmac.compare_digest(key.encode("latin-1"), self._key) for key in found):
            raise errors.wrong_key(found[0])


class Front:
    """The outermost layer of the API: ids and times, errors, and the count of requests."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = _Begun(scope, send)
        self._metrics.begun()
        try:
            await self._answer(scope, receive, begun)
        finally:
            self._metrics.ended(scope.get(COUNTED_AS, "other"), begun.status)

    async def _answer(self, scope: Scope, receive: Receive, begun: _Begun) -> None:
        send = begun.send
        if is_anthropic(scope["path"]):
            send = AnthropicEnvelope(begun.send, begun.request_id).send
        try:
            await self._app(scope, receive, send)
        except Refusal as refusal:
            await send_refusal(send, refusal)
        except ClientLeftError:
            pass
        except Exception:
            logger.exception(
                "request %s failed (the client calls it %r)", begun.request_id, begun.client_s_id
            )
            if begun.status != CLIENT_LEFT:
                raise  # something is out: the connection must break
            await send_refusal(send, errors.internal())


class _Begun:
    """A request under way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._arrived = time.monotonic()
        self.request_id = f"req_{uuid.uuid4().hex}"
        self._is_anthropic = is_anthropic(scope["path"])
        self.client_s_id = (header(scope, b"x-request-id") or "")[:128]
        self.status = CLIENT_LEFT
        """The status of the response, once it has begun."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            spent_ms = round((time.monotonic() - self._arrived) * 1000)
            ours = [
                (b"x-request-id", self.request_id.encode()),
                (b"openai-processing-ms", str(spent_ms).encode()),
            ]
            if self._is_anthropic:
                ours.append((b"request-id", self.request_id.encode()))
            names = {name for name, _ in ours}
            theirs = [pair for pair in message["headers"] if pair[0].lower() not in names]
            message = {**message, "headers": [*theirs, *ours]}
        await self._send(message)
