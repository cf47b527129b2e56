"""`start` and `run` when something prevents a start, and with other configurations than the default."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

import pytest

from tests.support.appliance import MODEL, Appliance
from tests.support.postgres import TcpPostgres


def refuse(appliance: Appliance, *expected: str, arguments: tuple[str, ...] = ()) -> str:
    """Run a start that must fail: exit status 1, a message with all these texts, and nothing left
    running."""
    done = appliance.console("start", *arguments)
    assert done.returncode == 1, done.stderr
    for text in expected:
        assert text in done.stderr
    assert appliance.leftovers() == []
    return done.stderr


def test_without_the_proxy_there_is_only_the_server(appliance: Appliance) -> None:
    """With LLAMA_PROXY_ENABLED=0 there is no proxy and no database, and status is ok."""
    output = appliance.start()
    assert "proxy" not in output
    status = appliance.status()
    assert status["ok"]
    states = {name: part["state"] for name, part in status["processes"].items()}
    assert states == {
        "postgres": "disabled",
        "server": "running",
        "proxy": "disabled",
        "dashboard": "disabled",
    }
    assert not (appliance.root / "runtime/data/postgres").exists()


def test_without_a_model_the_starter_is_served(appliance: Appliance) -> None:
    """A fresh checkout answers questions; start and status say that it is the starter model and how
    to get another one. A model of the user's is served from the next start on."""
    tiny = appliance.root / "models" / MODEL
    aside = tiny.rename(appliance.base / MODEL)
    try:
        output = appliance.start()
        status = appliance.status()
        for text in (output, appliance.console("status").stdout):
            assert "llamaserve-starter.gguf" in text
            assert "starter model" in text
            assert "./console.sh pull" in text
        assert "asked   Say hello in one sentence." in output
        assert " the first after " in output
        assert "asked" not in appliance.start(), "nothing was started"
        assert status["ok"]
        assert status["starter"] is True
        assert "Hello" in _hello(appliance)
        appliance.stop()
    finally:
        aside.rename(tiny)

    output = appliance.start()
    assert MODEL in output
    assert "starter" not in output
    assert appliance.status()["starter"] is False


