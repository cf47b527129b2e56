"""The engine as one ASGI app: health, "still loading", our guards, and llama_cpp.server's app inside.

The order, from the outside: `Engine` answers /health and, until the model is loaded, everything else
with a 503; then come the layers of `_guarded`; then the stock app. A new guard is a layer, or a
rule for the body, and is added in `_guarded`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.engine.guards import BodyRules, Rule, name_model, refuse_logprobs
from runtime.engine.settings import EngineSettings
from runtime.engine.wire import App, Message, Receive, Refusal, Send, send_json, send_refusal

if TYPE_CHECKING:
    from runtime.engine.llama_log import LlamaLog

HEALTH = "/health"
RETRY_AFTER_S = 5


class LoadError(Exception):
    """The model could not be loaded. The text is one line that says why."""


class Engine:
    """The ASGI app. It may be served before `load` has ended, in another thread than `load` runs in."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._app: App | None = None
        self._log: LlamaLog | None = None

    def load(self) -> None:
        """Load the model; takes from seconds to minutes.

        Raises:
            LoadError: it cannot be loaded.
        """
        # Late: they import llama_cpp, and the second that takes is not for the port's check to wait.
        from runtime.engine import llama_log, stock  # noqa: PLC0415

        self._log = llama_log.LlamaLog(verbose=self._settings.verbose)
        try:
            app = stock.build(self._settings)
        except Exception as error:
            reason = " ".join((self._log.first_error or str(error) or repr(error)).split())
            raise LoadError(f"{self._settings.model_path}: could not be loaded: {reason}") from error
        self._app = _guarded(app, self._settings)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == HEALTH:
            await self._answer_health(send)
        elif self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await send_refusal(send, _starting())

    async def _answer_health(self, send: Send) -> None:
        """Asks neither for the key nor for the model's lock, which a generation holds to its end."""
        if self._app is None:
            await send_json(send, 503, {"status": "loading"}, retry_after_s=RETRY_AFTER_S)
        else:
            await send_json(send, 200, {"status": "ok"})


def _starting() -> Refusal:
    return Refusal(
        status=503,
        message="The model is being loaded. Please try again in a few seconds.",
        type="service_unavailable_error",
        code="starting",
        retry_after_s=RETRY_AFTER_S,
    )


def _guarded(app: App, settings: EngineSettings) -> App:
    """The layers round the stock app, the innermost first."""
    rules: list[Rule] = [name_model(settings.model_alias)]
    if not settings.logprobs:
        rules.append(refuse_logprobs)
    layers: list[Callable[[App], App]] = [lambda inner: BodyRules(inner, rules)]
    for layer in layers:
        app = layer(app)
    return app
