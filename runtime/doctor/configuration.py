"""The configuration, who may read it, and the proxy's certificate."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from runtime.config import KEYS, ConfigError, tls
from runtime.config.env_file import read_env_file
from runtime.doctor.findings import Finding, Installation, note, ok, problem, warning

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DAY_S = 86_400
_SOON_DAYS = 14


def keys(there: Installation) -> Iterator[Finding]:
    """Every key is known, every value is allowed."""
    for line in there.config_problems:
        yield problem(line, "runtime/config.env.example lists all keys")
    if there.config is None:
        yield note("what goes by the configuration is not examined", "mend it, then ./console.sh doctor")
        return
    for line in there.config.warnings:
        yield warning(line)
    if not (there.root / "runtime/config.env").exists():
        yield note("runtime/config.env is not there yet", "./console.sh start writes it")
    else:
        yield ok("every key is known, every value is allowed")


def addresses(there: Installation) -> Iterator[Finding]:
    """What is reached from the network is meant to be."""
    config = there.known
    if config.uses_local_server and config.text("LLAMA_SERVER_HOST") not in _LOOPBACK:
        yield warning(
            "the model server listens beyond this machine, where no user's key and limit holds",
            "set LLAMA_SERVER_HOST=127.0.0.1",
        )
    if config.uses_local_server and not config.text("LLAMA_SERVER_API_KEY"):
        yield warning(
            "the model server asks for no key", "set LLAMA_SERVER_API_KEY in runtime/config.env"
        )
    open_proxy = config.text("LLAMA_PROXY_HOST") not in _LOOPBACK
    if config.switch("LLAMA_PROXY_ENABLED") and open_proxy and not config.text("LLAMA_PROXY_TLS_CERT"):
        yield note("the proxy serves the network without TLS: keys can be read on the way", "see README")


def certificate(there: Installation) -> Iterator[Finding]:
    """The proxy's certificate and key can be served, and for a while yet."""
    config = there.known
    if not config.text("LLAMA_PROXY_TLS_CERT"):
        return
    cert, key = (config.path(f"LLAMA_PROXY_TLS_{name}", "") for name in ("CERT", "KEY"))
    try:
        days = (tls.valid_until(cert, key) - time.time()) / _DAY_S
    except tls.TLSError as error:
        yield problem(str(error), "put good PEM files there, then ./console.sh restart proxy")
        return
    text = f"the certificate is good for {days:.0f} days"
    if days < _SOON_DAYS:
        yield warning(text, "renew it, then ./console.sh restart proxy")
    else:
        yield ok(text)
    yield from _private_file(key, "the proxy's TLS key")


def permissions(there: Installation) -> Iterator[Finding]:
    """Nobody else can read a secret or reach the control socket."""
    found = [*_secret_files(there), *_private_places(there)]
    yield from found
    if not found:
        yield ok("files with secrets, data, logs and the control socket are closed to others")


def _secret_files(there: Installation) -> Iterator[Finding]:
    for name in ("runtime/config.env", ".env"):
        try:
            values = read_env_file(there.root / name, where=name)
        except ConfigError:  # what cannot be understood may hold one
            values = dict.fromkeys(KEYS, "?")
        if any(values.get(key.name) for key in KEYS.values() if key.secret):
            yield from _private_file(there.root / name, name)
    if there.config is not None:
        for file in ("postgres.url", "console.key"):
            yield from _private_file(there.config.data_dir / file, file)


def _private_file(path: Path, name: str) -> Iterator[Finding]:
    if (mode := _mode(path)) & 0o077:
        text = f"{name} can be read by others (mode {mode:04o}) and holds a secret"
        yield problem(text, f"chmod 600 {shlex.quote(str(path))}")


def _private_places(there: Installation) -> Iterator[Finding]:
    runtime = there.root / "runtime"
    places = [runtime / "run", runtime / "logs"]
    places += [there.config.data_dir] if there.config else []
    for place in places:
        # Where root runs it, the database's own user may pass through (0710), and no more.
        if (mode := _mode(place)) & 0o067:
            yield problem(
                f"{place} is open to others (mode {mode:04o})", f"chmod 700 {shlex.quote(str(place))}"
            )
    if there.control and (mode := _mode(Path(there.control))) & 0o077:
        yield problem(f"the control socket is open to others (mode {mode:04o})", "./console.sh restart")
    if (runtime / "run").exists() and (owner := (runtime / "run").stat().st_uid) != os.geteuid():
        yield problem(f"this appliance is {_name(owner)}'s, and you are {_name(os.geteuid())}")


def _mode(path: Path) -> int:
    """The permission bits; 0 where there is nothing."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
