"""A replica: our engine as Ray Serve runs it, one model in one process."""

from __future__ import annotations

import asyncio
import logging
import os
import threading

from ray import serve

from runtime.cluster.ingress import Answer, Ingress, answer_of
from runtime.config import load
from runtime.engine import tuning
from runtime.engine.app import Engine
from runtime.engine.http.asgi import App, Scope
from runtime.engine.settings import THREAD_STACK_BYTES, EngineSettings
from runtime.models import embedding_models, projectors, selection

logger = logging.getLogger("engine")

APPLICATION = "llamaserve"
DEPLOYMENT = "Engine"


@serve.ingress()
class Replica:
    """Serves the model that this machine's configuration names.

    Raises:
        ConfigError, ModelError, LoadError: Ray Serve shows the text in its status, and tries again.
    """

    def __init__(self) -> None:
        for name, value in tuning.WAIT_POLICY.items():
            os.environ.setdefault(name, value)
        config = load()
        beside = embedding_models.beside(config)
        settings = EngineSettings.from_config(
            config, selection.select(config), beside=beside, mmproj=projectors.chosen(config)
        )
        threading.stack_size(THREAD_STACK_BYTES)
        self._engine = Engine(settings)
        self._engine.load()
        # Ray calls this in the event loop that the requests will be in.
        self._watching = asyncio.create_task(self._engine.watch())
        logger.info("ready: %s, %d slots", settings.model_alias, settings.n_slots)

    def __serve_build_asgi_app__(self) -> App:
        """The app whose requests Ray Serve brings."""
        return Ingress(self._engine, serve.get_deployment_handle(DEPLOYMENT, APPLICATION))

    def check_health(self) -> None:
        """Ray Serve replaces a replica where this raises."""
        if self._engine.is_stuck:
            raise RuntimeError("the model makes no progress (LLAMA_SERVER_HANG_SECONDS)")

    async def ask(self, scope: Scope) -> Answer:
        """This replica's own answer to a request without a body; `Ingress` asks all replicas."""
        return await answer_of(self._engine, scope)
