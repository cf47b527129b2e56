"""Runs the model server: `python -m runtime.engine [--model FILE | --selected]`.

Without arguments it serves the model that `python -m runtime.models select` names. The port is
claimed first and answers 503 until the model is loaded (GET /health tells when). Exit status: 0 after
SIGTERM; 1, with the reason as the last line, when the configuration, the model or the port is bad.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Never

import uvicorn

from runtime.config import Config, ConfigError, bracketed, load
from runtime.engine import tuning
from runtime.engine.app import Engine, LoadError
from runtime.engine.http.protocol import BoundedProtocol
from runtime.engine.settings import THREAD_STACK_BYTES, EngineSettings
from runtime.machine import ports
from runtime.models import embedding_models, selection

logger = logging.getLogger("engine")


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT, which end the process; 1 when the start failed."""
    options = _parse(arguments)
    _log_to_stderr()
    for name, value in tuning.WAIT_POLICY.items():
        os.environ.setdefault(name, value)
    try:
        config = load()
        beside = embedding_models.beside(config)
        settings = EngineSettings.from_config(config, _model(config, options), beside=beside)
        listener = ports.claim(settings.host, settings.port)
    except (ConfigError, selection.ModelError, ports.PortError) as error:
        logger.error("%s", error)
        return 1
    for warning in config.warnings:
        logger.warning("%s", warning)
    return _serve(settings, listener)


def _serve(settings: EngineSettings, listener: socket.socket) -> int:
    url = f"http://{bracketed(settings.host)}:{settings.port}"
    logger.info("loading %s, listening on %s", settings.model_path, url)
    if not settings.api_key:
        logger.warning("LLAMA_SERVER_API_KEY is not set: whoever reaches %s may use it", url)
    threading.stack_size(THREAD_STACK_BYTES)
    engine = Engine(settings)
    server = _Server(
        engine,
        uvicorn.Config(
            engine,
            lifespan="off",
            http=BoundedProtocol,
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
    for failure in failures:
        logger.error("%s", failure)
    return 1


class _Server(uvicorn.Server):
    """uvicorn, with the engine's watchdog beside it and its responses ended first when it stops."""

    def __init__(self, engine: Engine, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._engine = engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._watching = asyncio.create_task(self._engine.watch())

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
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _exit(0))
    _exit(main(sys.argv[1:]))
