"""What the engine serves, path by path. All of it but generated responses is made here and waits for no
slot; whatever may take long runs in a worker thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar

from runtime.engine import errors
from runtime.engine.api.dialects.preparation import DialectPreparation
from runtime.engine.api.preparation import Preparation
from runtime.engine.api.prepared import Prepared
from runtime.engine.embedding.service import Embeddings
from runtime.engine.generation.model import GuardedLlama
from runtime.engine.grammar.constraint import Constraint, Grammar
from runtime.engine.http.asgi import Receive, Scope, Send, header, read_body, send_bytes, send_json
from runtime.engine.http.docs import openapi, swagger
from runtime.engine.http.embeddings import EmbeddingPaths
from runtime.engine.http.exchange import Exchange
from runtime.engine.http.for_proxy import (
    MAX_ID_CHARACTERS,
    REQUEST_HEADER,
    USAGE_HEADER,
    UsageBook,
    user,
)
from runtime.engine.http.front import Handler, dispatch
from runtime.engine.http.generated import GeneratedResponse
from runtime.engine.http.models import described, described_beside, listed, named
from runtime.engine.http.workers import Make, answering, background_threads, tokenizing_paths
from runtime.engine.images.service import Images
from runtime.engine.metrics import Metrics
from runtime.engine.settings import EngineSettings
from runtime.engine.stock import StockApp
from runtime.engine.vocabulary import Vocabulary

Prepare = Callable[[bytes], Prepared]
Result = TypeVar("Result")

_MODEL = "/v1/models/"
_USAGE = "/internal/usage/"
_VALIDATE = "/internal/validate/"


class Routes:
    """The API of one loaded model, as an ASGI app."""

    def __init__(
        self,
        stock: StockApp,
        llama: GuardedLlama,
        embeddings: Embeddings,
        settings: EngineSettings,
        metrics: Metrics,
        *,
        images: Images | None = None,
    ) -> None:
        self._stock = stock
        self._images = images
        self._llama = llama
        self._embeddings = embeddings
        self._settings = settings
        self._metrics = metrics
        created = int(time.time())
        alias, n_ctx = settings.model_alias, llama.n_ctx()
        self._models_described = [
            described(alias, n_ctx=n_ctx, created=created, generates=True),
            *described_beside(embeddings, created=created),
        ]
        self._preparation = prepare = Preparation(llama, settings, images)
        # Separate pools: slow work in one must not delay the preparation of other requests.
        self._preparing = ThreadPoolExecutor(4, "preparing")
        self._tokenizing = background_threads(2, "tokenizing")
        self._compiling = ThreadPoolExecutor(1, "compiling")
        self._decoding = ThreadPoolExecutor(2, "decoding")
        self._exchange = Exchange(stock)
        self._usage_book = UsageBook()
        self._document = openapi(stock)
        embedding = EmbeddingPaths(embeddings, settings, self._usage_book)
        self._checked: dict[Handler, Callable[[bytes], object]] = dict(embedding.checked)
        """What checks the requests of each handler that has a model work."""
        self._table = self._routes(prepare, embedding)

    def _routes(self, prepare: Preparation, embedding: EmbeddingPaths) -> dict[str, tuple[str, Handler]]:
        """Each path's method and handler."""
        dialects = DialectPreparation(prepare)
        completion = self._generating(prepare.completion)
        return {
            "/v1/chat/completions": ("POST", self._generating(prepare.chat)),
            "/v1/completions": ("POST", completion),
            "/v1/engines/copilot-codex/completions": ("POST", completion),
            "/v1/responses": ("POST", self._generating(dialects.responses)),
            "/v1/messages": ("POST", self._generating(dialects.messages)),
            "/v1/messages/count_tokens": (
                "POST",
                self._counting(lambda body: {"input_tokens": dialects.message_tokens(body)}),
            ),
            **embedding.table,
            "/v1/models": ("GET", self._models),
            **{path: ("POST", self._made(make)) for path, make in self._tokenizing_paths().items()},
            "/metrics": ("GET", self._show_metrics),
            "/openapi.json": ("GET", self._show_openapi),
            "/docs": ("GET", self._show_docs),
            _MODEL: ("GET", self._model),
            _USAGE: ("GET", self._usage),
            "/internal/progress": ("GET", self._progress),
            _VALIDATE: ("POST", self._validate),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await dispatch(self._table, scope, receive, send)

    def _generating(self, prepare: Prepare) -> Handler:
        """A handler that has the model generate."""

        async def handler(scope: Scope, receive: Receive, send: Send) -> None:
            body = await self._body(receive)
            await self._exchange.run(
                scope, receive, send, prepare=lambda: self._prepared(scope, prepare, body)
            )

        self._checked[handler] = prepare
        return handler

    async def _validate(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out whether a request would be refused, without a slot and behind everything else.

        What takes long is left out: whether a new schema or grammar compiles.
        """
        path = scope["path"].removeprefix(_VALIDATE)
        route = self._table.get(f"/{path}")
        prepare = None if route is None else self._checked.get(route[1])
        if prepare is None:
            raise errors.unknown_url(scope["method"], scope["path"])
        body = await self._body(receive)
        async with self._turn(scope, body):
            await self._in_thread(self._tokenizing, prepare, body)
        await send_json(send, 200, {"valid": True})

    async def _prepared(self, scope: Scope, prepare: Prepare, body: bytes) -> GeneratedResponse:
        async with self._turn(scope, body):
            prepared = await self._in_thread(self._preparing, prepare, body)
            constraint = None if prepared.grammar is None else await self._compiled(prepared.grammar)
            if self._images is not None and (placed := prepared.generations[0].prompt.pictures):
                await self._images.encode([one.picture for one in placed], user(scope).tag)
        for generation in prepared.generations:
            generation.user = user(scope)
            if constraint is not None:
                generation.constraint = constraint.copy()
        if request_id := header(scope, REQUEST_HEADER):
            self._usage_book.begin(request_id[:MAX_ID_CHARACTERS], prepared.generations)
        tells_usage = header(scope, USAGE_HEADER) is not None
        return GeneratedResponse(prepared, self._llama.scheduler, tells_usage=tells_usage)

    def _may_have_images(self, body: bytes) -> bool:
        return self._images is not None and b"image" in body

    def _turn(self, scope: Scope, body: bytes) -> AbstractAsyncContextManager[object]:
        """The user's turn at reading images; at once for what has none."""
        if self._images is None or not self._may_have_images(body):
            return nullcontext()
        return self._images.turn_of(user(scope).tag)

    async def _in_thread(
        self, pool: ThreadPoolExecutor, make: Callable[[bytes], Result], body: bytes
    ) -> Result:
        """What is made of a body, in a thread of the pool; of images, in threads of their own."""
        if self._may_have_images(body):
            pool = self._decoding
        return await asyncio.get_running_loop().run_in_executor(pool, make, body)

    def _counting(self, make: Make) -> Handler:
        """A handler that counts a prompt's tokens, which may be those of images."""

        async def handler(scope: Scope, receive: Receive, send: Send) -> None:
            body = await self._body(receive)
            async with self._turn(scope, body):
                counted = await self._in_thread(self._tokenizing, make, body)
            await send_json(send, 200, counted)

        return handler

    async def _compiled(self, grammar: Grammar) -> Constraint:
        # What has been compiled before does not wait behind others that take long.
        is_known = self._llama.constraints.is_known(grammar)
        return await asyncio.get_running_loop().run_in_executor(
            self._preparing if is_known else self._compiling, self._llama.constraints.compile, grammar
        )

    async def _usage(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope["path"].removeprefix(_USAGE)
        usage = await self._usage_book.usage(request_id)
        if usage is None:
            raise errors.unknown_request()
        await send_json(send, 200, usage)

    async def _progress(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, self._usage_book.progress())

    async def _body(self, receive: Receive) -> bytes:
        return await read_body(receive, self._settings.max_body_bytes)

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, listed(self._models_described))

    async def _model(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix(_MODEL)
        found = named(name, self._models_described)
        if found is None:
            self._preparation.check_model(name)
        await send_json(send, 200, found or self._models_described[0])

    def _tokenizing_paths(self) -> dict[str, Make]:
        """With the vocabulary of the model that a request names, of those that embed too."""

        def vocabulary_of(name: str | None) -> Vocabulary:
            return self._embeddings.vocabulary_of(name) or self._preparation.vocabulary_of(name)

        return tokenizing_paths(vocabulary_of, n_ctx=max(self._llama.n_ctx(), self._embeddings.n_ctx))

    def _made(self, make: Make) -> Handler:
        return answering(self._tokenizing, make, limit_bytes=self._settings.max_body_bytes)

    async def _show_metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = self._metrics.render()
        await send_bytes(send, 200, content, [], kind=self._metrics.media_type.encode())

    async def _show_openapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, self._document)

    async def _show_docs(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = swagger(self._document)
        await send_bytes(send, 200, page, [], kind=b"text/html; charset=utf-8")
