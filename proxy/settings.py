"""The proxy's settings, made once from the configuration and passed to whoever needs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from runtime.config import Config


@dataclass(frozen=True, kw_only=True)
class BackendSettings:
    """One engine."""

    url: str
    key: str = field(repr=False)
    slots: int | None = None
    """How many requests that generate it gets at a time; None: as many as it reports."""


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """Times are seconds, sizes are bytes. Secrets do not show in the repr."""

    host: str
    port: int
    backend_url: str
    backend_key: str = field(repr=False)
    database_url: str = field(repr=False)
    spool_dir: Path
    spool_bytes: int
    spool_sync_s: float
    """0: leave flushing to the kernel."""
    auth_failures_per_minute: int
    """For each client address; 0: no limit."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    """The peers whose X-Forwarded-For header is trusted."""
    rate_limit: int
    rate_window_s: float
    token_limit: int | None
    """Prompt and completion tokens together, in the same window; None: no limit."""
    shared: bool
    """Rate windows are in the database, shared by several proxies."""
    max_concurrent: int | None
    """Requests sent to the engine at a time; None: as many as the engine reports slots."""
    queue_size: int
    user_queue_size: int
    queue_timeout_s: float
    queue_grace_s: float
    max_body_bytes: int
    body_memory_bytes: int
    max_connections: int
    connect_timeout_s: float
    idle_timeout_s: float
    stall_timeout_s: float
    drain_s: float
    backends: tuple[BackendSettings, ...] = ()
    """Several engines; if there are none, `backend_url` is the one engine."""
    response_memory_bytes: int = 2**27
    """The limit for all response bytes that clients have not read yet."""
    user_response_memory_bytes: int = 2**23
    """The same limit for the responses of one user."""
    cors_origins: tuple[str, ...] = ()
    """The origins whose pages may call the API."""
    tls_cert: Path | None = None
    tls_key: Path | None = field(default=None, repr=False)
    log_level: str = "info"
    retention_s: float | None = None
    """How long records are kept; None: for good."""
    config: Config | None = field(default=None, repr=False, compare=False)
    """Where the settings are from; the user command's texts need it. None: nothing is configured."""
    metrics_on_loopback: bool = True
    """Whether programs on this machine may read the metrics without a key."""
    files_dir: Path = Path("files")
    """Where uploaded files are."""
    file_max_bytes: int = 209_715_200
    files_bytes: int = 10 * 2**30
    """The limit for the files and results of all users."""
    user_files_bytes: int = 2**30
    """The same limit for one user."""
    files_retention_s: float = 30 * 86_400.0
    batch_slots: int | None = None
    """Lines of batches at the engine at a time; None: as many as our engine has slots, or half of them
    with another."""
    batch_max_lines: int = 50_000

    @property
    def all_backends(self) -> tuple[BackendSettings, ...]:
        """The engines, at least one."""
        return self.backends or (BackendSettings(url=self.backend_url, key=self.backend_key),)

    @classmethod
    def from_config(cls, config: Config) -> ProxySettings:
        """Read the proxy's part of the configuration.

        Raises:
            ConfigError: the embedded database is to be used and has not been set up, or a file with the
                key of an engine cannot be read.
        """
        return cls(
            database_url=config.database_url(),
            shared=config.switch("LLAMA_PROXY_SHARED"),
            log_level=config.text("LLAMA_PROXY_LOG_LEVEL"),
            config=config,
            **_of_clients(config),
            **_of_limits(config),
            **_of_engines(config),
            **_of_records(config),
            **_of_files(config),
        )


