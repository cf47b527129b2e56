"""The engine process: a real model in the real llama_cpp.server, with our settings round it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from runtime.config import ROOT
from tests.support.engine import API_KEY, Engine
from tests.support.gguf import SLOW, build_model
from tests.support.wait import until, wait_until


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a quick model and a slow one."""
    folder = tmp_path_factory.mktemp("models")
    build_model(folder / "quick.gguf")
    build_model(folder / "slow.gguf", shape=SLOW)
    return folder


@pytest.fixture(scope="module")
def engine(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine with the slow model; stray variables of llama_cpp.server's are in its way."""
    stray = {"HOST": "0.0.0.0", "PORT": "1", "API_KEY": "other", "N_CTX": "16", "Seed": "x"}  # noqa: S104
    with Engine(tmp_path_factory.mktemp("engine"), models / "slow.gguf", env=stray) as running:
        yield running.start()


@pytest.fixture
def quick(models: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine with the quick model that has not been started."""
    with Engine(tmp_path, models / "quick.gguf") as made:
        yield made


async def test_answers_a_chat_with_plain_text(engine: Engine) -> None:
    """The whole way through the real server, and the test model keeps its promise: words, to the end."""
    answer = await engine.chat(max_tokens=30)

    assert answer.choice["finish_reason"] == "length"
    assert answer.usage["completion_tokens"] == 30
    assert answer.content.strip().isprintable()


@pytest.mark.parametrize("key", ["wrong", "other"])
async def test_only_the_configured_key_is_let_in(engine: Engine, key: str) -> None:
    """Not the one of a stray API_KEY in the environment."""
    assert (await engine.get("/v1/models", key=key)).status == 401


def test_listens_where_it_is_told_and_says_what_it_ignores(engine: Engine) -> None:
    """HOST and PORT would win over the stock server's command line."""
    assert f"listening on {engine.url}" in engine.log
    assert "ignored from the environment: API_KEY, HOST, N_CTX, PORT, Seed" in engine.log


def test_the_key_does_not_show(engine: Engine) -> None:
    """Neither in the process list nor in the log."""
    assert engine.process is not None
    command = ["ps", "-ww", "-o", "args=", "-p", str(engine.process.pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "runtime.engine" in shown
    assert API_KEY not in shown
    assert API_KEY not in engine.log


def test_a_busy_port_is_found_before_the_model_is_loaded(quick: Engine) -> None:
    """The last line names the port and its holder; the exit status is not 0."""
    with socket.create_server(("127.0.0.1", quick.port)):
        quick.spawn()
        assert quick.wait() == 1

    assert f"port {quick.port} on 127.0.0.1 is already in use by " in quick.log.splitlines()[-1]
    assert "loading" not in quick.log


def test_a_file_that_is_no_model_is_refused_by_name(quick: Engine, tmp_path: Path) -> None:
    """Before the port is opened."""
    page = tmp_path / "page.gguf"
    page.write_text("<html>")
    quick.env["LLAMA_SERVER_MODEL"] = str(page)

    quick.spawn()

    assert quick.wait() == 1
    assert quick.log.splitlines()[-1].endswith(f"{page}: is not a GGUF file")


def test_a_model_that_llama_cpp_refuses_ends_with_its_reason(quick: Engine, models: Path) -> None:
    """Its own words on the cause are the last line, not a trace."""
    odd = models / "odd.gguf"
    content = (models / "quick.gguf").read_bytes()
    odd.write_bytes(content.replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"))
    quick.env["LLAMA_SERVER_MODEL"] = str(odd)

    quick.spawn()

    assert quick.wait() == 1
    last = quick.log.splitlines()[-1]
    assert f"{odd}: could not be loaded: " in last
    assert "blk.1.attn_q.weight" in last
    assert "Traceback" not in quick.log


async def test_answers_503_until_the_model_is_loaded(quick: Engine, tmp_path: Path) -> None:
    """Clients are told to come back; /health turns from 503 to 200."""
    may_load = tmp_path / "may-load"
    quick.env |= {"PYTHONPATH": str(ROOT), "LOAD_WAITS_FOR": str(may_load)}
    quick.command = [sys.executable, "-m", "tests.support.hanging_engine"]
    quick.spawn()
    health = wait_until(quick.health, "an answer from /health")
    answer = await quick.get("/v1/models")
    may_load.touch()
    wait_until(lambda: quick.health() == 200, "a 200 from /health")

    assert health == 503
    assert (answer.status, answer.error["code"]) == (503, "starting")
    assert int(answer.headers["Retry-After"]) > 0


def test_the_model_served_last_is_served_again(quick: Engine, models: Path) -> None:
    """`--selected` keeps it, whatever LLAMA_SERVER_MODEL has become since."""
    data = quick.root / "runtime" / "data"
    data.mkdir()
    (data / "model").write_text(f"{models / 'quick.gguf'}\n")
    quick.env["LLAMA_SERVER_MODEL"] = str(models / "slow.gguf")
    quick.command.append("--selected")

    quick.start()

    assert "loading" in quick.log
    assert "quick.gguf, listening" in quick.log


@pytest.mark.parametrize("stream", [False, True])
async def test_sigterm_ends_it_at_once_whatever_is_running(
    quick: Engine, models: Path, stream: bool
) -> None:
    """Running and waiting requests are told why: by a 503, or by an error event in a stream."""
    quick.env["LLAMA_SERVER_MODEL"] = str(models / "slow.gguf")
    process = quick.start().process
    assert process is not None
    async with AsyncExitStack() as stack:
        if stream:
            running = await stack.enter_async_context(quick.streaming(max_tokens=3500))
            await running.content.readline()
        asked = [asyncio.create_task(quick.chat(max_tokens=3500)) for _ in range(3)]
        await until(lambda: _asked(quick, 3 + stream), "all to have arrived")
        process.terminate()
        status = await asyncio.to_thread(process.wait, 10)
        answers = [await task for task in asked]
        streamed = (await running.read()).decode() if stream else ""

    assert status == 0
    for answer in answers:
        assert (answer.status, answer.error["code"]) == (503, "stopping")
        assert int(answer.headers["Retry-After"]) > 0
    if stream:
        assert json.loads(streamed.split("data: ")[-1])["error"]["code"] == "stopping"


async def _asked(engine: Engine, number: int) -> bool:
    return await engine.metric("llama_requests_running") == number + 1
