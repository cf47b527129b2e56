"""Checks of the configuration, of who can read it, and of the proxy's certificate."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runtime.config import KEYS, ConfigError, tls
from runtime.config.env_file import read_env_file
from runtime.doctor.findings import Finding, Installation, note, ok, problem, warning

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DAY_S = 86_400
_SOON_DAYS = 14


def keys(checkout: Installation) -> Iterator[Finding]:
    """Every key is known and every value is allowed."""
    for line in checkout.config_problems:
        yield problem(line, "runtime/config.env.example lists all keys")
    if checkout.config is None:
        yield note(
            "checks that need a valid configuration were skipped", "correct it, then ./console.sh doctor"
        )
        return
    for line in checkout.config.warnings:
        yield warning(line)
    for backend in checkout.config.backends:
        try:
            checkout.config.backend_key(backend)
        except ConfigError as error:
            yield problem(str(error), f"write the key of {backend.url} into that file")
    if not (checkout.root / "runtime/config.env").exists():
        yield note("runtime/config.env does not exist yet", "./console.sh start writes it")
    else:
        yield ok("every key is known and every value is allowed")


def addresses(checkout: Installation) -> Iterator[Finding]:
    """Only what should be reachable from the network is reachable."""
    config = checkout.known
    if config.uses_local_server and config.text("LLAMA_SERVER_HOST") not in _LOOPBACK:
        yield warning(
            "the model server is reachable from the network, without the users' keys and limits",
            "set LLAMA_SERVER_HOST=127.0.0.1",
        )
    if config.uses_local_server and not config.text("LLAMA_SERVER_API_KEY"):
        yield warning(
            "the model server does not ask for a key", "set LLAMA_SERVER_API_KEY in runtime/config.env"
        )
    open_proxy = config.text("LLAMA_PROXY_HOST") not in _LOOPBACK
    if config.switch("LLAMA_PROXY_ENABLED") and open_proxy and not config.text("LLAMA_PROXY_TLS_CERT"):
        yield note(
            "the proxy serves the network without TLS: others on the network can read keys",
            "set LLAMA_PROXY_TLS_CERT and LLAMA_PROXY_TLS_KEY, or put a TLS reverse proxy in front",
        )


def certificate(checkout: Installation) -> Iterator[Finding]:
    """The proxy's certificate and key can be used, and not only for a few days."""
    config = checkout.known
    if not config.text("LLAMA_PROXY_TLS_CERT"):
        return
    cert, key = (config.path(f"LLAMA_PROXY_TLS_{name}", "") for name in ("CERT", "KEY"))
    try:
        days = (tls.valid_until(cert, key) - time.time()) / _DAY_S
    except tls.TLSError as error:
        yield problem(str(error), "replace the PEM files, then ./console.sh restart proxy")
        return
    text = f"the certificate is valid for {days:.0f} more days"
    if days < _SOON_DAYS:
        yield warning(text, "renew it, then ./console.sh restart proxy")
    else:
        yield ok(text)
    yield from _private_file(key, "the proxy's TLS key")


def permissions(checkout: Installation) -> Iterator[Finding]:
    """No other user can read a secret or reach the control socket."""
    found = [*_secret_files(checkout), *_private_places(checkout)]
    yield from found
    if not found:
        yield ok("other users cannot read secrets, data and logs or reach the control socket")


def _secret_files(checkout: Installation) -> Iterator[Finding]:
    for name in ("runtime/config.env", ".env"):
        try:
            values = read_env_file(checkout.root / name, where=name)
        except ConfigError:  # a file that cannot be parsed may contain one
            values = dict.fromkeys(KEYS, "?")
        if any(values.get(key.name) for key in KEYS.values() if key.secret):
            yield from _private_file(checkout.root / name, name)
    if checkout.config is not None:
        for file in ("postgres.url", "console.key"):
            yield from _private_file(checkout.config.data_dir / file, file)
        for backend in checkout.config.backends:
            if backend.key_file:
                with suppress(ConfigError):  # `keys` says so
                    path = checkout.config.backend_key_file(backend)
                    yield from _private_file(path, f"the key of {backend.url}")


def _private_file(path: Path, name: str) -> Iterator[Finding]:
    if (mode := _mode(path)) & 0o077:
        text = f"{name} contains a secret, and other users can read it (mode {mode:04o})"
        yield problem(text, f"chmod 600 {shlex.quote(str(path))}")


def _private_places(checkout: Installation) -> Iterator[Finding]:
    runtime = checkout.root / "runtime"
    places = [runtime / "run", runtime / "logs"]
    places += [checkout.config.data_dir] if checkout.config else []
    for place in places:
        # If root runs the appliance, the database's user may pass through (0710), but nothing else.
        if (mode := _mode(place)) & 0o067:
            yield problem(
                f"{place} is open to other users (mode {mode:04o})",
                f"chmod 700 {shlex.quote(str(place))}",
            )
    if checkout.control and (mode := _mode(Path(checkout.control))) & 0o077:
        yield problem(
            f"the control socket is open to other users (mode {mode:04o})", "./console.sh restart"
        )
    if (runtime / "run").exists() and (owner := (runtime / "run").stat().st_uid) != os.geteuid():
        yield problem(f"this appliance is {_name(owner)}'s, and you are {_name(os.geteuid())}")


def _mode(path: Path) -> int:
    """The permission bits; 0 if the path does not exist."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
