"""A real pgbouncer in front of a PostgreSQL that listens on TCP."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pytest

from tests.support.postgres import TcpPostgres
from tests.support.process import free_port
from tests.support.wait import wait_until

STOP_SECONDS = 30
_DEBIAN = "/usr/sbin/pgbouncer"
PROGRAM = shutil.which("pgbouncer") or (_DEBIAN if os.access(_DEBIAN, os.X_OK) else None)

needs_pgbouncer = pytest.mark.skipif(
    PROGRAM is None, reason="pgbouncer is not installed (Debian's package pgbouncer)"
)


class PgBouncer:
    """A pooler in `mode` ("session" or "transaction"). A context manager: it runs within it."""

    def __init__(self, server: TcpPostgres, *, mode: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="llamaserve-pgbouncer-"))
        self.port = free_port()
        self.log_file = self.directory / "pgbouncer.log"
        self._server = server
        self._owner = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
        self._settings = self.directory / "pgbouncer.ini"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings.write_text(self._ini(mode))
        if self._owner:
            shutil.chown(self.directory, self._owner)
            shutil.chown(self._settings, self._owner)

    def _ini(self, mode: str) -> str:
        server = self._server
        return (
            "[databases]\n"
            f"* = host=127.0.0.1 port={server.port} user={server.user} password={server.password}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = {mode}\n"
        )

    @property
    def url(self) -> str:
        """The server's database, through the pooler."""
        server = self._server
        return f"postgresql://{server.user}:{server.password}@127.0.0.1:{self.port}/{server.database}"

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self.log_file.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                pass
            with psycopg.connect(self.url, connect_timeout=5) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except (OSError, psycopg.OperationalError):
            return False

    def __enter__(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), str(self._settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                user=self._owner,
                extra_groups=() if self._owner else None,
            )
        try:
            wait_until(self._answers, f"pgbouncer on port {self.port}")
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        if error and self.log_file.exists():
            print(self.log_file.read_text(), file=sys.stderr)
        shutil.rmtree(self.directory)
