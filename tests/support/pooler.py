"""A real pgbouncer in transaction mode, in front of a database."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

import psycopg

from tests.support.wait import wait_until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PORT = 6432


class Pooler:
    """A context manager; `url` leads to the database through the pooler.

    Args:
        database_url: of a database that is reached by a unix socket.
    """

    def __init__(self, database_url: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="pooler-"))  # short: a socket's path has a limit
        parts = urlsplit(database_url)
        query = parse_qs(parts.query)
        self._target = {
            "host": query["host"][0],
            "port": query["port"][0],
            "dbname": parts.path.removeprefix("/"),
            "user": parts.username,
            "password": parts.password,
        }
        self.url = parts._replace(query=f"host={quote(str(self._directory))}&port={PORT}").geturl()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        assert PROGRAM
        target = " ".join(f"{name}={value}" for name, value in self._target.items())
        configuration = self._directory / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n{self._target['dbname']} = {target}\n"
            f"[pgbouncer]\nunix_socket_dir = {self._directory}\nlisten_port = {PORT}\n"
            "pool_mode = transaction\nauth_type = any\n"
            "ignore_startup_parameters = extra_float_digits,options\n"
        )
        command = [PROGRAM, str(configuration)]
        # It refuses to run as root; the database's own user reaches the database's socket.
        owner = Path(str(self._target["host"])).owner() if os.geteuid() == 0 else None
        if owner:
            shutil.chown(self._directory, owner)
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(command, user=owner, stdout=log, stderr=log)
        try:
            wait_until(self._answers, "pgbouncer to answer")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(10)
        shutil.rmtree(self._directory)
