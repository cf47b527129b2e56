"""Chooses the engine's settings that the configuration leaves open, from the machine's properties.

- Threads that generate: all usable cores. Beside other busy processes fewer are faster; `threads.py`
  adjusts the number while the engine runs.
- Threads that read prompts: all usable cores.
- Context: the model's own, as far as it fits into memory, MAX_CONTEXT at most: a number that is the
  same at every start is worth more than the last token that today's free memory would hold.
- Slots (responses at a time): as many as fit into memory with that context each, MAX_SLOTS at most.
  Where even one does not fit, there is one, and the context is shorter.
- GPU layers: all, where llama.cpp was built for a GPU.

`tests/bench/threads.py` measures the first two. Explicit settings win over all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from runtime.config import Config
from runtime.machine import processors
from runtime.machine.memory import available_bytes, gpu_bytes, usable
from runtime.models import memory_need
from runtime.models.selection import Model

MAX_CONTEXT = 8192
"""Tokens. A trained context of 128k and more would take many GB of memory unasked."""
MIN_CONTEXT = 2048
"""Tokens. With less the model is of no use; where memory is too short for it, the start warns."""

MAX_EMBEDDING_CONTEXT = 2048
"""Tokens. An input is computed in one piece, whose memory grows with the square of its length."""

MAX_SLOTS = 8
"""The default is never more. More slots gain little, and each takes the memory of a context."""

WAIT_POLICY = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
"""The environment of OpenMP's threads: how they wait for each other.

GCC's spin for milliseconds by default, and so keep from running what they wait for where something else
wants the core. With `passive` alone (OpenMP 5.2, section 21.7) they sleep at once, and waking them costs
half of a small model's time. With a short spin they are as fast as by default, and yield to others. Read
when the library is loaded."""


NO_IMAGE_LIBRARY = (
    "the installed llama.cpp has no library for images. runtime/install.sh builds it while "
    "LLAMA_SERVER_MMPROJ is set"
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A setting, and where it comes from."""

    value: int
    why: str


def threads(config: Config) -> Choice:
    """The number of threads that generate tokens."""
    if chosen := _configured(config, "LLAMA_SERVER_N_THREADS"):
        return chosen
    cores = processors.usable_cores()
    if cores == 1:
        return Choice(value=1, why="one core may be used")
    return Choice(value=cores, why="all cores that may be used; fewer while other processes are busy")


def adjusts_threads(config: Config) -> bool:
    """Whether the number of threads that generate follows the machine's load: unless it is set."""
    return _configured(config, "LLAMA_SERVER_N_THREADS") is None


def threads_batch(config: Config) -> Choice:
    """The number of threads that evaluate prompts."""
    if chosen := _configured(config, "LLAMA_SERVER_N_THREADS_BATCH"):
        return chosen
    if chosen := _configured(config, "LLAMA_SERVER_N_THREADS"):
        return chosen
    return Choice(value=processors.usable_cores(), why="all cores that may be used")


def slots(config: Config, model: Model, room_bytes: int) -> Choice:
    """Responses at a time. `room_bytes` is what the model and all beside it may take."""
    if chosen := _configured(config, "LLAMA_SERVER_PARALLEL"):
        return chosen
    wanted = config.optional_integer("LLAMA_SERVER_N_CTX")
    if wanted is None:
        wanted = _wanted_context(model)
    for number in range(MAX_SLOTS, 1, -1):
        need = memory_need.memory_need(model.shape, n_ctx=wanted, n_slots=number, **_options(config))
        if need.total_bytes <= room_bytes:
            most = number == MAX_SLOTS
            return Choice(value=number, why="the most unasked" if most else "as many as fit into memory")
    return Choice(value=1, why="memory is short for more")


def context(config: Config, model: Model, room_bytes: int) -> Choice:
    """Tokens of each slot; 0 is the model's own. `room_bytes` is what the model and all beside it may
    take."""
    if chosen := _configured(config, "LLAMA_SERVER_N_CTX"):
        return chosen
    wanted = _wanted_context(model)
    fitting = memory_need.largest_context(
        model.shape,
        room_bytes=room_bytes,
        n_ctx_limit=wanted,
        n_slots=slots(config, model, room_bytes).value,
        **_options(config),
    )
    if fitting < min(MIN_CONTEXT, wanted):
        return Choice(value=min(MIN_CONTEXT, wanted), why="the least of use: memory is short")
    if fitting < wanted:
        return Choice(value=fitting, why="the most that fits into memory")
    if model.context_length and wanted == model.context_length:
        return Choice(value=wanted, why="the model's own")
    return Choice(
        value=wanted, why=f"the most unasked; the model's own is {model.context_length or '?'}"
    )


