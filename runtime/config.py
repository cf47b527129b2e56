"""The configuration: every key, its default and range, and where its value comes from.

Owns the table of keys (`KEYS`), the reading of `.env` and `runtime/config.env`, and the checks on
values. Precedence: process environment > `.env` > `runtime/config.env` > default. Leaves to its
callers what the values mean: `proxy/config.py` and `runtime/engine/settings.py` turn them into
settings of their own, the shell asks with `python -m runtime.config get KEY …`.

The files' form is `env_file.py`'s business.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote, urlsplit

from runtime import tls
from runtime.env_file import PREFIXES, ConfigError, read_env_file

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Key:
    """One configuration key.

    `parse` raises ValueError, with what is allowed as its text, on a bad value. `secret` values are
    never shown.
    """

    name: str
    default: str
    parse: Callable[[str], object]
    secret: bool = False


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


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an http:// or https:// URL without user, query or fragment")
    if parts.path.rstrip("/").endswith("/v1"):
        raise ValueError("must be the engine's URL without /v1, which requests have themselves")
    return value.rstrip("/")


def _origins(value: str) -> str:
    for origin in value.split():
        if origin != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", origin):
            raise ValueError(
                "must be origins such as https://chat.example.org with blanks between, or *"
            )
    return value


def _networks(value: str) -> str:
    for network in value.split():
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(
                "must be addresses or networks such as 10.0.0.1 or 10.0.0.0/8, with blanks between"
            ) from None
    return value


def _postgres_url(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("must be a URL such as postgresql://USER:PASSWORD@HOST:5432/DATABASE")
    return value


def _bearer(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]{1,512}", value):
        raise ValueError("must be 1 to 512 characters of A-Z a-z 0-9 . _ ~ + / = -")
    return value


_PORT = _integer(1, 65535)

KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        # The model server.
        Key(name="LLAMA_SERVER_HOST", default="127.0.0.1", parse=_host),
        Key(name="LLAMA_SERVER_PORT", default="8000", parse=_PORT),
        Key(name="LLAMA_SERVER_API_KEY", default="", parse=_bearer, secret=True),
        Key(name="LLAMA_SERVER_MODEL", default="", parse=_text),
        Key(name="LLAMA_SERVER_N_CTX", default="", parse=_integer(0, 2**24)),
        Key(name="LLAMA_SERVER_N_BATCH", default="512", parse=_integer(1, 2**16)),
        Key(name="LLAMA_SERVER_N_THREADS", default="", parse=_integer(1, 1024)),
        Key(name="LLAMA_SERVER_N_THREADS_BATCH", default="", parse=_integer(1, 1024)),
        Key(name="LLAMA_SERVER_N_GPU_LAYERS", default="", parse=_integer(-1, 10_000)),
        Key(name="LLAMA_SERVER_CHAT_FORMAT", default="", parse=_text),
        Key(name="LLAMA_SERVER_FLASH_ATTN", default="0", parse=_switch),
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
        Key(name="LLAMA_SERVER_STOP_SECONDS", default="5", parse=_seconds(0, 3600)),
        Key(name="LLAMA_SERVER_CORS_ORIGINS", default="", parse=_origins),
        Key(name="LLAMA_SERVER_START_SECONDS", default="600", parse=_seconds(1, 86_400)),
        Key(name="LLAMA_SERVER_BACKEND_URL", default="", parse=_http_url),
        Key(name="LLAMA_SERVER_DATABASE_URL", default="", parse=_postgres_url, secret=True),
        # Where things are kept.
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
        Key(name="LLAMA_PROXY_MAX_CONCURRENT", default="1", parse=_integer(1, 100_000)),
        Key(name="LLAMA_PROXY_QUEUE_SIZE", default="256", parse=_integer(0, 100_000)),
        Key(name="LLAMA_PROXY_QUEUE_SIZE_PER_USER", default="64", parse=_integer(0, 100_000)),
        Key(name="LLAMA_PROXY_QUEUE_TIMEOUT_SECONDS", default="120", parse=_seconds(0, 86_400)),
        Key(name="LLAMA_PROXY_QUEUE_GRACE_SECONDS", default="15", parse=_seconds(0, 86_400)),
        Key(name="LLAMA_PROXY_MAX_BODY_BYTES", default="16777216", parse=_integer(1024, 2**31)),
        Key(name="LLAMA_PROXY_BODY_MEMORY_BYTES", default="268435456", parse=_integer(1024, 2**40)),
        Key(name="LLAMA_PROXY_MAX_CONNECTIONS", default="2048", parse=_integer(1, 100_000)),
        Key(name="LLAMA_PROXY_CONNECT_SECONDS", default="5", parse=_seconds(0.1, 3600)),
        Key(name="LLAMA_PROXY_IDLE_SECONDS", default="600", parse=_seconds(1, 86_400)),
        Key(name="LLAMA_PROXY_STALL_SECONDS", default="60", parse=_seconds(0.1, 86_400)),
        Key(name="LLAMA_PROXY_DRAIN_SECONDS", default="30", parse=_seconds(0, 3600)),
        Key(name="LLAMA_PROXY_SPOOL_BYTES", default="1073741824", parse=_integer(2**20, 2**46)),
        Key(name="LLAMA_PROXY_SPOOL_SYNC_SECONDS", default="1", parse=_seconds(0, 3600)),
        Key(name="LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE", default="30", parse=_integer(0, 1_000_000)),
        Key(name="LLAMA_PROXY_TRUSTED_PROXIES", default="", parse=_networks),
        Key(name="LLAMA_REQUESTS_RETENTION_DAYS", default="", parse=_integer(1, 36_500)),
        Key(name="LLAMA_PROXY_TLS_CERT", default="", parse=_text),
        Key(name="LLAMA_PROXY_TLS_KEY", default="", parse=_text),
        Key(
            name="LLAMA_PROXY_LOG_LEVEL",
            default="info",
            parse=_choice("debug", "info", "warning", "error"),
        ),
        # A PostgreSQL of one's own; without a host the embedded one is used.
        Key(name="POSTGRES_AUTH_HOST", default="", parse=_host),
        Key(name="POSTGRES_AUTH_PORT", default="5432", parse=_PORT),
        Key(name="POSTGRES_AUTH_USER", default="llamaserve", parse=_text),
        Key(name="POSTGRES_AUTH_PASSWORD", default="", parse=_text, secret=True),
        Key(name="POSTGRES_AUTH_DB", default="llamaserve", parse=_text),
    )
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """The values in force. An empty value counts as not set: the default holds."""

    root: Path
    values: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        """The value as written, or the default."""
        return self.values.get(name) or KEYS[name].default

    def number(self, name: str) -> float:
        """The value of a numeric key that has a default."""
        value = KEYS[name].parse(self.text(name))
        assert isinstance(value, int | float)
        return value

    def integer(self, name: str) -> int:
        """The value of a whole-number key that has a default."""
        return int(self.number(name))

    def optional_integer(self, name: str) -> int | None:
        """The value of a whole-number key, None where it is left to the machine."""
        return self.integer(name) if self.text(name) else None

    def switch(self, name: str) -> bool:
        """The value of a 0/1 key."""
        return self.text(name) == "1"

    def path(self, name: str, default: str) -> Path:
        """The value as a path; a relative one counts from the checkout."""
        return self.root / Path(self.text(name) or default).expanduser()

    @property
    def data_dir(self) -> Path:
        return self.path("LLAMA_DATA_DIR", "runtime/data")

    @property
    def run_dir(self) -> Path:
        return self.root / "runtime" / "run"

    @property
    def server_url(self) -> str:
        """The local model server's URL, as seen from this machine."""
        return f"http://{_reachable(self.text('LLAMA_SERVER_HOST'))}:{self.text('LLAMA_SERVER_PORT')}"

    @property
    def proxy_url(self) -> str:
        """The proxy's URL, as seen from this machine."""
        scheme = "https" if self.text("LLAMA_PROXY_TLS_CERT") else "http"
        return f"{scheme}://{_reachable(self.text('LLAMA_PROXY_HOST'))}:{self.text('LLAMA_PROXY_PORT')}"

    @property
    def backend_url(self) -> str:
        """What the proxy forwards to."""
        return self.text("LLAMA_SERVER_BACKEND_URL").rstrip("/") or self.server_url

    @property
    def uses_local_server(self) -> bool:
        """False where LLAMA_SERVER_BACKEND_URL names another engine than our own."""
        return self.backend_url == self.server_url

    @property
    def uses_embedded_postgres(self) -> bool:
        return not (self.text("LLAMA_SERVER_DATABASE_URL") or self.text("POSTGRES_AUTH_HOST"))

    @property
    def embedded_url_file(self) -> Path:
        """Holds the embedded Postgres's URL; runtime/postgres.sh writes it."""
        return self.data_dir / "postgres.url"

    def database_url(self) -> str:
        """The database's URL, password included: never log it.

        Raises:
            ConfigError: the embedded Postgres has not been set up yet.
        """
        if url := self.text("LLAMA_SERVER_DATABASE_URL"):
            return url
        if host := self.text("POSTGRES_AUTH_HOST"):
            user, password, database = (
                quote(self.text(f"POSTGRES_AUTH_{part}"), safe="") for part in ("USER", "PASSWORD", "DB")
            )
            login = f"{user}:{password}" if password else user
            port = self.text("POSTGRES_AUTH_PORT")
            return f"postgresql://{login}@{bracketed(host)}:{port}/{database}"
        try:
            return self.embedded_url_file.read_text().strip()
        except FileNotFoundError:
            raise ConfigError(
                [
                    "the embedded database is not set up yet: run ./console.sh start, or, for one that "
                    "is elsewhere, set LLAMA_SERVER_DATABASE_URL"
                ]
            ) from None
        except OSError as error:
            raise ConfigError([f"{self.embedded_url_file}: {error.strerror}"]) from error


