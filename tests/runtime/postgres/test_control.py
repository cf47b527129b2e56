"""runtime/postgres/control.sh: the embedded PostgreSQL running, crashed, stopped, and protected from
others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.local_user import as_root, mode, run_as_nobody
from tests.support.postgres import ROOT, VENV, Postgres, keep_a_row, kept_rows, wheel
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A running server, for tests that do not change it."""
    with Postgres() as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that the test may damage; not started."""
    server = Postgres()
    yield server
    server.close()


def processes(server: Postgres) -> list[str]:
    """The command lines of the server's processes, which name its cluster."""
    options = (server.cluster / "postmaster.opts").read_text()
    name = options.split("cluster_name=")[1].split('"')[0]
    listing = subprocess.run(["ps", "-Aww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in listing.stdout.splitlines() if name in line]


class TestAccess:
    """Only the owner can reach the data and the server."""

    def test_everything_is_closed_to_others(self, server: Postgres) -> None:
        """Data, socket and the file with the password have no permission for group or others."""
        assert mode(server.cluster) == 0o700
        assert mode(server.directory / "postgres.url") == 0o600
        assert mode(server.cluster / ".s.PGSQL.5432") == 0o600

    def test_there_is_no_tcp(self, server: Postgres) -> None:
        """The server cannot be reached over the network, whatever the firewall allows."""
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)

    @pytest.mark.parametrize(
        ("user", "password"), [("llamaserve", "wrong"), ("postgres", ""), ("postgres", "postgres")]
    )
    def test_only_the_password_opens(self, server: Postgres, user: str, password: str) -> None:
        """Without the password even the owner's processes are refused, and the superuser has none."""
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url, user=user, password=password)

    @as_root
    def test_another_user_is_shut_out(self, server: Postgres) -> None:
        """A user who knows the URL with the password still cannot reach the socket."""
        url_file = str(server.directory / "postgres.url")
        assert "Permission denied" in run_as_nobody("ls", str(server.cluster)).stderr
        assert "Permission denied" in run_as_nobody("cat", url_file).stderr
        psql = str(wheel() / "pginstall18" / "bin" / "psql")
        if run_as_nobody(psql, "--version").returncode:
            pytest.skip("the environment is out of another user's reach altogether")
        refused = run_as_nobody(psql, "-X", server.url, "-c", "SELECT 1")
        assert refused.returncode == 2
        assert "Permission denied" in refused.stderr


