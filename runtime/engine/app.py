"""The engine as one ASGI app: health, "still loading", and the API round llama_cpp.server's app.

From the outside to the inside: CORS, if configured; `Engine` answers /health; `Front` (ids, errors); a
503 until the model is loaded; `KeyCheck`; `Routes`; and, for what is to be generated, `Exchange` and
the stock app. A new path is a line in `Routes`' table.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import orjson

from runtime.config import Origins
from runtime.engine import errors
from runtime.engine.http.asgi import App, Receive, Scope, Send, send_bytes
from runtime.engine.http.cors import CrossOrigin
from runtime.engine.http.front import Front, KeyCheck
from runtime.engine.metrics import Metrics
from runtime.engine.settings import EngineSettings
from runtime.engine.watchdog.progress import Progress, Watchdog

if TYPE_CHECKING:
    from runtime.engine.generation.model import GuardedLlama
    from runtime.engine.watchdog.llama_log import LlamaLog

HEALTH = "/health"


class LoadError(Exception):
    """The model could not be loaded. The text is one line that says why."""


class Engine:
    """The ASGI app. It may be served before `load` has ended, in another thread than `load` runs in."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._api: App | None = None
        """None until the model is loaded."""
        self._front: App = Front(self._served, self._metrics)
        self._outermost: App = self._answer
        if settings.cors_origins:
            self._outermost = CrossOrigin(self._answer, Origins(settings.cors_origins))
        self._llama: GuardedLlama | None = None
        self._log: LlamaLog | None = None
        self._stopping = False
        self._progress = Progress()
        self._watchdog = Watchdog(self._progress, hang_s=settings.hang_s, log=sys.stderr)

    def load(self) -> None:
        """Load the model; takes from seconds to minutes.

        Raises:
            LoadError: it cannot be loaded.
        """
        # Late: they import llama_cpp, and the second that takes is not for the port's check to wait.
        from runtime.engine import stock  # noqa: PLC0415
        from runtime.engine.http import generated, routes  # noqa: PLC0415
        from runtime.engine.templates.chat_template import ChatTemplateError  # noqa: PLC0415
        from runtime.engine.watchdog import llama_log  # noqa: PLC0415

        self._log = llama_log.LlamaLog(verbose=self._settings.verbose)
        try:
            app, llama = stock.build(self._settings, self._metrics, self._progress, generated.Endpoint())
        except Exception as error:
            ours = str(error) if isinstance(error, ChatTemplateError) else ""
            reason = " ".join((ours or self._log.first_error or str(error) or repr(error)).split())
            raise LoadError(f"{self._settings.model_path}: could not be loaded: {reason}") from error
        table = routes.Routes(app, llama, self._settings, self._metrics)
        self._llama = llama
        self._log.is_expected = lambda: llama.scheduler.is_aborting
        self._api = KeyCheck(table, self._settings.api_key)

    async def watch(self) -> None:
        """Look after the model and the event loop, until cancelled."""
        await self._watchdog.run()

    def stop(self) -> None:
        """Have the running response end now, and all that wait. A signal's handler may call it."""
        self._stopping = True
        if self._llama is not None:
            self._llama.scheduler.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._outermost(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == HEALTH:
            await self._answer_health(send)
        else:
            await self._front(scope, receive, send)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._stopping:
            raise errors.stopping()
        if self._api is None:
            raise errors.starting()
        await self._api(scope, receive, send)

    async def _answer_health(self, send: Send) -> None:
        """Asks for no key, and waits for nothing."""
        state = "ok" if self._api is not None else "loading"
        if self._watchdog.stuck:
            state = "stuck"
        elif self._stopping:
            state = "stopping"
        status = 200 if state == "ok" else 503
        headers = [] if state == "ok" else [(b"retry-after", str(errors.RETRY_AFTER_S).encode())]
        scheduler = None if self._llama is None else self._llama.scheduler
        body = orjson.dumps(
            {
                "status": state,
                "slots": self._settings.n_slots,
                "running": 0 if scheduler is None else scheduler.n_running,
                "waiting": 0 if scheduler is None else scheduler.n_waiting,
            }
        )
        await send_bytes(send, status, body, headers, kind=b"application/json")
