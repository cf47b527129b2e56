"""The model is unloaded when nobody asks, and the next request is served all the same."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from urllib.request import urlopen

import psutil
import pytest

from runtime.engine.idle import Activity
from tests.support.engine import Engine
from tests.support.gguf import build_model
from tests.support.wait import wait_until

BODY = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that unloads its model after three seconds: long enough to look at it before."""
    root = tmp_path_factory.mktemp("idle")
    model = build_model(root / "tiny.gguf")
    env = {"LLAMA_SERVER_IDLE_SECONDS": "3", "LLAMA_SERVER_PARALLEL": "3"}
    with Engine(root / "engine", model, env=env) as engine:
        engine.start()
        yield engine


def health(engine: Engine) -> dict[str, object]:
    with urlopen(f"{engine.url}/health", timeout=30) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def until_asleep(engine: Engine) -> None:
    wait_until(lambda: health(engine)["status"] == "asleep", "the model to be unloaded", deadline_s=30)


async def test_an_idle_model_is_unloaded_and_loaded_for_the_next_request(engine: Engine) -> None:
    """/health stays good and names the same slots. The process keeps its id, and frees the memory.
    Requests that come meanwhile, also several at once, wait and are answered."""
    assert (await engine.post("/v1/chat/completions", BODY)).status == 200
    process = psutil.Process(engine.pid)
    loaded = process.memory_info().rss
    until_asleep(engine)
    assert health(engine)["slots"] == 3
    assert process.memory_info().rss < loaded / 2
    assert "runtime.engine.asleep" in process.cmdline()

    answers = await asyncio.gather(*[engine.post("/v1/chat/completions", BODY) for _ in range(4)])
    assert [answer.status for answer in answers] == [200] * 4
    assert process.is_running()
    assert health(engine)["status"] == "ok"
    until_asleep(engine)
    assert (await engine.get("/v1/models")).status == 200


async def test_no_process_of_the_model_s_is_left(engine: Engine) -> None:
    """The compiler of schemas ends with the model, also for the process table."""
    answer = await engine.chat(response_format={"type": "json_object"}, max_tokens=2)
    assert answer.status == 200
    assert engine.process is not None
    assert psutil.Process(engine.pid).children()
    until_asleep(engine)

    assert psutil.Process(engine.pid).children() == []


async def test_what_watches_it_does_not_wake_it(engine: Engine) -> None:
    """/health and /metrics, connections that send nothing, and such as break off."""
    until_asleep(engine)
    assert (await engine.get("/metrics")).status == 503
    with socket.create_connection(("127.0.0.1", engine.port)) as silent:
        silent.sendall(b"GET /hea")
        socket.create_connection(("127.0.0.1", engine.port)).close()
        assert health(engine)["status"] == "asleep"
        silent.sendall(b"lth HTTP/1.1\r\n\r\n")
        assert silent.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_stop_ends_it_at_once(engine: Engine) -> None:
    """Also while the model is unloaded."""
    until_asleep(engine)
    assert engine.process is not None
    engine.process.terminate()
    assert engine.wait() == 0


def test_a_request_under_way_is_no_idleness() -> None:
    """Time counts from the end of the last response."""
    now = [0.0]
    activity = Activity(lambda: now[0])
    now[0] = 5
    assert activity.idle_s() == 5
    with activity.request():
        now[0] = 100
        assert activity.idle_s() == 0
    now[0] = 103
    assert activity.idle_s() == 3
