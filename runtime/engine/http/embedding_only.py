"""What an engine serves whose model embeds or reranks and does not generate."""

from __future__ import annotations

import time

from runtime.engine import errors
from runtime.engine.embedding.service import Embeddings
from runtime.engine.http.asgi import Receive, Scope, Send, send_bytes, send_json
from runtime.engine.http.embeddings import EmbeddingPaths
from runtime.engine.http.for_proxy import UsageBook
from runtime.engine.http.front import Handler, dispatch
from runtime.engine.http.models import described_beside, listed, named
from runtime.engine.http.workers import Make, answering, background_threads, tokenizing_paths
from runtime.engine.metrics import Metrics
from runtime.engine.settings import EngineSettings
from runtime.engine.vocabulary import Vocabulary

GENERATING_PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/engines/copilot-codex/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/responses",
)
_MODEL = "/v1/models/"
_USAGE = "/internal/usage/"
_VALIDATE = "/internal/validate"


class EmbeddingOnlyRoutes:
    """The API of models that do not generate, as an ASGI app."""

    def __init__(self, embeddings: Embeddings, settings: EngineSettings, metrics: Metrics) -> None:
        self._embeddings = embeddings
        self._settings = settings
        self._metrics = metrics
        self._usage_book = UsageBook()
        self._tokenizing = background_threads(2, "tokenizing")
        self._models = described_beside(embeddings, created=int(time.time()))
        self._paths = EmbeddingPaths(embeddings, settings, self._usage_book)
        self._table: dict[str, tuple[str, Handler]] = {
            **self._paths.table,
            **{path: ("POST", self._made(make)) for path, make in self._tokenizing_paths().items()},
            **dict.fromkeys(GENERATING_PATHS, ("POST", self._refuse_to_generate)),
            "/v1/models": ("GET", self._list_models),
            "/metrics": ("GET", self._show_metrics),
            _MODEL: ("GET", self._show_model),
            _USAGE: ("GET", self._show_usage),
            f"{_VALIDATE}/": ("POST", self._validate),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await dispatch(self._table, scope, receive, send)

    def _tokenizing_paths(self) -> dict[str, Make]:
        def vocabulary_of(name: str | None) -> Vocabulary:
            first = self._embeddings.served[0]
            found = self._embeddings.vocabulary_of(name or first.settings.alias)
            if found is None and not self._settings.any_model:
                raise errors.model_not_found(self._settings.model_alias)
            return found or first.model.vocabulary

        return tokenizing_paths(vocabulary_of, n_ctx=self._embeddings.n_ctx)

    def _made(self, make: Make) -> Handler:
        return answering(self._tokenizing, make, limit_bytes=self._settings.max_body_bytes)

    async def _validate(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(_VALIDATE)
        if path in GENERATING_PATHS:
            raise errors.cannot_generate(self._settings.model_alias)
        await self._paths.validate(path, scope, receive, send)

    async def _refuse_to_generate(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise errors.cannot_generate(self._settings.model_alias)

    async def _list_models(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, listed(self._models))

    async def _show_model(self, scope: Scope, receive: Receive, send: Send) -> None:
        model = named(scope["path"].removeprefix(_MODEL), self._models)
        if model is None:
            raise errors.model_not_found(self._settings.model_alias)
        await send_json(send, 200, model)

    async def _show_metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = self._metrics.media_type.encode()
        await send_bytes(send, 200, self._metrics.render(), [], kind=kind)

    async def _show_usage(self, scope: Scope, receive: Receive, send: Send) -> None:
        usage = await self._usage_book.usage(scope["path"].removeprefix(_USAGE))
        if usage is None:
            raise errors.unknown_request()
        await send_json(send, 200, usage)
