"""The life of an appliance: started, used, crashed, restarted and stopped through console.sh."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.appliance import Appliance
from tests.support.load import restart_proxy_under_load
from tests.support.local_user import as_root, mode, run_as_nobody
from tests.support.process import free_port
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def shared() -> Iterator[Appliance]:
    """One appliance for all tests of this file. Each test brings it into the state that it needs."""
    with Appliance(LLAMA_DASHBOARD_ENABLED="1") as appliance:
        appliance.start()
        appliance.cli("create-user", "--username", "alice", "--rate-limit", "1000000")
        yield appliance


@pytest.fixture
def appliance(shared: Appliance) -> Appliance:
    """The shared appliance, with everything running."""
    if not shared.status()["ok"]:
        shared.start()
    return shared


@pytest.fixture(scope="module")
def key(shared: Appliance) -> str:
    """A user's key."""
    return shared.cli("create-user", "--username", "bob", "--quiet")


def ask(url: str, key: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON answer of one of the API's paths. Raises HTTPError for an error status."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
        return json.load(answer)


QUESTION = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}


def test_start_serves_the_model_twice(appliance: Appliance, key: str) -> None:
    """The model answers at the server with its key and at the proxy with a user's."""
    for url, bearer in ((appliance.server_url, appliance.server_key), (appliance.proxy_url, key)):
        assert ask(f"{url}/v1/models", bearer)["data"][0]["id"] == "tiny.gguf"
        answer = ask(f"{url}/v1/chat/completions", bearer, QUESTION)
        assert answer["choices"][0]["finish_reason"] == "length"


def test_start_tells_what_one_needs_next(appliance: Appliance) -> None:
    """start prints the model, both URLs, how to create a user and where the logs are, also if
    everything is running already."""
    before = appliance.status()
    output = appliance.start()
    root = appliance.root.resolve()
    for part in (
        f"{root}/models/tiny.gguf",
        f"{appliance.server_url}/v1",
        f"{appliance.proxy_url}/v1",
        "user_management_cli.sh create-user",
        f"{root}/runtime/logs",
    ):
        assert part in output
    after = appliance.status()
    for name, part in before["processes"].items():
        assert after["processes"][name]["pid"] == part["pid"]


def test_start_says_what_it_leaves_to_a_restart(appliance: Appliance) -> None:
    """A changed address of the proxy is refused at once, with the command that applies it. A model
    that does not exist is named."""
    port = appliance.configuration["LLAMA_PROXY_PORT"]
    appliance.configure(LLAMA_PROXY_PORT=str(free_port()))
    try:
        moved = appliance.console("start")
    finally:
        appliance.configure(LLAMA_PROXY_PORT=port)
    assert moved.returncode == 1
    assert "the proxy's address has changed" in moved.stderr
    assert "./console.sh restart" in moved.stderr
    missing = appliance.console("start", "--model", "nope.gguf")
    assert missing.returncode == 1
    assert "nope.gguf: does not exist" in missing.stderr
    assert "restart" not in missing.stderr
    appliance.until_well()


def test_status_tells_each_part(appliance: Appliance) -> None:
    """status shows state, process, uptime, memory, restarts and health of each program, the model and
    both URLs."""
    status = appliance.until_well()
    assert Path(status["model"]).name == "tiny.gguf"
    assert (status["server_url"], status["proxy_url"]) == (
        appliance.server_url,
        appliance.proxy_url,
    )
    assert list(status["processes"]) == ["postgres", "server", "proxy", "dashboard"]
    for part in status["processes"].values():
        assert (part["state"], part["health"]) == ("running", "ok")
        assert psutil.Process(part["pid"]).is_running()
        assert 0 <= part["uptime_seconds"] < 600
        assert part["memory_bytes"] > 5_000_000
    done = appliance.console("status")
    assert done.returncode == 0
    for word in ("postgres", "server", "proxy", "tiny.gguf", appliance.proxy_url):
        assert word in done.stdout


@pytest.mark.parametrize("name", ["server", "proxy", "postgres"])
def test_a_killed_program_comes_back(appliance: Appliance, key: str, name: str) -> None:
    """It is restarted, users are kept, and `status` counts the restart."""
    before = appliance.status()["processes"][name]
    appliance.kill(name)
    wait_until(lambda: appliance.pid(name) not in (0, before["pid"]), f"{name} to come back")
    after = appliance.until_well()["processes"][name]
    assert after["restarts"] == before["restarts"] + 1
    assert ask(f"{appliance.proxy_url}/v1/models", key)
    assert {"alice", "bob"} <= {
        user["username"] for user in json.loads(appliance.cli("list-users", "--json"))
    }


def test_start_after_supervisord_was_killed(appliance: Appliance, key: str) -> None:
    """start ends what supervisord left behind, and everything runs again with supervision."""
    old = {name: appliance.pid(name) for name in ("postgres", "server", "proxy")}
    appliance.kill("supervisord")
    assert appliance.console("status").returncode == 1, "a service without supervision is not well"
    appliance.start()
    status = appliance.status()
    assert status["ok"]
    for name, pid in old.items():
        assert status["processes"][name]["pid"] != pid
        assert not [line for line in appliance.leftovers() if line.startswith(f"{pid} ")]
    assert ask(f"{appliance.proxy_url}/v1/models", key)


