"""llama_cpp.server's own app, built from our settings.

Imports llama_cpp, which takes a second: import it late.
"""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping

import llama_cpp
from llama_cpp.llama_chat_format import get_chat_completion_handler
from llama_cpp.server.app import create_app
from llama_cpp.server.settings import ModelSettings, ServerSettings, Settings

from runtime.engine.settings import EngineSettings
from runtime.engine.wire import App

logger = logging.getLogger(__name__)


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


def build(settings: EngineSettings) -> App:
    """The stock app, with the model loaded; takes from seconds to minutes.

    Raises:
        Exception: whatever llama_cpp raises when it cannot load the model.
    """
    if names := clear_environment(os.environ):
        logger.info("ignored from the environment: %s", ", ".join(names))
    if settings.chat_format is not None:
        _check_chat_format(settings.chat_format)
    server = ServerSettings(
        host=settings.host,
        port=settings.port,
        api_key=settings.api_key or None,
        interrupt_requests=False,  # else any request cuts the stream that is running
    )
    app: App = create_app(server_settings=server, model_settings=[_model_settings(settings)])
    return app


def _check_chat_format(name: str) -> None:
    """Raise ValueError on an unknown one, which the first request would find out otherwise."""
    try:
        get_chat_completion_handler(name)
    except Exception as error:
        raise ValueError(f"LLAMA_SERVER_CHAT_FORMAT: {error}") from error


def _model_settings(settings: EngineSettings) -> ModelSettings:
    layers = settings.n_gpu_layers
    if layers is None:
        layers = -1 if llama_cpp.llama_supports_gpu_offload() else 0
    return ModelSettings(
        model=str(settings.model_path),
        model_alias=settings.model_alias,
        n_ctx=settings.n_ctx,
        n_batch=settings.n_batch,
        n_threads=settings.n_threads,
        n_threads_batch=settings.n_threads_batch,
        n_gpu_layers=layers,
        chat_format=settings.chat_format,
        flash_attn=settings.flash_attn,
        use_mmap=settings.use_mmap,
        use_mlock=settings.use_mlock,
        logits_all=settings.logprobs,  # takes n_ctx × vocabulary × 4 bytes
        verbose=settings.verbose,
    )
