"""Runs the model server: `python -m runtime.engine [--model FILE | --selected]`.

Without arguments it serves the model that `python -m runtime.models select` names. The port is
claimed first and answers 503 until the model is loaded (GET /health tells when). After
LLAMA_SERVER_IDLE_SECONDS without a request the process becomes `asleep.py` (see idle.py). Exit status: 0
after SIGTERM; 1, with the reason as the last line, when the configuration, the model or the port is bad.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Never, cast

import uvicorn

from runtime.config import Config, ConfigError, bracketed, load
from runtime.engine import idle, tuning
from runtime.engine.app import EMBEDDING_SLOTS, Engine, LoadError
from runtime.engine.http.protocol import BoundedProtocol, protocol_for
from runtime.engine.settings import THREAD_STACK_BYTES, EngineSettings
from runtime.machine import ports
from runtime.models import embedding_models, projectors, selection

logger = logging.getLogger("engine")


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT, which end the process; 1 when the start failed."""
    options = _parse(arguments)
    _log_to_stderr()
    for name, value in tuning.WAIT_POLICY.items():
        os.environ.setdefault(name, value)
    handover = idle.taken_over(os.environ)
    try:
        config = load()
        beside = embedding_models.beside(config)
        settings = EngineSettings.from_config(
            config, _model(config, options), beside=beside, mmproj=projectors.chosen(config)
        )
        if handover is None:
            listener = ports.claim(settings.host, settings.port)
        else:
            listener = idle.socket_of(handover.listener)
    except (ConfigError, selection.ModelError, ports.PortError) as error:
        logger.error("%s", error)
        return 1
    for warning in config.warnings:
        logger.warning("%s", warning)
    return _serve(settings, listener, handover)


def _serve(settings: EngineSettings, listener: socket.socket, handover: idle.Handover | None) -> int:
    url = f"http://{bracketed(settings.host)}:{settings.port}"
    logger.info("loading %s, listening on %s", settings.model_path, url)
    if not settings.api_key:
        logger.warning("LLAMA_SERVER_API_KEY is not set: whoever reaches %s may use it", url)
    threading.stack_size(THREAD_STACK_BYTES)
    engine = Engine(settings, is_waking=handover is not None)
    kept = listener.dup()
    server = _Server(
        engine,
        settings.idle_s,
        [idle.socket_of(one) for one in (handover.connections if handover else ())],
        uvicorn.Config(
            engine,
            lifespan="off",
            http=protocol_for(settings.stall_s),
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=math.ceil(settings.stop_s),
        ),
    )
    failures: list[str] = []
    threading.Thread(target=_load, args=(engine, server, settings, failures), daemon=True).start()
    server.run(sockets=[listener])
    if server.is_idle:
        logger.info("unloading the model: nobody has asked for %g s", settings.idle_s)
        embedding_slots = EMBEDDING_SLOTS if settings.embedders else 0
        idle.become(
            idle.ASLEEP,
            idle.Handover(
                listener=kept.fileno(),
                slots=settings.n_slots,
                embedding_slots=embedding_slots,
                model=settings.model_alias,
            ),
        )
    for failure in failures:
        logger.error("%s", failure)
    return 1


class _Server(uvicorn.Server):
    """uvicorn, with the engine's watchdog beside it and its responses ended first when it stops.

    Args:
        engine: the app.
        idle_s: seconds without a request after which it ends, with `is_idle` set; 0: never.
        waiting: connections that were accepted before it began.
        config: uvicorn's.
    """

    def __init__(
        self, engine: Engine, idle_s: float, waiting: list[socket.socket], config: uvicorn.Config
    ) -> None:
        super().__init__(config)
        self._engine = engine
        self._idle_s = idle_s
        self._waiting = waiting
        self.is_idle = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._watching = asyncio.create_task(self._engine.watch())
        loop = asyncio.get_running_loop()
        for connection in self._waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        if self._idle_s:
            self._idling = asyncio.create_task(self._end_when_idle())

    def _protocol(self) -> asyncio.Protocol:
        protocol = cast("type[BoundedProtocol]", self.config.http)
        return protocol(self.config, self.server_state, self.lifespan.state)

    async def _end_when_idle(self) -> None:
        """End when nobody asks. The port stays open: new connections wait for the stand-in."""
        while self._engine.idle_s < self._idle_s or self.server_state.connections:  # noqa: ASYNC110
            await asyncio.sleep(min(1.0, self._idle_s / 4))
        for server in self.servers:
            server.close()
        while self.server_state.connections:  # noqa: ASYNC110 - accepted just before
            await asyncio.sleep(0.05)
        self.is_idle = self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._engine.stop()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m runtime.engine")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--model", metavar="FILE", default="", help="serve this GGUF file")
    choice.add_argument(
        "--selected",
        action="store_true",
        help="serve the model that was served last, LLAMA_SERVER_MODEL notwithstanding",
    )
    return parser.parse_args(arguments)


def _model(config: Config, options: argparse.Namespace) -> selection.Model:
    return selection.select(config, options.model, last_used_first=options.selected)


def _log_to_stderr() -> None:
    # A descriptor of its own: llama_cpp sends number 2 to /dev/null while it loads a model.
    stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    logging.basicConfig(
        stream=stream, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _load(engine: Engine, server: uvicorn.Server, settings: EngineSettings, failures: list[str]) -> None:
    """Load the model beside the running server; a failure ends the server."""
    started = time.monotonic()
    try:
        engine.load()
    except LoadError as error:
        failures.append(str(error))
        server.should_exit = True
    except BaseException:
        server.should_exit = True
        failures.append("the model could not be loaded; the trace above tells where")
        raise
    else:
        seconds = time.monotonic() - started
        threads = settings.n_threads
        logger.info("ready: %s after %.1f s, %d threads", settings.model_alias, seconds, threads)


def _exit(status: int) -> Never:
    """End at once. llama.cpp cannot be interrupted: a thread that loads or generates would hold up a
    regular exit, or crash when the library's own data are destroyed under it.
    """
    with suppress(RuntimeError):  # a signal's handler may have interrupted the writing of a line
        logging.shutdown()
        sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    # uvicorn takes the signals over, shuts down in order and then raises them again, for these.
    idle.heed_stops(lambda *_: _exit(0))
    _exit(main(sys.argv[1:]))
