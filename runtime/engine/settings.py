"""The engine's settings: those configured, and `machine/tuning.py`'s choice for those left open.

Knows nothing of llama_cpp: `app.py` translates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from runtime.config import Config
from runtime.engine import tuning
from runtime.models import embedding_models, projectors
from runtime.models.model_file import Pooling
from runtime.models.selection import Model, replaced_id

THREAD_STACK_BYTES = 16 * 2**20
"""The stack of every thread. The tokenizer's recursion needs it (`vocabulary.py`), and the system's
default may be much smaller."""


@dataclass(frozen=True, kw_only=True)
class EmbedderSettings:
    """A model that embeds or reranks."""

    path: Path
    alias: str
    pooling: Pooling
    n_ctx: int
    """The most tokens of an input; 0, and more than it was trained with, is the trained context."""
    n_threads: int
    adjusts_threads: bool
    """Whether there are fewer while the machine is busy: unless the number is set."""
    n_gpu_layers: int
    use_mmap: bool
    use_mlock: bool
    is_beside: bool
    """Whether another model generates, to which this one gives way."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """All that the engine is started with."""

    host: str
    port: int
    api_key: str = field(repr=False)
    """Empty: no key is asked for."""
    model_path: Path
    model_alias: str
    generates: bool
    """False: the model embeds or reranks, and is among the `embedders`."""
    embedders: tuple[EmbedderSettings, ...]
    n_slots: int
    """Responses that are generated at a time."""
    n_ctx: int
    """Tokens, of each slot; 0 is the model's own trained context."""
    shared_prefix: Literal["none", "system", "all"]
    """Which beginnings of prompts users share."""
    looks_up: bool
    """Whether tokens are guessed by prompt lookup."""
    n_batch: int
    n_threads: int
    """The number of threads that generate tokens."""
    adjusts_threads: bool
    """Whether fewer threads generate while other processes are busy."""
    n_threads_batch: int
    """The number of threads that evaluate prompts."""
    n_gpu_layers: int
    """-1 is all."""
    mmproj: Path | None
    """The projector with which it reads images; None: it reads text only."""
    chat_format: str | None
    """None: the model's own chat template."""
    flash_attn: bool | None
    """None: where llama.cpp has it."""
    use_mmap: bool
    use_mlock: bool
    verbose: bool
    max_tokens: int
    """The limit for a response whose request does not set one."""
    request_s: float
    """Seconds that one response may take of the model, prompt included."""
    hang_s: float
    """Seconds without a token or a batch of a prompt, after which the process is replaced."""
    idle_s: float
    """Seconds without a request after which the model is unloaded; 0: never."""
    stop_s: float
    """Seconds that connections have to end in after SIGTERM."""
    stall_s: float
    """Seconds after which a client that takes nothing of its response is given up."""
    cache_bytes: int
    """The memory limit of saved conversations."""
    max_body_bytes: int
    any_model: bool
    """Whether a request may name any model; the loaded model answers it."""
    replaced_alias: str
    """The name of the model that this one replaced while the appliance was running; empty if none. For
    `replaced_s` seconds requests may still use it, since they may have been sent before the switch."""
    replaced_s: float
    cors_origins: tuple[str, ...]

    @classmethod
    def from_config(
        cls,
        config: Config,
        model: Model,
        room_bytes: int | None = None,
        *,
        beside: Sequence[Model] = (),
        mmproj: Path | None = None,
    ) -> EngineSettings:
        """The settings for this machine.

        Args:
            config: the configuration.
            model: the one that is served.
            room_bytes: what it may take; None: ask, and leave room for those beside it.
            beside: models that embed or rerank beside it.
            mmproj: the projector with which it reads images.
        """
        if room_bytes is None:
            room_bytes = _room_bytes(config, beside)
        return cls(
            host=config.text("LLAMA_SERVER_HOST"),
            port=config.integer("LLAMA_SERVER_PORT"),
            api_key=config.text("LLAMA_SERVER_API_KEY"),
            model_path=model.path,
            model_alias=model.id,
            generates=model.pooling is None,
            embedders=_embedders(config, model, beside),
            n_slots=tuning.slots(config, model, room_bytes).value,
            n_ctx=tuning.context(config, model, room_bytes).value,
            shared_prefix=cast(
                'Literal["none", "system", "all"]', config.text("LLAMA_SERVER_SHARED_PREFIX")
            ),
            looks_up=config.switch("LLAMA_SERVER_PROMPT_LOOKUP"),
            n_threads=tuning.threads(config).value,
            adjusts_threads=tuning.adjusts_threads(config),
            n_threads_batch=tuning.threads_batch(config).value,
            n_gpu_layers=tuning.gpu_layers(config).value,
            mmproj=mmproj,
            chat_format=config.text("LLAMA_SERVER_CHAT_FORMAT") or None,
            flash_attn=config.maybe_switch("LLAMA_SERVER_FLASH_ATTN"),
            use_mmap=config.switch("LLAMA_SERVER_USE_MMAP"),
            use_mlock=config.switch("LLAMA_SERVER_USE_MLOCK"),
            verbose=config.switch("LLAMA_SERVER_VERBOSE"),
            **_limits(config),
            any_model=config.switch("LLAMA_SERVER_ANY_MODEL"),
            replaced_alias=replaced_id(config),
            replaced_s=config.number("LLAMA_PROXY_QUEUE_TIMEOUT_SECONDS"),
            cors_origins=tuple(config.text("LLAMA_SERVER_CORS_ORIGINS").split()),
        )