def _hello(appliance: Appliance) -> str:
    body = {"messages": [{"role": "user", "content": "Say hello in one sentence."}], "temperature": 0}
    request = Request(
        f"{appliance.server_url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {appliance.server_key}", "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])


def test_a_busy_port_is_named_with_its_holder(appliance: Appliance) -> None:
    """The start is refused before the server is started."""
    before = appliance.log("server")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        appliance.configure(LLAMA_SERVER_PORT=str(port))
        refuse(appliance, f"port {port}", f"(pid {os.getpid()})", "LLAMA_SERVER_PORT")
    assert appliance.log("server") == before


def test_one_port_for_both_is_refused(appliance: Appliance) -> None:
    """The message names both settings."""
    port = appliance.configuration["LLAMA_SERVER_PORT"]
    appliance.configure(LLAMA_PROXY_ENABLED="1", LLAMA_PROXY_PORT=port)
    refuse(appliance, "LLAMA_SERVER_PORT and LLAMA_PROXY_PORT")


def test_a_bad_configuration_is_refused_with_the_keys(appliance: Appliance) -> None:
    """There is a line for each problem."""
    appliance.configure(LLAMA_SERVER_PROT="1", LLAMA_SERVER_N_BATCH="many")
    refuse(appliance, "unknown key LLAMA_SERVER_PROT", "LLAMA_SERVER_N_BATCH=many")


def test_a_bad_line_is_refused_with_its_number(appliance: Appliance) -> None:
    """Nothing starts with a configuration that cannot be parsed, but a running appliance can still be
    stopped."""
    appliance.start()
    with (appliance.root / ".env").open("a") as file:
        file.write("LLAMA_SERVER_N_CTX = 512\n")
    number = len((appliance.root / ".env").read_text().splitlines())
    done = appliance.console("restart")
    assert done.returncode == 1
    assert f".env:{number}:" in done.stderr
    assert appliance.pid("supervisord")
    appliance.stop()
    refuse(appliance, f".env:{number}:")


@pytest.mark.parametrize(("content", "why"), [(b"text, no model", "GGUF"), (None, "does not exist")])
def test_a_file_that_is_no_model_is_refused_by_name(
    appliance: Appliance, content: bytes | None, why: str
) -> None:
    """For a text file and for a missing file nothing is started."""
    path = appliance.root / "models/wanted.gguf"
    if content is not None:
        path.write_bytes(content)
    refuse(appliance, "wanted.gguf", why, arguments=("--model", "wanted.gguf"))


def test_a_truncated_model_is_refused_by_name(appliance: Appliance) -> None:
    """An incomplete download is noticed."""
    path = appliance.add_model("short.gguf")
    path.write_bytes(path.read_bytes()[:-1000])
    refuse(appliance, "short.gguf", "truncated", arguments=("--model", str(path)))


def test_several_models_are_named(appliance: Appliance) -> None:
    """Without a terminal, the message lists the models and says how to choose one."""
    appliance.add_model("other.gguf")
    refuse(appliance, "tiny.gguf", "other.gguf", "--model")


def test_a_program_that_ends_at_once_is_told_at_once(appliance: Appliance) -> None:
    """The message has the last lines of its log and the log's path; start does not wait for the
    time-out."""
    appliance.configure(LLAMA_PROXY_ENABLED="1")
    spool = appliance.root / "runtime/data/spool"
    spool.parent.mkdir(exist_ok=True)
    spool.write_text("in the way of the proxy's directory")
    try:
        errors = refuse(appliance, "proxy ended", "spool", "logs/proxy.log")
    finally:
        spool.unlink()
    assert "stopping what was started" in errors


def test_a_certificate_that_cannot_be_served_is_refused_first(appliance: Appliance) -> None:
    """Before anything is started, or stopped by a restart."""
    appliance.start()
    server = appliance.pid("server")
    appliance.configure(
        LLAMA_PROXY_ENABLED="1",
        LLAMA_PROXY_TLS_CERT="/nowhere/cert.pem",
        LLAMA_PROXY_TLS_KEY="/nowhere/key.pem",
    )
    done = appliance.console("restart")
    assert done.returncode == 1
    assert "LLAMA_PROXY_TLS_CERT=/nowhere/cert.pem: No such file" in done.stderr
    assert appliance.pid("server") == server
    appliance.stop()
    refuse(appliance, "LLAMA_PROXY_TLS_CERT=/nowhere/cert.pem")


def test_a_long_path_is_no_hindrance() -> None:
    """It works in a checkout whose path is too long for a socket's path."""
    with Appliance(folder="d" * 60 + "/" + "e" * 60, LLAMA_PROXY_ENABLED="0") as appliance:
        appliance.start()
        assert appliance.status()["ok"]
        appliance.stop()
        assert appliance.leftovers() == []


class Engine(BaseHTTPRequestHandler):
    """An engine that is not ours: it answers, but has no /health."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def engine_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_engine_and_another_postgres(engine_url: str) -> None:
    """With LLAMA_SERVER_BACKEND_URL and POSTGRES_AUTH_* only the proxy is started; it needs no model."""
    with (
        TcpPostgres(user="u", password="p", database="d") as postgres,
        Appliance(
            model=False,
            LLAMA_SERVER_BACKEND_URL=engine_url,
            POSTGRES_AUTH_HOST="127.0.0.1",
            POSTGRES_AUTH_PORT=str(postgres.port),
            POSTGRES_AUTH_USER="u",
            POSTGRES_AUTH_PASSWORD="p",
            POSTGRES_AUTH_DB="d",
        ) as appliance,
    ):
        appliance.start()
        status = appliance.status()
        states = {name: part["state"] for name, part in status["processes"].items()}
        assert states == {
            "postgres": "external",
            "server": "external",
            "proxy": "running",
            "dashboard": "disabled",
        }
        assert status["ok"]
        appliance.stop()
        assert appliance.leftovers() == []
