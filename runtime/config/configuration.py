"""The effective configuration, from the environment, `.env` and `runtime/config.env`.

Precedence: process environment > `.env` > `runtime/config.env` > default. The callers decide what the
values mean: `proxy/settings.py` and `runtime/engine/settings.py` turn them into their own settings.
`env_file.py` parses the files, `keys.py` has the table of keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from runtime.config.backends import BackendEntry, parse_backends
from runtime.config.env_file import PREFIXES, ConfigError, read_env_file
from runtime.config.keys import KEYS, Key, bearer

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The effective values. An empty value counts as not set: the default is used."""

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
        """The value of a whole-number key; None if it is not set and has no default."""
        return self.integer(name) if self.text(name) else None

    def switch(self, name: str) -> bool:
        """The value of a 0/1 key."""
        return self.text(name) == "1"

    def maybe_switch(self, name: str) -> bool | None:
        """The value of a 0/1 key; None if it is empty."""
        return self.switch(name) if self.text(name) else None

    def path(self, name: str, default: str) -> Path:
        """The value as a path. Relative paths start at the checkout."""
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
    def dashboard_url(self) -> str:
        """The dashboard's URL, as seen from this machine."""
        scheme = "https" if self.text("LLAMA_PROXY_TLS_CERT") else "http"
        host, port = self.text("LLAMA_DASHBOARD_HOST"), self.text("LLAMA_DASHBOARD_PORT")
        return f"{scheme}://{_reachable(host)}:{port}"

    @property
    def runs_dashboard(self) -> bool:
        """The dashboard shows the proxy's users: without the proxy there is none."""
        return self.switch("LLAMA_PROXY_ENABLED") and self.switch("LLAMA_DASHBOARD_ENABLED")

    @property
    def backends(self) -> tuple[BackendEntry, ...]:
        """The engines of LLAMA_SERVER_BACKENDS; none if it is not set."""
        return parse_backends(value) if (value := self.text("LLAMA_SERVER_BACKENDS")) else ()

    @property
    def backend_urls(self) -> tuple[str, ...]:
        """The URLs of the engines to which the proxy forwards requests, at least one."""
        if backends := self.backends:
            return tuple(backend.url for backend in backends)
        return (self.text("LLAMA_SERVER_BACKEND_URL").rstrip("/") or self.server_url,)

    @property
    def backend_url(self) -> str:
        """The engine's URL; of several, the local server's or else the first one's."""
        return self.server_url if self.uses_local_server else self.backend_urls[0]

    @property
    def uses_local_server(self) -> bool:
        """False if LLAMA_SERVER_BACKEND_URL or LLAMA_SERVER_BACKENDS names only other engines."""
        return self.server_url in self.backend_urls

    def backend_key(self, backend: BackendEntry) -> str:
        """The key in an engine's own file; "" if it has none.

        Raises:
            ConfigError: the file cannot be read, or holds no key.
        """
        if not backend.key_file:
            return ""
        path = self.backend_key_file(backend)
        try:
            # What is no UTF-8 becomes characters that no key has.
            return bearer(path.read_text(errors="replace").strip())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"the key {error}"
            raise ConfigError([f"LLAMA_SERVER_BACKENDS: {path}: {reason}"]) from error

    def backend_key_file(self, backend: BackendEntry) -> Path:
        """The file with an engine's own key.

        Raises:
            ConfigError: it is in the home directory of a user that does not exist.
        """
        try:
            return self.root / Path(backend.key_file).expanduser()
        except RuntimeError as error:
            raise ConfigError([f"LLAMA_SERVER_BACKENDS: {backend.key_file}: {error}"]) from error

    @property
    def uses_embedded_postgres(self) -> bool:
        return not (self.text("LLAMA_SERVER_DATABASE_URL") or self.text("POSTGRES_AUTH_HOST"))

    @property
    def embedded_url_file(self) -> Path:
        """The file with the embedded Postgres's URL, written by runtime/postgres/control.sh."""
        return self.data_dir / "postgres.url"

    def database_url(self) -> str:
        """The database's URL. It contains the password: never log it.

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
    """The host, in the form of a URL, that reaches a program listening on `host`."""
    return bracketed({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104 - not bound


def bracketed(host: str) -> str:
    """A host in the form of a URL: an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def load(root: Path = ROOT, environ: Mapping[str, str] | None = None) -> Config:
    """Read both files and the environment, and check every value.

    Raises:
        ConfigError: there is an unknown key in a file, or a bad value; it has a line for each.
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
        problems.append("LLAMA_PROXY_TLS_CERT and LLAMA_PROXY_TLS_KEY go together: set both or none")
    if values.get("LLAMA_SERVER_BACKENDS") and values.get("LLAMA_SERVER_BACKEND_URL"):
        problems.append(
            "LLAMA_SERVER_BACKENDS takes the place of LLAMA_SERVER_BACKEND_URL: set only one of them"
        )
    if problems:
        raise ConfigError(problems)
    return Config(root=root, values=values, warnings=tuple(warnings))


def _problems_of(key: Key, value: str, where: str) -> list[str]:
    if re.search(r"[\x00-\x1f\x7f]", value):
        return [f"{where}: {key.name}: must not contain control characters"]
    try:
        key.parse(value)
    except ValueError as error:
        return [f"{where}: {key.name}={'…' if key.secret else value}: {error}"]
    return []


def _suggestion(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for a wrong name

    close = get_close_matches(name, KEYS, n=1, cutoff=0.8)
    return f" (did you mean {close[0]}?)" if close else " (runtime/config.env.example lists all)"
