"""llama_cpp.server's own app, built from our settings and with our model in it.

Imports llama_cpp, which takes a second: import it late.
"""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping
from typing import Any

import llama_cpp
from fastapi import FastAPI
from llama_cpp.server import app as stock_app
from llama_cpp.server.settings import ModelSettings, ServerSettings, Settings
from starlette.routing import Route
from starlette.types import ASGIApp

from runtime.engine.generation.model import GuardedLlama
from runtime.engine.metrics import Metrics
from runtime.engine.settings import EngineSettings
from runtime.engine.templates.chat_template import check_chat_format
from runtime.engine.watchdog.progress import Progress

logger = logging.getLogger(__name__)

StockApp = FastAPI
GENERATING_PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/engines/copilot-codex/completions",
    "/v1/messages",
    "/v1/responses",
)


def clear_environment(environ: MutableMapping[str, str]) -> list[str]:
    """Remove what llama_cpp.server would read from the environment; returns the names removed.

    It takes every setting we do not pass from a variable of the same name, in any case, without a
    prefix: a stray SEED, CACHE or CONFIG_FILE would change the server.
    """
    known = {"config_file", *Settings.model_fields}
    found = sorted(name for name in environ if name.lower() in known)
    for name in found:
        del environ[name]
    return found


def build(
    settings: EngineSettings, metrics: Metrics, progress: Progress, endpoint: ASGIApp
) -> tuple[StockApp, GuardedLlama]:
    """The stock app and the model it serves; takes from seconds to minutes.

    To be called once in a process: the app and its model are the module's own globals.

    Args:
        settings, metrics, progress: the engine's.
        endpoint: an ASGI app that replaces the stock app's endpoints on `GENERATING_PATHS`.

    Raises:
        Exception: whatever llama_cpp raises when it cannot load the model.
    """
    if names := clear_environment(os.environ):
        logger.info("ignored from the environment: %s", ", ".join(names))
    if settings.chat_format is not None:
        check_chat_format(settings.chat_format)
    made: list[GuardedLlama] = []

    class Served(GuardedLlama):
        """The class from which the stock app creates its model."""

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(
                n_slots=settings.n_slots,
                template=settings.chat_format,
                cache_bytes=settings.cache_bytes,
                looks_up=settings.looks_up,
                adjusts_threads=settings.adjusts_threads,
                metrics=metrics,
                progress=progress,
                **kwargs | {"flash_attn": settings.flash_attn},
            )
            made.append(self)

    # The app takes the class from this module when it loads.
    llama_cpp.Llama = Served  # type: ignore[misc, assignment]
    server = ServerSettings(
        host=settings.host,
        port=settings.port,
        api_key=settings.api_key or None,
    )
    app: StockApp = stock_app.create_app(
        server_settings=server, model_settings=[_model_settings(settings)]
    )
    for path in GENERATING_PATHS:
        # Inserted before the stock app's own routes, which hold a lock for the whole response.
        app.router.routes.insert(0, Route(path, endpoint, methods=["POST"]))
    return app, made[0]


def _model_settings(settings: EngineSettings) -> ModelSettings:
    return ModelSettings(
        model=str(settings.model_path),
        model_alias=settings.model_alias,
        n_ctx=settings.n_ctx,
        n_batch=settings.n_batch,
        n_threads=settings.n_threads,
        n_threads_batch=settings.n_threads_batch,
        n_gpu_layers=settings.n_gpu_layers,
        use_mmap=settings.use_mmap,
        use_mlock=settings.use_mlock,
        logits_all=False,  # takes n_ctx × vocabulary × 4 bytes, and nothing here needs it
        verbose=settings.verbose,
    )