class TestClient:
    """The database that the appliance uses, and PostgreSQL's own programs on it."""

    def test_the_settings_are_in_force(self, server: Postgres) -> None:
        """UTF-8, UTC, scram, checksums, little memory."""
        expected = {
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "password_encryption": "scram-sha-256",
            "data_checksums": "on",
            "shared_buffers": "32MB",
            "max_connections": "50",
        }
        with psycopg.connect(server.url) as connection:
            found = {
                name: connection.execute("SELECT current_setting(%s)", [name]).fetchone()
                for name in expected
            }
        assert found == {name: (value,) for name, value in expected.items()}

    def test_a_backup_can_be_restored_beside_the_original(self, server: Postgres) -> None:
        """A backup needs only `client pg_dump` and `client psql`."""
        keep_a_row(server)
        backup = server.directory / "backup.sql"
        server.ask("client", "pg_dump", "-f", str(backup))
        server.ask("client", "createdb", "restored")
        server.ask("client", "psql", "-Xq", "-d", "restored", "-f", str(backup))
        count = server.ask("client", "psql", "-XAtq", "-d", "restored", "-c", "TABLE kept")
        assert count.split() == [str(n) for n in kept_rows(server)]

    def test_init_and_wait_change_nothing_on_a_running_server(self, server: Postgres) -> None:
        """A second start of the appliance does not disturb the first."""
        url = server.url
        server.ask("init")
        server.ask("wait", "5")
        assert server.url == url

    def test_a_second_server_is_refused(self, server: Postgres) -> None:
        """`run` names the running process and leaves it alone."""
        done = server.script("run")
        assert done.returncode == 1
        assert server.process
        assert f"is already running, as process {server.process.pid}" in done.stderr

    @pytest.mark.parametrize("words", [[], ["begin"], ["wait"], ["wait", "soon"], ["init", "now"]])
    def test_what_is_not_understood_is_a_usage_error(self, server: Postgres, words: list[str]) -> None:
        """Exit status 2, with the usage on stderr."""
        done = server.script(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage: runtime/postgres/control.sh init" in done.stderr


class TestCrash:
    """After a kill -9 the next start works."""

    def test_rows_survive_with_a_backend_still_busy(self, own_server: Postgres) -> None:
        """A busy backend does not notice that its postmaster was killed: the next start ends it."""
        own_server.start()
        keep_a_row(own_server)
        busy = psycopg.connect(own_server.url, autocommit=True)
        pid = busy.info.backend_pid
        endless = threading.Thread(target=lambda: self.compute(busy))
        endless.start()
        with psycopg.connect(own_server.url) as connection:
            query = "SELECT 1 FROM pg_stat_activity WHERE query ~ 'series' AND pid = %s"
            wait_until(lambda: connection.execute(query, [pid]).fetchone(), "a busy backend")
        own_server.kill()
        assert any("SELECT" in line for line in processes(own_server))
        own_server.start()
        endless.join(10)
        assert not endless.is_alive()
        assert kept_rows(own_server) == [1]

    @staticmethod
    def compute(connection: psycopg.Connection) -> None:
        with contextlib.suppress(psycopg.OperationalError):
            connection.execute("SELECT count(*) FROM generate_series(1, 1e12::bigint)")
        connection.close()

    def test_a_stale_pid_that_another_process_has_now(self, own_server: Postgres) -> None:
        """After a reboot the pid in postmaster.pid may belong to any process, also to one of the same
        user."""
        own_server.start()
        keep_a_row(own_server)
        own_server.kill()
        own_server.ask("stop")
        owner = own_server.cluster.stat().st_uid
        stranger = subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
        try:
            lock = own_server.cluster / "postmaster.pid"
            lines = lock.read_text().splitlines(keepends=True)
            lock.write_text("".join([f"{stranger.pid}\n", *lines[1:]]))
            own_server.ask("stop")
            assert stranger.poll() is None
            own_server.start()
            assert kept_rows(own_server) == [1]
        finally:
            stranger.kill()
            stranger.wait()

    def test_an_interrupted_init_is_begun_anew(self, own_server: Postgres, tmp_path: Path) -> None:
        """If it is killed while it creates the database, nothing is left that could be taken for one."""
        place = own_server.directory / "postgres"
        command = [str(ROOT / "runtime/postgres/control.sh"), "init"]
        places = {"LLAMA_DATA_DIR": str(own_server.directory), "LLAMA_VENV_DIR": str(VENV)}
        # It must not be done before it is killed: what is complete is put in its place by mv.
        (tmp_path / "mv").write_text("#!/bin/sh\nexec sleep 60\n")
        (tmp_path / "mv").chmod(0o755)
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        first = subprocess.Popen(
            command, env=os.environ | places | path, process_group=0, stderr=subprocess.DEVNULL
        )
        wait_until(place.with_name("postgres.new").joinpath("base").exists, "initdb at work")
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        assert not place.exists()
        own_server.start()
        assert not place.with_name("postgres.new").exists()
        keep_a_row(own_server)
        assert kept_rows(own_server) == [1]

    def test_stop_ends_what_it_did_not_start(self, own_server: Postgres) -> None:
        """Also processes that a killed supervisor left behind. A second stop, and one without data,
        are not errors."""
        own_server.ask("stop")
        own_server.start()
        own_server.ask("stop")
        assert own_server.process
        assert own_server.process.wait(10) == 0
        assert processes(own_server) == []
        own_server.ask("stop")
