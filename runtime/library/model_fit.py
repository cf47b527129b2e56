"""Decides whether a model with the configured context fits into this machine's memory.

    python -m runtime.library.model_fit FILE   1, with the reason, if it does not fit after the server
    has ended

Combines the estimate (`memory_need.py`), the configuration and the machine's free memory.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from runtime.config import Config, ConfigError, load
from runtime.engine import tuning
from runtime.engine.settings import EngineSettings
from runtime.machine import memory
from runtime.models import embedding_models, memory_need, projectors
from runtime.models.memory_need import Need
from runtime.models.selection import Model, ModelError, read_model
from runtime.supervisor.client import server_pid


@dataclass(frozen=True, kw_only=True)
class Room:
    """The memory that a model may use, in bytes. A part of the free memory is kept back."""

    memory: int
    gpu: int
    """0 if there is no GPU, llama.cpp was built without GPU support, or the configuration turns it
    off."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The result for one model on this machine."""

    n_ctx: int
    n_slots: int
    need: Need
    verdict: str
    """`gpu`: it fits completely into GPU memory; `yes`; `tight`: while few prompts are saved; `no`."""


def room(config: Config, *, freed_by: int = 0) -> Room:
    """The free memory, including the memory of the process `freed_by` (0: none), which will end.

    Without what the models take that embed or rerank beside the one that is served, and the projector.
    """
    gpu = memory.gpu_bytes() if tuning.uses_gpu(config) else 0
    free = memory.available_bytes() + _private_bytes(freed_by)
    beside = _beside_bytes(config)
    return Room(
        memory=max(0, memory.usable(free) - (0 if gpu else beside)),
        gpu=max(0, memory.usable(gpu) - beside) if gpu else 0,
    )


def _beside_bytes(config: Config) -> int:
    try:
        embedding = tuning.embedding_bytes(config, embedding_models.beside(config))
    except ModelError:
        embedding = 0  # the start says what is wrong with them
    return embedding + projectors.file_bytes(config)


def _private_bytes(pid: int) -> int:
    """The memory that a process does not share with others. Its mapped model already counts as free."""
    try:
        used = psutil.Process(pid).memory_info() if pid else None
    except psutil.Error:
        return 0
    return max(0, used.rss - getattr(used, "shared", 0)) if used else 0


def fit(config: Config, model: Model, available: Room) -> Fit:
    """Estimate how the model fits, with the settings that the engine would be started with."""
    settings = EngineSettings.from_config(
        config, model, tuning.room_bytes(config, available.memory, available.gpu)
    )
    n_slots, n_ctx = settings.n_slots, settings.n_ctx or model.context_length
    if model.pooling is None:
        need = memory_need.memory_need(
            model.shape,
            n_ctx=n_ctx,
            n_slots=n_slots,
            n_batch=settings.n_batch,
            flash_attn=bool(settings.flash_attn),
            cache_bytes=settings.cache_bytes,
        )
    else:
        n_slots, n_ctx = 1, tuning.embedding_context(config, model).value
        need = memory_need.embedding_need(model.shape, n_ctx=n_ctx)
    return Fit(n_ctx=n_ctx, n_slots=n_slots, need=need, verdict=_verdict(need, available))


def _verdict(need: Need, available: Room) -> str:
    beside = need.process + need.saved_prompts
    if available.gpu and need.on_device_bytes <= available.gpu and beside <= available.memory:
        return "gpu"
    if need.total_bytes <= available.memory:
        return "yes"
    return "tight" if need.total_bytes - need.saved_prompts <= available.memory else "no"


def problem(config: Config, model: Model, available: Room) -> str:
    """Empty if the model fits, else the shortage and what can be done about it."""
    found = fit(config, model, available)
    if found.verdict != "no":
        return ""
    least = found.need.total_bytes - found.need.saved_prompts
    slots = "" if found.n_slots == 1 else f" in each of {found.n_slots} slots"
    return (
        f"{model.id} needs about {gigabytes(least)} with a context of {found.n_ctx} tokens{slots}, and "
        f"{gigabytes(available.memory)} can be had here: {_remedy(model, found, available)}"
    )


def _remedy(model: Model, found: Fit, available: Room) -> str:
    """Fewer slots, then a shorter context, then another model."""
    if model.pooling is not None:
        return "a smaller LLAMA_SERVER_EMBEDDING_N_CTX, model or quantisation may fit"
    for n_slots in range(found.n_slots - 1, 0, -1):
        need = memory_need.memory_need(model.shape, n_ctx=found.n_ctx, n_slots=n_slots)
        if need.total_bytes <= available.memory:
            return f"LLAMA_SERVER_PARALLEL={n_slots} would fit"
    n_ctx = memory_need.largest_context(
        model.shape, room_bytes=available.memory, n_ctx_limit=max(0, found.n_ctx - 1)
    )
    if not n_ctx:
        return "a smaller model or quantisation may fit"
    one_slot = "" if found.n_slots == 1 else "LLAMA_SERVER_PARALLEL=1 with "
    return f"{one_slot}LLAMA_SERVER_N_CTX={n_ctx} would fit"


def gigabytes(size_bytes: int) -> str:
    """A size for people. The units are powers of 1024, as in the tools of the system."""
    if size_bytes < 2**20:
        return f"{size_bytes / 2**10:.0f} KB"
    if size_bytes < 2**30:
        return f"{size_bytes / 2**20:.0f} MB"
    return f"{size_bytes / 2**30:.1f} GB"


def main(arguments: list[str]) -> int:
    """Returns 0, 1 with the reason on stderr, or 2 for wrong usage."""
    if len(arguments) != 1:
        print("usage: python -m runtime.library.model_fit FILE", file=sys.stderr)
        return 2
    try:
        config = load()
        reason = problem(config, read_model(Path(arguments[0])), room(config, freed_by=server_pid()))
    except (ConfigError, ModelError) as error:
        reason = str(error)
    if reason:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
