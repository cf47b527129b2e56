"""The paths for embeddings and reranking: a request's way from its body to the response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from runtime.engine import errors
from runtime.engine.embedding.job import Job, Vectors
from runtime.engine.embedding.service import Embeddings, Prepared
from runtime.engine.errors import Refusal
from runtime.engine.generation.generation import End
from runtime.engine.http.asgi import (
    ClientLeftError,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    send_bytes,
    send_json,
)
from runtime.engine.http.for_proxy import (
    MAX_ID_CHARACTERS,
    REQUEST_HEADER,
    USAGE_HEADER,
    UsageBook,
    user,
)
from runtime.engine.http.front import Handler
from runtime.engine.http.workers import background_threads
from runtime.engine.settings import EngineSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")
Prepare = Callable[[bytes], Prepared]

EMBEDDING_PATH = "/v1/embeddings"
RERANK_PATHS = ("/v1/rerank", "/v2/rerank", "/rerank", "/v1/reranking")
"""As with Jina and vLLM, Cohere, vLLM and llama-server."""


class EmbeddingPaths:
    """Answers requests for embeddings and reranking."""

    def __init__(self, embeddings: Embeddings, settings: EngineSettings, usage_book: UsageBook) -> None:
        self._settings = settings
        self._usage_book = usage_book
        self._preparing = background_threads(2, "embedding")
        self.checked: dict[Handler, Prepare] = {}
        """What checks the requests of each handler."""
        rerank = self._answering(embeddings.reranking)
        self.table: dict[str, tuple[str, Handler]] = {
            EMBEDDING_PATH: ("POST", self._answering(embeddings.embedding)),
            **dict.fromkeys(RERANK_PATHS, ("POST", rerank)),
        }
        """Method and handler of each path."""

    def _answering(self, prepare: Prepare) -> Handler:
        async def handler(scope: Scope, receive: Receive, send: Send) -> None:
            body = await read_body(receive, self._settings.max_body_bytes)
            leaving = asyncio.ensure_future(_left(receive))
            try:
                prepared = await self._in_thread(prepare, body)
                if leaving.done():
                    raise ClientLeftError
                rows = await self._evaluated(prepared, scope, leaving)
            finally:
                leaving.cancel()
            content = await self._in_thread(_written, prepared, rows)
            tells_usage = header(scope, USAGE_HEADER) is not None
            headers = [(USAGE_HEADER, _usage(prepared.job))] if tells_usage else []
            await send_bytes(send, 200, content, headers, kind=b"application/json")

        self.checked[handler] = prepare
        return handler

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._preparing, function, *arguments)

    async def _evaluated(
        self, prepared: Prepared, scope: Scope, leaving: asyncio.Future[None]
    ) -> Vectors:
        job = prepared.job
        job.open(user(scope))
        if request_id := header(scope, REQUEST_HEADER):
            self._usage_book.begin(request_id[:MAX_ID_CHARACTERS], [job])
        prepared.embedder.submit(job)
        return await _rows(job, leaving)

    async def validate(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out whether a request to a path would be refused."""
        if path not in self.table:
            raise errors.unknown_url(scope["method"], scope["path"])
        body = await read_body(receive, self._settings.max_body_bytes)
        await self._in_thread(self.checked[self.table[path][1]], body)
        await send_json(send, 200, {"valid": True})


async def _rows(job: Job, leaving: asyncio.Future[None]) -> Vectors:
    """Wait for the job, and end it when the client leaves.

    Raises:
        Refusal: it could not be done.
        ClientLeftError: the client has gone.
    """
    result = asyncio.ensure_future(job.result())
    try:
        await asyncio.wait((result, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientLeftError
        return await result
    except (Refusal, ClientLeftError):
        raise
    except Exception as error:
        logger.exception("a request for embeddings failed")
        raise errors.internal() from error
    finally:
        job.end(End.LEFT)
        result.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _written(prepared: Prepared, rows: Vectors) -> bytes:
    return orjson.dumps(prepared.respond(rows), option=orjson.OPT_SERIALIZE_NUMPY)


def _usage(job: Job) -> bytes:
    return orjson.dumps({"prompt_tokens": job.prompt_tokens, "completion_tokens": 0, "cached_tokens": 0})
