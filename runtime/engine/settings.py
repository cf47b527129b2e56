"""The engine's settings: what `runtime.config` says, with the machine's and the model's own values
filled in where it leaves them open.

Knows nothing of llama_cpp: `app.py` translates.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from runtime.config import Config
from runtime.models import Model, replaced_id

MAX_DEFAULT_CONTEXT = 8192
"""Tokens. A trained context of 128k and more would take many GB of memory unasked."""

THREAD_STACK_BYTES = 16 * 2**20
"""Of every thread: the tokenizer's recursion needs it (`vocabulary.py`), and the system's default may be
a small fraction of it."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """All that the engine is started with."""

    host: str
    port: int
    api_key: str = field(repr=False)
    """Empty: no key is asked for."""
    model_path: Path
    model_alias: str
    n_ctx: int
    """Tokens; 0 is the model's own trained context."""
    n_batch: int
    n_threads: int
    """For one token after the other: bound by memory, so physical cores."""
    n_threads_batch: int
    """For prompts."""
    n_gpu_layers: int | None
    """None: all of them if llama.cpp was built for a GPU, -1 is all too."""
    chat_format: str | None
    """None: the model's own chat template."""
    flash_attn: bool
    use_mmap: bool
    use_mlock: bool
    verbose: bool
    max_tokens: int
    """Of an answer whose request leaves its length open."""
    request_s: float
    """Seconds that one answer may take of the model, prompt included."""
    hang_s: float
    """Seconds without a token or a batch of a prompt, after which the process is replaced."""
    stop_s: float
    """Seconds that connections have to end in after SIGTERM."""
    stall_s: float
    """Seconds after which a client that takes nothing of its answer is given up."""
    cache_bytes: int
    """Of saved conversations."""
    max_body_bytes: int
    any_model: bool
    """Whether a request may name any model, and gets the one there is."""
    replaced_alias: str
    """The name of the model whose place this one takes while the appliance runs. It holds for this one
    too, for `replaced_s` seconds: for requests that came before the switch. Empty: there is none."""
    replaced_s: float
    cors_origins: tuple[str, ...]

    @classmethod
    def from_config(cls, config: Config, model: Model) -> EngineSettings:
        """The settings for one model on this machine."""
        n_ctx = config.optional_integer("LLAMA_SERVER_N_CTX")
        n_threads = config.optional_integer("LLAMA_SERVER_N_THREADS")
        n_threads_batch = config.optional_integer("LLAMA_SERVER_N_THREADS_BATCH")
        return cls(
            host=config.text("LLAMA_SERVER_HOST"),
            port=config.integer("LLAMA_SERVER_PORT"),
            api_key=config.text("LLAMA_SERVER_API_KEY"),
            model_path=model.path,
            model_alias=model.id,
            n_ctx=min(model.context_length, MAX_DEFAULT_CONTEXT) if n_ctx is None else n_ctx,
            n_batch=config.integer("LLAMA_SERVER_N_BATCH"),
            n_threads=n_threads or physical_cores(),
            n_threads_batch=n_threads_batch or n_threads or physical_cores(),
            n_gpu_layers=config.optional_integer("LLAMA_SERVER_N_GPU_LAYERS"),
            chat_format=config.text("LLAMA_SERVER_CHAT_FORMAT") or None,
            flash_attn=config.switch("LLAMA_SERVER_FLASH_ATTN"),
            use_mmap=config.switch("LLAMA_SERVER_USE_MMAP"),
            use_mlock=config.switch("LLAMA_SERVER_USE_MLOCK"),
            verbose=config.switch("LLAMA_SERVER_VERBOSE"),
            max_tokens=config.integer("LLAMA_SERVER_MAX_TOKENS"),
            request_s=config.number("LLAMA_SERVER_REQUEST_SECONDS"),
            hang_s=config.number("LLAMA_SERVER_HANG_SECONDS"),
            stop_s=config.number("LLAMA_SERVER_STOP_SECONDS"),
            stall_s=config.number("LLAMA_SERVER_STALL_SECONDS"),
            cache_bytes=config.integer("LLAMA_SERVER_CACHE_BYTES"),
            max_body_bytes=config.integer("LLAMA_SERVER_MAX_BODY_BYTES"),
            any_model=config.switch("LLAMA_SERVER_ANY_MODEL"),
            replaced_alias=replaced_id(config),
            replaced_s=config.number("LLAMA_PROXY_QUEUE_TIMEOUT_SECONDS"),
            cors_origins=tuple(config.text("LLAMA_SERVER_CORS_ORIGINS").split()),
        )


def physical_cores() -> int:
    """How many cores this process may run on, hyper-threads not counted.

    On Linux from /proc/cpuinfo within the process's affinity, on macOS from sysctl; the number of
    logical processors where neither tells.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        try:
            return cores_in(Path("/proc/cpuinfo").read_text(), allowed) or len(allowed)
        except OSError:
            return len(allowed)
    try:
        command = ["sysctl", "-n", "hw.physicalcpu"]
        return int(subprocess.run(command, capture_output=True, check=True, timeout=5).stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return os.cpu_count() or 1


def cores_in(cpuinfo: str, allowed: set[int]) -> int:
    """Distinct cores of the allowed processors in the text of /proc/cpuinfo; 0 if it names none."""
    cores = set()
    for block in cpuinfo.split("\n\n"):
        values = dict(re.findall(r"^([^\t\n:]+?)\s*:[ \t]*(.*)$", block, re.MULTILINE))
        if values.get("processor", "").isdecimal() and int(values["processor"]) in allowed:
            cores.add((values.get("physical id"), values.get("core id")))
    return len(cores - {(None, None)})
