"""The engine as one ASGI app: health, "still loading", and the API round llama_cpp.server's app.

From the outside to the inside: CORS, if configured; `Engine` answers /health; `Front` (ids, errors); a
503 until the model is loaded; `KeyCheck`; `Routes`; and, for what is to be generated, `Exchange` and
the stock app. A new path is a line in `Routes`' table.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from runtime.config import Origins
from runtime.engine import errors, tuning
from runtime.engine.http.asgi import App, Receive, Scope, Send, send_bytes
from runtime.engine.http.cors import CrossOrigin
from runtime.engine.http.front import Front, KeyCheck
from runtime.engine.idle import Activity
from runtime.engine.metrics import Metrics
from runtime.engine.settings import EngineSettings
from runtime.engine.watchdog.progress import Progress, Watchdog

if TYPE_CHECKING:
    from runtime.engine.embedding.service import Embeddings
    from runtime.engine.generation.model import GuardedLlama
    from runtime.engine.images.service import Images
    from runtime.engine.watchdog.llama_log import LlamaLog

HEALTH = "/health"
METRICS = "/metrics"
"""Reading them does not keep the model loaded."""
WAKING_POLL_S = 0.05
EMBEDDING_SLOTS = 8
"""Requests for embeddings and reranking that the proxy should send at a time: they share batches."""


class LoadError(Exception):
    """The model could not be loaded. The text is one line that says why."""


class Engine:
    """The ASGI app. It may be served before `load` has ended, in another thread than `load` runs in.

    Args:
        settings: the engine's.
        is_waking: the model was unloaded because nobody asked; requests wait until it is loaded again.
    """

    def __init__(self, settings: EngineSettings, *, is_waking: bool = False) -> None:
        self._settings = settings
        self._is_waking = is_waking
        self._activity = Activity()
        self._metrics = Metrics()
        self._api: App | None = None
        """None until the model is loaded."""
        self._front: App = Front(self._served, self._metrics)
        self._outermost: App = self._answer
        if settings.cors_origins:
            self._outermost = CrossOrigin(self._answer, Origins(settings.cors_origins))
        self._llama: GuardedLlama | None = None
        self._embeddings: Embeddings | None = None
        self._log: LlamaLog | None = None
        self._stopping = False
        self._progress = [Progress()]
        """Of the model that generates, then of those that embed."""
        self._watchdog = Watchdog(self._progress, hang_s=settings.hang_s, log=sys.stderr)

    def load(self) -> None:
        """Load the models; takes from seconds to minutes.

        Raises:
            LoadError: one of them cannot be loaded.
        """
        # Late: they import llama_cpp, and the second that takes is not for the port's check to wait.
        from runtime.engine.http import embedding_only  # noqa: PLC0415
        from runtime.engine.watchdog import llama_log  # noqa: PLC0415

        settings = self._settings
        self._log = log = llama_log.LlamaLog(verbose=settings.verbose)
        table: App
        if settings.generates:
            table = self._load_generating(log)
        else:
            table = embedding_only.EmbeddingOnlyRoutes(
                self._load_embedding(log), settings, self._metrics
            )
        log.is_expected = self._is_aborting
        self._api = KeyCheck(table, settings.api_key)

    def _load_generating(self, log: LlamaLog) -> App:
        from runtime.engine import stock  # noqa: PLC0415
        from runtime.engine.http import generated, routes  # noqa: PLC0415

        settings, metrics = self._settings, self._metrics
        with _load_errors(settings.model_path, log):
            app, llama = stock.build(settings, metrics, self._progress[0], generated.Endpoint())
        self._llama = llama
        embeddings, images = self._load_embedding(log), self._load_images(llama, log)
        return routes.Routes(app, llama, embeddings, settings, metrics, images=images)

    def _load_images(self, llama: GuardedLlama, log: LlamaLog) -> Images | None:
        settings = self._settings
        if settings.mmproj is None:
            return None
        from runtime.engine.http.workers import background_threads  # noqa: PLC0415
        from runtime.engine.images import service  # noqa: PLC0415

        try:
            from runtime.engine.images.projector import Projector  # noqa: PLC0415
        except (OSError, RuntimeError) as error:
            raise LoadError(f"{settings.mmproj}: {tuning.NO_IMAGE_LIBRARY}") from error

        with _load_errors(settings.mmproj, log):
            projector = Projector(
                settings.mmproj,
                llama.model,
                n_threads=settings.n_threads_batch,
                uses_gpu=settings.n_gpu_layers != 0,
                set_log=log.receive,
            )
        images = service.Images(
            projector,
            background_threads(1, "images"),
            most_at_once=llama.n_ubatch(),
            seconds=settings.request_s,
        )
        self._progress.append(images.progress)
        return images

    def _load_embedding(self, log: LlamaLog) -> Embeddings:
        from runtime.engine.embedding import service  # noqa: PLC0415

        served = []
        for embedder in self._settings.embedders:
            with _load_errors(embedder.path, log):
                served.append(service.Served(embedder, self._metrics, self._is_generating))
        self._progress += [one.progress for one in served]
        self._embeddings = embeddings = service.Embeddings(served, self._settings)
        return embeddings

    def _is_aborting(self) -> bool:
        return self._stopping

    def _is_generating(self) -> bool:
        return self._llama is not None and self._llama.scheduler.n_running > 0

    @property
    def is_stuck(self) -> bool:
        """Whether the model makes no progress; `watch` ends the process soon then."""
        return self._watchdog.stuck

    async def watch(self) -> None:
        """Look after the model and the event loop, until cancelled."""
        await self._watchdog.run()

    def stop(self) -> None:
        """Have the running response end now, and all that wait. A signal's handler may call it."""
        self._stopping = True
        if self._llama is not None:
            self._llama.scheduler.stop()
        if self._embeddings is not None:
            self._embeddings.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._outermost(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == HEALTH:
            await self._answer_health(send)
        elif scope["path"] == METRICS:
            await self._front(scope, receive, send)
        else:
            with self._activity.request():
                await self._front(scope, receive, send)

    @property
    def idle_s(self) -> float:
        """Seconds without a request; 0 while the model is being loaded."""
        return 0.0 if self._api is None else self._activity.idle_s()

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._stopping:
            raise errors.stopping()
        # `load` runs in another thread.
        while self._api is None and self._is_waking and not self._stopping:  # noqa: ASYNC110
            await asyncio.sleep(WAKING_POLL_S)
        if self._api is None:
            raise errors.starting()
        await self._api(scope, receive, send)

    async def _answer_health(self, send: Send) -> None:
        """Asks for no key, and waits for nothing."""
        state = "ok" if self._api is not None else "waking" if self._is_waking else "loading"
        if self.is_stuck:
            state = "stuck"
        elif self._stopping:
            state = "stopping"
        status = 200 if state in ("ok", "waking") else 503
        headers = [] if status == 200 else [(b"retry-after", str(errors.RETRY_AFTER_S).encode())]
        scheduler = None if self._llama is None else self._llama.scheduler
        body = orjson.dumps(
            {
                "status": state,
                "slots": self._settings.n_slots,
                "running": 0 if scheduler is None else scheduler.n_running,
                "waiting": 0 if scheduler is None else scheduler.n_waiting,
                "embedding_slots": EMBEDDING_SLOTS if self._settings.embedders else 0,
                "model": self._settings.model_alias,
            }
        )
        await send_bytes(send, status, body, headers, kind=b"application/json")


@contextmanager
def _load_errors(path: Path, log: LlamaLog) -> Iterator[None]:
    """Turn whatever goes wrong while a file is loaded into a LoadError."""
    from runtime.engine.images import ProjectorError  # noqa: PLC0415
    from runtime.engine.templates.chat_template import ChatTemplateError  # noqa: PLC0415

    try:
        yield
    except Exception as error:
        ours = str(error) if isinstance(error, ChatTemplateError | ProjectorError) else ""
        reason = " ".join((ours or log.first_error or str(error) or repr(error)).split())
        raise LoadError(f"{path}: could not be loaded: {reason}") from error
