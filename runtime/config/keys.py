"""The table of configuration keys: the default of each key and the check of its value.

`configuration.py` reads the values. `meanings.py` explains each key in one line, and
`runtime/config.env.example` in full; tests keep the three consistent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network

from runtime.config.backends import http_url, parse_backends
from runtime.config.meanings import MEANINGS


@dataclass(frozen=True, kw_only=True)
class Key:
    """One configuration key.

    `parse` raises ValueError for a bad value; its text says which values are allowed. The values of
    `secret` keys are never shown.
    """

    name: str
    default: str
    parse: Callable[[str], object]
    secret: bool = False

    @property
    def meaning(self) -> str:
        """What the key means, in one line."""
        return MEANINGS.get(self.name, "")


def _text(value: str) -> str:
    return value


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", value) or not low <= float(value) <= high:
            raise ValueError(f"must be a number of seconds from {low:.12g} to {high:.12g}")
        return float(value)

    return parse


def _switch(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return value == "1"


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", value):
        raise ValueError("must be a host name or an IP address, such as 127.0.0.1 or 0.0.0.0")
    return value


def _cluster_host(value: str) -> str:
    if value in ("localhost", "127.0.0.1", "::1"):  # Ray would take another address
        raise ValueError("must be the address of this machine that the others reach, such as 10.0.0.1")
    return _host(value)


def _origins(value: str) -> str:
    for origin in value.split():
        if origin != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", origin):
            raise ValueError(
                "must be origins such as https://chat.example.org separated by blanks, or *"
            )
    return value


def _networks(value: str) -> str:
    for network in value.split():
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(
                "must be addresses or networks such as 10.0.0.1 or 10.0.0.0/8, separated by blanks"
            ) from None
    return value


def _postgres_url(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("must be a URL such as postgresql://USER:PASSWORD@HOST:5432/DATABASE")
    return value


def bearer(value: str) -> str:
    """A key as it is sent to an engine.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]{1,512}", value):
        raise ValueError("must be 1 to 512 characters of A-Z a-z 0-9 . _ ~ + / = -")
    return value


def _user_key(value: str) -> str:
    if not re.fullmatch(r"lsk_[A-Za-z0-9]{50}", value):
        raise ValueError("must be a key as the installation makes it: lsk_ and 50 letters and digits")
    return value


_PORT = _integer(1, 65535)

KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        # The model server.
        Key(name="LLAMA_SERVER_HOST", default="127.0.0.1", parse=_host),
        Key(name="LLAMA_SERVER_PORT", default="8000", parse=_PORT),
        Key(name="LLAMA_SERVER_API_KEY", default="", parse=bearer, secret=True),
        Key(name="LLAMA_ADMIN_KEY", default="", parse=_user_key, secret=True),
        Key(name="LLAMA_SERVER_MODEL", default="", parse=_text),
        Key(name="LLAMA_SERVER_EMBEDDING_MODEL", default="", parse=_text),
        Key(name="LLAMA_SERVER_RERANK_MODEL", default="", parse=_text),
        Key(name="LLAMA_SERVER_EMBEDDING_N_CTX", default="", parse=_integer(0, 2**20)),
        Key(name="LLAMA_SERVER_EMBEDDING_N_THREADS", default="", parse=_integer(1, 1024)),
        Key(name="LLAMA_SERVER_EMBEDDING_POOLING", default="", parse=_choice("mean", "cls", "last")),
        Key(name="LLAMA_SERVER_MMPROJ", default="", parse=_text),
        Key(name="LLAMA_SERVER_N_CTX", default="", parse=_integer(0, 2**24)),
        Key(name="LLAMA_SERVER_PARALLEL", default="", parse=_integer(1, 64)),
        Key(name="LLAMA_SERVER_SHARED_PREFIX", default="none", parse=_choice("none", "system", "all")),
        Key(name="LLAMA_SERVER_PROMPT_LOOKUP", default="1", parse=_switch),
        Key(name="LLAMA_SERVER_N_BATCH", default="512", parse=_integer(1, 2**16)),
        Key(name="LLAMA_SERVER_N_THREADS", default="", parse=_integer(1, 1024)),
        Key(name="LLAMA_SERVER_N_THREADS_BATCH", default="", parse=_integer(1, 1024)),
        Key(name="LLAMA_SERVER_N_GPU_LAYERS", default="", parse=_integer(-1, 10_000)),
        Key(name="LLAMA_SERVER_CHAT_FORMAT", default="", parse=_text),
        Key(name="LLAMA_SERVER_FLASH_ATTN", default="", parse=_switch),
        Key(name="LLAMA_SERVER_USE_MMAP", default="1", parse=_switch),
        Key(name="LLAMA_SERVER_USE_MLOCK", default="0", parse=_switch),
        Key(name="LLAMA_SERVER_VERBOSE", default="0", parse=_switch),
        Key(name="LLAMA_SERVER_MAX_TOKENS", default="1024", parse=_integer(1, 2**24)),
        Key(name="LLAMA_SERVER_ANY_MODEL", default="0", parse=_switch),
        Key(name="LLAMA_SERVER_CACHE_BYTES", default="1073741824", parse=_integer(0, 2**46)),
        Key(name="LLAMA_SERVER_MAX_BODY_BYTES", default="16777216", parse=_integer(1024, 2**31)),
        Key(name="LLAMA_SERVER_REQUEST_SECONDS", default="600", parse=_seconds(0.1, 86_400)),
        Key(name="LLAMA_SERVER_STALL_SECONDS", default="60", parse=_seconds(1, 86_400)),
        Key(name="LLAMA_SERVER_HANG_SECONDS", default="300", parse=_seconds(1, 86_400)),
        Key(name="LLAMA_SERVER_IDLE_SECONDS", default="0", parse=_seconds(0, 31_536_000)),
        Key(name="LLAMA_SERVER_STOP_SECONDS", default="5", parse=_seconds(0, 3600)),
        Key(name="LLAMA_SERVER_CORS_ORIGINS", default="", parse=_origins),
        Key(name="LLAMA_SERVER_START_SECONDS", default="600", parse=_seconds(1, 86_400)),
        Key(name="LLAMA_SERVER_BACKEND_URL", default="", parse=http_url),
        Key(name="LLAMA_SERVER_BACKENDS", default="", parse=parse_backends),
        Key(name="LLAMA_SERVER_DATABASE_URL", default="", parse=_postgres_url, secret=True),
        # Directories.
        Key(name="LLAMA_DATA_DIR", default="", parse=_text),
        Key(name="LLAMA_VENV_DIR", default="", parse=_text),
        # The auth proxy.
        Key(name="LLAMA_PROXY_ENABLED", default="1", parse=_switch),
        Key(name="LLAMA_PROXY_HOST", default="127.0.0.1", parse=_host),
        Key(name="LLAMA_PROXY_PORT", default="8001", parse=_PORT),
        Key(name="LLAMA_PROXY_RATE_LIMIT", default="60", parse=_integer(1, 2**53)),
        Key(name="LLAMA_PROXY_RATE_WINDOW_SECONDS", default="60", parse=_seconds(0.001, 31_536_000)),
        Key(name="LLAMA_PROXY_TOKEN_LIMIT", default="", parse=_integer(1, 2**53)),
        Key(name="LLAMA_PROXY_SHARED", default="0", parse=_switch),
        Key(name="LLAMA_PROXY_MAX_CONCURRENT", default="", parse=_integer(1, 100_000)),
        Key(name="LLAMA_PROXY_QUEUE_SIZE", default="256", parse=_integer(0, 100_000)),
        Key(name="LLAMA_PROXY_QUEUE_SIZE_PER_USER", default="64", parse=_integer(0, 100_000)),
        Key(name="LLAMA_PROXY_QUEUE_TIMEOUT_SECONDS", default="120", parse=_seconds(0, 86_400)),
        Key(name="LLAMA_PROXY_QUEUE_GRACE_SECONDS", default="15", parse=_seconds(0, 86_400)),
        Key(name="LLAMA_PROXY_MAX_BODY_BYTES", default="16777216", parse=_integer(1024, 2**31)),
        Key(name="LLAMA_PROXY_BODY_MEMORY_BYTES", default="268435456", parse=_integer(1024, 2**40)),
        Key(name="LLAMA_PROXY_RESPONSE_MEMORY_BYTES", default="134217728", parse=_integer(1024, 2**40)),
        Key(
            name="LLAMA_PROXY_RESPONSE_MEMORY_BYTES_PER_USER",
            default="8388608",
            parse=_integer(1024, 2**40),
        ),
        Key(name="LLAMA_PROXY_MAX_CONNECTIONS", default="2048", parse=_integer(1, 100_000)),
        Key(name="LLAMA_PROXY_CONNECT_SECONDS", default="5", parse=_seconds(0.1, 3600)),
        Key(name="LLAMA_PROXY_IDLE_SECONDS", default="600", parse=_seconds(1, 86_400)),
        Key(name="LLAMA_PROXY_STALL_SECONDS", default="60", parse=_seconds(0.1, 86_400)),
        Key(name="LLAMA_PROXY_DRAIN_SECONDS", default="30", parse=_seconds(0, 3600)),
        Key(name="LLAMA_PROXY_SPOOL_BYTES", default="1073741824", parse=_integer(2**20, 2**46)),
        Key(name="LLAMA_PROXY_SPOOL_SYNC_SECONDS", default="1", parse=_seconds(0, 3600)),
        Key(name="LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE", default="30", parse=_integer(0, 1_000_000)),
        Key(name="LLAMA_PROXY_TRUSTED_PROXIES", default="", parse=_networks),
        Key(name="LLAMA_PROXY_METRICS_ON_LOOPBACK", default="1", parse=_switch),
        Key(name="LLAMA_REQUESTS_RETENTION_DAYS", default="", parse=_integer(1, 36_500)),
        # Files and batches.
        Key(name="LLAMA_FILES_MAX_BYTES", default="209715200", parse=_integer(1024, 2**40)),
        Key(name="LLAMA_FILES_BYTES_PER_USER", default="1073741824", parse=_integer(1024, 2**46)),
        Key(name="LLAMA_FILES_BYTES", default="10737418240", parse=_integer(1024, 2**46)),
        Key(name="LLAMA_FILES_RETENTION_DAYS", default="30", parse=_integer(1, 36_500)),
        Key(name="LLAMA_BATCH_SLOTS", default="", parse=_integer(1, 100_000)),
        Key(name="LLAMA_BATCH_MAX_LINES", default="50000", parse=_integer(1, 10_000_000)),
        Key(name="LLAMA_PROXY_TLS_CERT", default="", parse=_text),
        Key(name="LLAMA_PROXY_TLS_KEY", default="", parse=_text),
        Key(
            name="LLAMA_PROXY_LOG_LEVEL",
            default="info",
            parse=_choice("debug", "info", "warning", "error"),
        ),
        # The dashboard.
        Key(name="LLAMA_DASHBOARD_ENABLED", default="1", parse=_switch),
        Key(name="LLAMA_DASHBOARD_HOST", default="127.0.0.1", parse=_host),
        Key(name="LLAMA_DASHBOARD_PORT", default="8002", parse=_PORT),
        # The engine on several machines.
        Key(name="LLAMA_CLUSTER_HOST", default="", parse=_cluster_host),
        Key(name="LLAMA_CLUSTER_PORT", default="6380", parse=_PORT),
        Key(name="LLAMA_CLUSTER_HTTP_PORT", default="8100", parse=_PORT),
        Key(name="LLAMA_CLUSTER_MIN_REPLICAS", default="1", parse=_integer(1, 1000)),
        Key(name="LLAMA_CLUSTER_MAX_REPLICAS", default="4", parse=_integer(1, 1000)),
        Key(name="LLAMA_CLUSTER_SCALE_DOWN_SECONDS", default="300", parse=_seconds(1, 86_400)),
        Key(name="LLAMA_CLUSTER_GPUS", default="0", parse=_integer(0, 64)),
        # The user's own PostgreSQL; without a host the embedded one is used.
        Key(name="POSTGRES_AUTH_HOST", default="", parse=_host),
        Key(name="POSTGRES_AUTH_PORT", default="5432", parse=_PORT),
        Key(name="POSTGRES_AUTH_USER", default="llamaserve", parse=_text),
        Key(name="POSTGRES_AUTH_PASSWORD", default="", parse=_text, secret=True),
        Key(name="POSTGRES_AUTH_DB", default="llamaserve", parse=_text),
    )
}
