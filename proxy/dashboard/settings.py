"""The dashboard's settings, made once from the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from runtime.config import Config


@dataclass(frozen=True, kw_only=True)
class DashboardSettings:
    """Secrets do not show in the repr."""

    host: str
    port: int
    database_url: str = field(repr=False)
    proxy_url: str
    """The proxy, as seen from this machine."""
    engines: tuple[tuple[str, str], ...] = field(repr=False)
    """URL and key of each."""
    admin_key: str = field(repr=False)
    """LLAMA_ADMIN_KEY; empty: none. Live state is read with it, and one-time links log in with it."""
    run_dir: Path
    auth_failures_per_minute: int
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    tls_cert: Path | None
    tls_key: Path | None = field(repr=False)
    log_level: str
    config: Config = field(repr=False, compare=False)

    @property
    def several(self) -> bool:
        """Whether there are several engines."""
        return len(self.engines) > 1

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    @classmethod
    def from_config(cls, config: Config) -> DashboardSettings:
        """Read the dashboard's part of the configuration. TLS is the proxy's.

        Raises:
            ConfigError: the embedded database is to be used and has not been set up.
        """
        tls = bool(config.text("LLAMA_PROXY_TLS_CERT"))
        return cls(
            host=config.text("LLAMA_DASHBOARD_HOST"),
            port=config.integer("LLAMA_DASHBOARD_PORT"),
            database_url=config.database_url(),
            proxy_url=config.proxy_url,
            engines=_engines(config),
            admin_key=config.text("LLAMA_ADMIN_KEY"),
            run_dir=config.run_dir,
            auth_failures_per_minute=config.integer("LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE"),
            trusted_proxies=tuple(
                ip_network(network) for network in config.text("LLAMA_PROXY_TRUSTED_PROXIES").split()
            ),
            tls_cert=config.path("LLAMA_PROXY_TLS_CERT", "") if tls else None,
            tls_key=config.path("LLAMA_PROXY_TLS_KEY", "") if tls else None,
            log_level=config.text("LLAMA_PROXY_LOG_LEVEL"),
            config=config,
        )


def _engines(config: Config) -> tuple[tuple[str, str], ...]:
    key = config.text("LLAMA_SERVER_API_KEY")
    several = tuple((one.url, config.backend_key(one) or key) for one in config.backends)
    return several or ((config.backend_url, key),)