def _room_bytes(config: Config, beside: Sequence[Model]) -> int:
    """The memory for a model, beside others and a projector."""
    room_bytes = tuning.room_bytes(config) - tuning.embedding_bytes(config, beside)
    return room_bytes - projectors.file_bytes(config)


def _limits(config: Config) -> dict[str, Any]:
    """How long things may take, and how much of the machine."""
    return {
        "n_batch": config.integer("LLAMA_SERVER_N_BATCH"),
        "max_tokens": config.integer("LLAMA_SERVER_MAX_TOKENS"),
        "request_s": config.number("LLAMA_SERVER_REQUEST_SECONDS"),
        "hang_s": config.number("LLAMA_SERVER_HANG_SECONDS"),
        "idle_s": config.number("LLAMA_SERVER_IDLE_SECONDS"),
        "stop_s": config.number("LLAMA_SERVER_STOP_SECONDS"),
        "stall_s": config.number("LLAMA_SERVER_STALL_SECONDS"),
        "cache_bytes": config.integer("LLAMA_SERVER_CACHE_BYTES"),
        "max_body_bytes": config.integer("LLAMA_SERVER_MAX_BODY_BYTES"),
    }


def _embedders(config: Config, model: Model, beside: Sequence[Model]) -> tuple[EmbedderSettings, ...]:
    generates = model.pooling is None
    embedding = beside if generates else [model, *beside]
    return tuple(_embedder(config, one, is_beside=generates) for one in embedding)


def _embedder(config: Config, model: Model, *, is_beside: bool) -> EmbedderSettings:
    pooling = embedding_models.pooling(config, model)
    assert pooling is not None
    return EmbedderSettings(
        path=model.path,
        alias=model.id,
        pooling=pooling,
        n_ctx=tuning.embedding_context(config, model).value,
        n_threads=tuning.embedding_threads(config).value,
        adjusts_threads=config.optional_integer("LLAMA_SERVER_EMBEDDING_N_THREADS") is None,
        n_gpu_layers=tuning.gpu_layers(config).value,
        use_mmap=config.switch("LLAMA_SERVER_USE_MMAP"),
        use_mlock=config.switch("LLAMA_SERVER_USE_MLOCK"),
        is_beside=is_beside,
    )