def test_stop_after_supervisord_was_killed(appliance: Appliance) -> None:
    """stop leaves nothing running, and a second stop is not an error."""
    appliance.kill("supervisord")
    appliance.stop()
    assert appliance.leftovers() == []
    appliance.stop()
    assert appliance.console("status").returncode == 3


def test_two_starts_at_once_make_one_appliance(appliance: Appliance) -> None:
    """Both succeed, and there is one process of each program."""
    appliance.stop()
    starts = [appliance.popen("start") for _ in range(2)]
    for start in starts:
        errors = start.communicate(timeout=120)[1]
        assert start.returncode == 0, errors
    for word in ("supervisor.supervisord", "-m runtime.engine", "-m proxy ", "bin/postgres -D"):
        # A process that is about to become another program has its parent's command line.
        wait_until(
            lambda: sum(word in line for line in appliance.leftovers()) == 1,  # noqa: B023
            f"one process of {word}",
        )
    assert appliance.status()["ok"]


def test_stop_ends_a_start_that_is_under_way(appliance: Appliance) -> None:
    """Neither the start nor a program that it has started is left."""
    appliance.stop()
    start = appliance.popen("start")
    wait_until(lambda: appliance.pid("supervisord"), "supervisord to be started")
    appliance.stop()
    start.communicate(timeout=60)
    assert start.returncode == 128 + signal.SIGTERM
    assert appliance.leftovers() == []


def test_restart_of_one_part_leaves_the_others(appliance: Appliance) -> None:
    """Only that part gets a new process, and it is not counted as an unexpected restart."""
    for name in ("postgres", "server"):
        before = appliance.status()["processes"]
        appliance.restart(name)
        after = appliance.until_well()["processes"]
        changed = [part for part in before if before[part]["pid"] != after[part]["pid"]]
        assert changed == [name]
        assert after[name]["restarts"] == 0


def test_a_restart_of_the_proxy_loses_no_request(appliance: Appliance) -> None:
    """supervisord keeps the port open: new connections wait for the new process, and streams end
    normally."""
    before = appliance.pid("proxy")
    key = appliance.cli("create-user", "--username", "carol", "--rate-limit", "1000000", "--quiet")
    seen = asyncio.run(restart_proxy_under_load(appliance, key, users=2, max_tokens=16))
    assert appliance.pid("proxy") != before
    assert seen.lost() == []
    assert len(seen.streams) >= 4
    assert len(seen.fresh) >= 4


def test_restart_with_another_model(appliance: Appliance, key: str) -> None:
    """Only the server gets a new process, and later starts serve the new model, too."""
    appliance.add_model("other.gguf", seed=1)
    proxy = appliance.pid("proxy")
    appliance.restart("--model", "other.gguf")
    assert ask(f"{appliance.proxy_url}/v1/models", key)["data"][0]["id"] == "other.gguf"
    assert appliance.pid("proxy") == proxy
    appliance.restart()
    assert Path(appliance.status()["model"]).name == "other.gguf"
    appliance.restart("server", "--model", "tiny.gguf")


def test_restart_refuses_a_bad_model_before_it_stops_anything(appliance: Appliance) -> None:
    """The server keeps serving the old model."""
    (appliance.root / "models/broken.gguf").write_bytes(b"no model at all")
    server = appliance.pid("server")
    for arguments in (["restart", "--model", "broken.gguf"], ["restart", "--model", "missing.gguf"]):
        done = appliance.console(*arguments)
        assert done.returncode == 1
        assert arguments[-1] in done.stderr
    (appliance.root / "models/broken.gguf").unlink()
    assert appliance.pid("server") == server


def test_restart_applies_a_changed_address(appliance: Appliance) -> None:
    """Also the proxy's address, whose port supervisord holds."""
    port = free_port()
    appliance.configure(LLAMA_PROXY_PORT=str(port))
    appliance.restart("proxy")
    assert appliance.until_well()["proxy_url"].endswith(f":{port}")


def test_status_tells_what_runs_although_it_is_off(appliance: Appliance) -> None:
    """A proxy that was turned off in the configuration runs until a restart: status is not ok."""
    appliance.configure(LLAMA_PROXY_ENABLED="0")
    try:
        status = appliance.status()
    finally:
        appliance.configure(LLAMA_PROXY_ENABLED="1")
    assert not status["ok"]
    assert status["processes"]["proxy"]["state"] == "unwanted"
    assert "./console.sh restart" in status["processes"]["proxy"]["health"]
    appliance.until_well()


def test_logs_show_each_part(appliance: Appliance) -> None:
    """logs shows all logs, or the one that is named."""
    for name, word in (("server", "tiny.gguf"), ("proxy", "listening"), ("postgres", "database system")):
        assert word in appliance.console("logs", name).stdout
        assert word in appliance.console("logs").stdout


@as_root
def test_another_local_user_reaches_nothing(appliance: Appliance) -> None:
    """Another user can read neither keys nor logs, and cannot use the control socket."""
    runtime = appliance.root / "runtime"
    assert run_as_nobody("ls", str(runtime)).returncode == 0, "the checkout itself is open"
    for path in (
        "config.env",
        "logs/proxy.log",
        "logs/server.log",
        "run/supervisor.sock",
        "data/postgres.url",
    ):
        assert (runtime / path).exists()
        for test in ("-r", "-w"):
            assert run_as_nobody("test", test, str(runtime / path)).returncode == 1, path
    assert mode(runtime / "config.env") == 0o600
    assert os.access(runtime / "config.env", os.R_OK)