def _wanted_context(model: Model) -> int:
    return min(model.context_length or MAX_CONTEXT, MAX_CONTEXT)


def embedding_context(config: Config, model: Model) -> Choice:
    """The most tokens of an input of a model that embeds."""
    trained = model.context_length
    chosen = _configured(config, "LLAMA_SERVER_EMBEDDING_N_CTX")
    if chosen and (chosen.value == 0 or 0 < trained < chosen.value):
        return Choice(value=trained, why="the model's own")
    if chosen:
        return chosen
    if 0 < trained <= MAX_EMBEDDING_CONTEXT:
        return Choice(value=trained, why="the model's own")
    why = f"the most unasked; the model's own is {trained or '?'}"
    return Choice(value=MAX_EMBEDDING_CONTEXT, why=why)


def embedding_threads(config: Config) -> Choice:
    """The most threads of a model that embeds. There is one while another generates."""
    if chosen := _configured(config, "LLAMA_SERVER_EMBEDDING_N_THREADS"):
        return chosen
    why = "all cores that may be used; fewer while something else is busy"
    return Choice(value=processors.usable_cores(), why=why)


def embedding_bytes(config: Config, models: Iterable[Model]) -> int:
    """The memory of models that embed beside the one that is served."""
    return sum(
        memory_need.embedding_need(
            model.shape,
            n_ctx=embedding_context(config, model).value,
        ).on_device_bytes
        for model in models
    )


class _Options(TypedDict):
    n_batch: int
    flash_attn: bool
    cache_bytes: int


def _options(config: Config) -> _Options:
    """The settings that memory depends on, context and slots aside."""
    return _Options(
        n_batch=config.integer("LLAMA_SERVER_N_BATCH"),
        flash_attn=config.switch("LLAMA_SERVER_FLASH_ATTN"),
        cache_bytes=config.integer("LLAMA_SERVER_CACHE_BYTES"),
    )


def gpu_layers(config: Config) -> Choice:
    """The number of layers on the GPU; -1 is all."""
    if chosen := _configured(config, "LLAMA_SERVER_N_GPU_LAYERS"):
        return chosen
    kinds = backends()
    if kinds:
        return Choice(value=-1, why=f"all: llama.cpp was built for {', '.join(kinds)}")
    return Choice(value=0, why="llama.cpp was built for the processor alone")


def uses_gpu(config: Config) -> bool:
    """Whether llama.cpp supports a GPU and the settings put layers on it."""
    return bool(backends()) and gpu_layers(config).value != 0


def room_bytes(config: Config, memory: int | None = None, gpu: int | None = None) -> int:
    """What a model and all beside it may take, on the GPU where it takes that, else in memory.

    `memory` and `gpu`, in bytes, are what may be planned with there; None: what is free now.
    """
    if memory is None:
        memory = usable(available_bytes())
    if not uses_gpu(config):
        return memory
    if gpu is None:
        gpu = usable(gpu_bytes())
    beside = memory_need.PROCESS_BYTES + config.integer("LLAMA_SERVER_CACHE_BYTES")
    return gpu + beside if gpu else memory


def backends() -> list[str]:
    """The kinds of GPU that the installed llama.cpp was built for, from its libraries' names."""
    known = ("cuda", "metal", "vulkan", "hip", "sycl")
    return [name for name in known if _has_library(f"*ggml-{name}*")]


def has_image_library() -> bool:
    """Whether the installed llama.cpp has its library for images."""
    return _has_library("*mtmd*")


def _has_library(pattern: str) -> bool:
    spec = find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        return False
    return any((Path(spec.origin).parent / "lib").glob(pattern))


def _configured(config: Config, name: str) -> Choice | None:
    value = config.optional_integer(name)
    return None if value is None else Choice(value=value, why=f"set by {name}")
