"""Asks an engine for its status: whether it answers, how many slots it has, and what it serves."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from proxy.edge.write_batching import WriteBatcher
from proxy.upstream.connection import UpstreamError
from proxy.upstream.pool import UpstreamPool

CHECK_TIMEOUT_S = 2.0
"""How long the engine, or the database, has to answer a check."""
MAX_BODY_BYTES = 65_536
MAX_SLOTS = 100_000
MAX_MODEL_CHARACTERS = 512
MAX_PROBLEM_CHARACTERS = 200


class EngineStatus(NamedTuple):
    """The result of GET /health."""

    ready: bool
    slots: int | None = None
    """How many requests the engine answers at a time; None if the engine is not ours."""
    embedding_slots: int | None = None
    """How many requests for embeddings beside those; None if the engine has no model for them alone."""
    model: str | None = None
    """The name of its model; None if the engine is not ours."""
    problem: str | None = None
    """Why it is not ready."""


async def engine_status(backend_url: str) -> EngineStatus:
    """Ask the engine. One that has no /health is ready if it answers at all."""
    status, fields = await _get(backend_url, "/health")
    if not isinstance(status, int) or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        problem = f"/health answers {status}" if isinstance(status, int) else status
        return EngineStatus(ready=False, problem=problem[:MAX_PROBLEM_CHARACTERS])
    model = fields.get("model")
    return EngineStatus(
        ready=True,
        slots=_number(fields.get("slots")),
        embedding_slots=_number(fields.get("embedding_slots")),
        model=model[:MAX_MODEL_CHARACTERS] if isinstance(model, str) else None,
    )


async def served_models(backend_url: str, key: str) -> str | None:
    """The names of the models that an engine lists, sorted; None if it does not tell."""
    _, fields = await _get(backend_url, "/v1/models", key)
    models = fields.get("data")
    if not isinstance(models, list):
        return None
    names = {str(model["id"]) for model in models if isinstance(model, dict) and model.get("id")}
    return ", ".join(sorted(names))[:MAX_MODEL_CHARACTERS] or None


async def _get(url: str, path: str, key: str = "") -> tuple[int | str, dict[str, Any]]:
    """The status, or why there is none in time, and the JSON object of the body, else an empty one."""
    upstream = UpstreamPool(
        url,
        writes=WriteBatcher(),
        connect_timeout_s=CHECK_TIMEOUT_S,
        idle_timeout_s=CHECK_TIMEOUT_S,
    )
    authorization = b"Authorization: Bearer %b\r\n" % key.encode() if key else b""
    head = b"GET %b%b HTTP/1.1\r\nHost: %b\r\n%bConnection: close\r\n\r\n" % (
        upstream.base_path, path.encode(), upstream.host_header.encode(), authorization,
    )  # fmt: skip
    status: int | str = f"no answer in {CHECK_TIMEOUT_S:g} s"
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            connection = await upstream.send(head, b"")
            status = connection.parser.status
            fields = orjson.loads(await connection.read_all(MAX_BODY_BYTES))
            return status, fields if isinstance(fields, dict) else {}
    except UpstreamError as error:
        return (status, {}) if isinstance(status, int) else (str(error) or type(error).__name__, {})
    except (TimeoutError, ValueError):
        return status, {}
    finally:
        await upstream.close()


def _number(slots: object) -> int | None:
    return slots if type(slots) is int and 1 <= slots <= MAX_SLOTS else None