def _of_clients(config: Config) -> dict[str, Any]:
    """Where clients are served, and how much of it each connection and body may take."""
    tls = bool(config.text("LLAMA_PROXY_TLS_CERT"))
    return {
        "host": config.text("LLAMA_PROXY_HOST"),
        "port": config.integer("LLAMA_PROXY_PORT"),
        "tls_cert": config.path("LLAMA_PROXY_TLS_CERT", "") if tls else None,
        "tls_key": config.path("LLAMA_PROXY_TLS_KEY", "") if tls else None,
        "cors_origins": tuple(config.text("LLAMA_SERVER_CORS_ORIGINS").split()),
        "trusted_proxies": tuple(
            ip_network(network) for network in config.text("LLAMA_PROXY_TRUSTED_PROXIES").split()
        ),
        "max_connections": config.integer("LLAMA_PROXY_MAX_CONNECTIONS"),
        "max_body_bytes": config.integer("LLAMA_PROXY_MAX_BODY_BYTES"),
        "body_memory_bytes": config.integer("LLAMA_PROXY_BODY_MEMORY_BYTES"),
        "response_memory_bytes": config.integer("LLAMA_PROXY_RESPONSE_MEMORY_BYTES"),
        "user_response_memory_bytes": config.integer("LLAMA_PROXY_RESPONSE_MEMORY_BYTES_PER_USER"),
        "stall_timeout_s": config.number("LLAMA_PROXY_STALL_SECONDS"),
        "drain_s": config.number("LLAMA_PROXY_DRAIN_SECONDS"),
        "metrics_on_loopback": config.switch("LLAMA_PROXY_METRICS_ON_LOOPBACK"),
    }


def _of_limits(config: Config) -> dict[str, Any]:
    """What users may send who have no limits of their own."""
    return {
        "auth_failures_per_minute": config.integer("LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE"),
        "rate_limit": config.integer("LLAMA_PROXY_RATE_LIMIT"),
        "rate_window_s": config.number("LLAMA_PROXY_RATE_WINDOW_SECONDS"),
        "token_limit": config.optional_integer("LLAMA_PROXY_TOKEN_LIMIT"),
    }


def _of_engines(config: Config) -> dict[str, Any]:
    """The engines, the queue in front of them, and how long they are waited for."""
    return {
        "backend_url": config.backend_url,
        "backend_key": config.text("LLAMA_SERVER_API_KEY"),
        "backends": _backends(config),
        "max_concurrent": config.optional_integer("LLAMA_PROXY_MAX_CONCURRENT"),
        "queue_size": config.integer("LLAMA_PROXY_QUEUE_SIZE"),
        "user_queue_size": config.integer("LLAMA_PROXY_QUEUE_SIZE_PER_USER"),
        "queue_timeout_s": config.number("LLAMA_PROXY_QUEUE_TIMEOUT_SECONDS"),
        "queue_grace_s": config.number("LLAMA_PROXY_QUEUE_GRACE_SECONDS"),
        "connect_timeout_s": config.number("LLAMA_PROXY_CONNECT_SECONDS"),
        "idle_timeout_s": config.number("LLAMA_PROXY_IDLE_SECONDS"),
    }


def _of_records(config: Config) -> dict[str, Any]:
    """Where records wait for the database, and how long they are kept."""
    days = config.optional_integer("LLAMA_REQUESTS_RETENTION_DAYS")
    return {
        "spool_dir": config.data_dir / "spool",
        "spool_bytes": config.integer("LLAMA_PROXY_SPOOL_BYTES"),
        "spool_sync_s": config.number("LLAMA_PROXY_SPOOL_SYNC_SECONDS"),
        "retention_s": days * 86_400.0 if days else None,
    }


def _of_files(config: Config) -> dict[str, Any]:
    """Uploaded files, and the batches made of them."""
    return {
        "files_dir": config.data_dir / "files",
        "file_max_bytes": config.integer("LLAMA_FILES_MAX_BYTES"),
        "files_bytes": config.integer("LLAMA_FILES_BYTES"),
        "user_files_bytes": config.integer("LLAMA_FILES_BYTES_PER_USER"),
        "files_retention_s": config.integer("LLAMA_FILES_RETENTION_DAYS") * 86_400.0,
        "batch_slots": config.optional_integer("LLAMA_BATCH_SLOTS"),
        "batch_max_lines": config.integer("LLAMA_BATCH_MAX_LINES"),
    }


def _backends(config: Config) -> tuple[BackendSettings, ...]:
    """The engines of LLAMA_SERVER_BACKENDS."""
    key = config.text("LLAMA_SERVER_API_KEY")
    return tuple(
        BackendSettings(url=one.url, key=config.backend_key(one) or key, slots=one.slots)
        for one in config.backends
    )
