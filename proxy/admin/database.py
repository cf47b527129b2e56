"""Opens the database that the configuration names; an error says what to do."""

from __future__ import annotations

import os
import pwd
import re

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from proxy.database import pool
from runtime.config import Config


class DatabaseUnavailable(Exception):
    """The database cannot be used; the text, one line, says why and what to do."""


def connect(config: Config) -> Connection:
    """Open the database that the configuration names, in autocommit mode.

    Raises:
        ConfigError: the embedded database has not been set up yet.
        DatabaseUnavailable: it cannot be reached, or does not let this program in.
    """
    url = config.database_url()
    which, remedy = _describe(config, url)
    try:
        return pool.connect(url, application=f"llamaserve-cli/{_operator()}")
    except psycopg.Error as error:
        raise DatabaseUnavailable(f"{which} cannot be used ({_reason(error)}): {remedy}") from error


def _operator() -> str:
    """The system user who runs this: a hint for the audit, since any program may claim any name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container that runs as some number
        return str(os.getuid())


def _describe(config: Config, url: str) -> tuple[str, str]:
    """Which database it is, never the password, and what to do when it is out of reach."""
    if config.uses_embedded_postgres and not config.switch("LLAMA_PROXY_ENABLED"):
        return "the embedded database", "with LLAMA_PROXY_ENABLED=0 there are no users, nor does it run"
    if config.uses_embedded_postgres:
        return "the embedded database", "start it with ./console.sh start"
    by_url = bool(config.text("LLAMA_SERVER_DATABASE_URL"))
    names = "LLAMA_SERVER_DATABASE_URL" if by_url else "POSTGRES_AUTH_* in .env"
    host, port = _host_and_port(url, names)
    remedy = f"check {names}, and that it runs"
    if not by_url:
        remedy += " (docker compose up -d starts the one of compose.yaml)"
    return f"the database at host {host}, port {port},", remedy


def _host_and_port(url: str, names: str) -> tuple[str, str]:
    """The host and port that the URL names.

    A password with an unescaped `@` or `/` makes libpq take a part of it for the host, the port or the
    database: then nothing of the URL may be shown.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        parts = {"host": "@"}
    host, port = str(parts.get("host") or "localhost"), str(parts.get("port") or "5432")
    if "@" in host + str(parts.get("dbname", "")) or not re.fullmatch(r"[0-9,]*", port):
        raise DatabaseUnavailable(
            f"{names} cannot be understood: write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE, "
            "with every @ : / ? # % in the password as %40 %3A %2F %3F %23 %25"
        )
    return host, port


def _reason(error: psycopg.Error) -> str:
    """The reason in libpq's message, in one line."""
    text = str(error).strip()
    found = re.findall(r"failed: ([^\n]+)", text) or text.splitlines() or [type(error).__name__]
    return " ".join(re.sub(r"^.*failed: ", "", found[-1]).split())
