"""Layers round llama_cpp.server's app: each is an ASGI app that holds the next one.

Owns what a request's body must not ask for, and what is put right in it. `app.py` puts the layers
together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from runtime.engine.wire import App, Message, Receive, Refusal, Send, send_refusal

Rule = Callable[[str, dict[str, Any]], None]
"""Gets a request's path and parsed body: puts the body right in place, or raises Refusal."""

CHAT = "/v1/chat/completions"
COMPLETIONS = ("/v1/completions", "/v1/engines/copilot-codex/completions")


class BodyRules:
    """Applies rules to the JSON bodies of generating requests, before they reach the model.

    A body that is no JSON object passes: the app behind answers it.
    """

    def __init__(self, app: App, rules: Sequence[Rule]) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        generates = scope["type"] == "http" and path in (CHAT, *COMPLETIONS)
        if not (generates and scope["method"] == "POST"):
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            return
        parsed = _json_object(body)
        if parsed is not None:
            try:
                for rule in self._rules:
                    rule(path, parsed)
            except Refusal as refusal:
                await send_refusal(send, refusal)
                return
            body = json.dumps(parsed).encode()
        await self._app(scope, _replay(body, receive), send)


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body; None if the client left before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, then what the client does next (leave, mostly)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def name_model(alias: str) -> Rule:
    """A rule that makes answers name the model as /v1/models does.

    The stock app repeats whatever name the request has, and without one gives the file's path.
    """

    def rule(_: str, body: dict[str, Any]) -> None:
        body["model"] = alias

    return rule


def refuse_logprobs(path: str, body: dict[str, Any]) -> None:
    """A rule for an engine that keeps no logits: the stock app answers such a request with a 500."""
    wanted = body.get("logprobs")
    if wanted is None or (path == CHAT and not wanted):
        return
    raise Refusal(
        status=400,
        message="This server does not keep log probabilities. Its operator can turn them on with "
        "LLAMA_SERVER_LOGPROBS=1; they take memory for every token of the context.",
        param="logprobs",
        code="logprobs_disabled",
    )