def _reachable(host: str) -> str:
    """Where to connect to what listens on `host`, as it stands in a URL."""
    return bracketed({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104 - not bound


def bracketed(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def load(root: Path = ROOT, environ: Mapping[str, str] | None = None) -> Config:
    """Read both files and the environment, and check every value.

    Raises:
        ConfigError: with a line for each unknown key in a file and each bad value anywhere.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    warnings: list[str] = []
    values: dict[str, str] = {}
    origin: dict[str, str] = {}
    for where in ("runtime/config.env", ".env"):
        try:
            found = read_env_file(root / where, where=where)
        except ConfigError as error:
            problems += error.problems
            continue
        for name, value in found.items():
            if name not in KEYS:
                problems.append(f"{where}: unknown key {name}{_suggestion(name)}")
            values[name], origin[name] = value, where
    for name, value in environ.items():
        if name in KEYS:
            values[name], origin[name] = value, "environment"
        elif name.startswith(PREFIXES):
            warnings.append(f"environment: unknown key {name} is ignored{_suggestion(name)}")
    for name, value in values.items():
        if name in KEYS and value:
            problems += _problems_of(KEYS[name], value, origin[name])
    if bool(values.get("LLAMA_PROXY_TLS_CERT")) != bool(values.get("LLAMA_PROXY_TLS_KEY")):
        problems.append("LLAMA_PROXY_TLS_CERT and LLAMA_PROXY_TLS_KEY go together: set both")
    if problems:
        raise ConfigError(problems)
    return Config(root=root, values=values, warnings=tuple(warnings))


def _problems_of(key: Key, value: str, where: str) -> list[str]:
    if re.search(r"[\x00-\x1f\x7f]", value):
        return [f"{where}: {key.name}: must not hold control characters"]
    try:
        key.parse(value)
    except ValueError as error:
        return [f"{where}: {key.name}={'…' if key.secret else value}: {error}"]
    return []


def _suggestion(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a name that is wrong

    close = get_close_matches(name, KEYS, n=1, cutoff=0.8)
    return f" (did you mean {close[0]}?)" if close else " (runtime/config.env.example lists all)"


def _answers(config: Config, name: str) -> str:
    """A value as the shell asks for it: a key, or one of the derived properties by name."""
    if name in KEYS:
        return config.text(name)
    value = getattr(config, name)
    return str(int(value)) if isinstance(value, bool) else str(value)


def _check(config: Config) -> int:
    """Tell what there is to be warned of; 1 when the proxy could not start with its certificate."""
    warnings = list(config.warnings)
    problem = ""
    if config.switch("LLAMA_PROXY_ENABLED") and config.text("LLAMA_PROXY_TLS_CERT"):
        cert, key = (config.path(f"LLAMA_PROXY_TLS_{name}", "") for name in ("CERT", "KEY"))
        try:
            tls.valid_until(cert, key)
        except tls.TLSRefusedError as error:
            warnings.append(str(error))
        except tls.TLSError as error:
            problem = str(error)
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problem else 0


def main(arguments: list[str]) -> int:
    """`check`, or `get NAME …`: one line each. 1 when the configuration is bad."""
    try:
        config = load()
    except ConfigError as error:
        for line in error.problems:
            print(f"error: {line}", file=sys.stderr)
        return 1
    if arguments[:1] == ["get"]:
        for name in arguments[1:]:
            print(_answers(config, name))
        return 0
    if arguments == ["check"]:
        return _check(config)
    print("usage: python -m runtime.config check | get NAME …", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
