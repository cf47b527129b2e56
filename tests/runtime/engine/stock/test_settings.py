"""How the stock llama_cpp.server takes its settings, and what it writes to the wire.

What `runtime/engine/stock.py` and the proxy's connection pool are built on. A test that fails tells
that they have to be looked at.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from llama_cpp.server import __main__ as stock_main
from llama_cpp.server.settings import Settings
from sse_starlette.sse import EventSourceResponse

from tests.support.client import CHAT, DONE, MODELS
from tests.support.gguf import build_model
from tests.support.process import free_port
from tests.support.stock import API_KEY, StockServer

TOO_LONG = [{"role": "user", "content": "z" * 1200}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("settings") / "tiny.gguf")


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[StockServer]:
    """A running stock server with a context of 512 tokens and our key, from the environment. The address
    there is 127.0.0.1, against another one on the command line."""
    elsewhere = ["--host", "127.0.0.2", "--port", str(free_port())]
    with StockServer(model.parent, model, *elsewhere, n_ctx=512) as server:
        server.env |= {"HOST": "127.0.0.1", "PORT": str(server.port)}
        yield server.start()


async def context_of(server: StockServer) -> int:
    """The size of the context, as the answer to a prompt too long has it."""
    message = (await server.chat(messages=TOO_LONG)).error["message"]
    return int(message.removeprefix("This model's maximum context length is ").split()[0])


def test_defaults() -> None:
    """Those that we change, or that the README speaks of."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}

    assert (
        defaults
        | {
            "n_ctx": 2048,
            "n_batch": 512,
            "n_threads": max(multiprocessing.cpu_count() // 2, 1),
            "n_threads_batch": multiprocessing.cpu_count(),
            "n_gpu_layers": 0,
            "flash_attn": False,
            "logits_all": True,
            "interrupt_requests": True,
            "verbose": True,
            "cache": False,
            "host": "localhost",
            "port": 8000,
        }
        == defaults
    )


# Where settings come from


async def test_settings_are_read_from_unprefixed_variables(server: StockServer) -> None:
    """N_CTX and API_KEY: any stray variable of such a name is a setting."""
    assert (await server.get(MODELS, key="wrong")).status == 401
    assert await context_of(server) == 512


async def test_host_and_port_in_the_environment_override_the_command_line(server: StockServer) -> None:
    """Alone among the settings."""
    assert f"Uvicorn running on {server.url} " in server.log


async def test_the_command_line_overrides_other_variables(model: Path) -> None:
    with StockServer(model.parent, model, "--n_ctx", "768", n_ctx=512) as server:
        assert await context_of(server.start()) == 768


async def test_the_context_is_rounded_up_to_a_multiple_of_256(model: Path) -> None:
    with StockServer(model.parent, model, n_ctx=300) as server:
        assert await context_of(server.start()) == 512


@pytest.mark.parametrize("form", ["json", "yaml"])
async def test_a_configuration_file_is_mixed_with_the_environment(
    model: Path, tmp_path: Path, form: str
) -> None:
    """CONFIG_FILE takes JSON or YAML and puts the command line aside; but what the file leaves open, the
    environment fills in."""
    file = tmp_path / f"config.{form}"
    content = {"api_key": "other", "models": [{"model": str(model), "n_ctx": 768}]}
    file.write_text(json.dumps(content) if form == "json" else yaml.safe_dump(content))
    env = {"CONFIG_FILE": str(file), "MODEL": ""}
    with StockServer(tmp_path, model, "--n_ctx", "512", env=env, n_batch=32) as server:
        server.env |= {"HOST": "127.0.0.1", "PORT": str(server.port)}
        server.start()
        bad_key = await server.get(MODELS)
        too_long = await server.post(CHAT, {"messages": TOO_LONG}, key="other")

    assert bad_key.status == 401
    assert "context length is 768 tokens" in too_long.error["message"]
    assert re.search("n_batch += 32$", server.log, re.MULTILINE)


@pytest.mark.parametrize("where", ["server", "model"])
def test_an_unknown_key_in_a_configuration_file_ends_the_start(
    model: Path, tmp_path: Path, where: str
) -> None:
    """With exit status 1 and the key's name."""
    content: dict[str, Any] = {"models": [{"model": str(model)}]}
    (content if where == "server" else content["models"][0])["n_contexts"] = 5
    file = tmp_path / "config.json"
    file.write_text(json.dumps(content))
    with StockServer(tmp_path, model, "--config_file", str(file)) as server:
        server.spawn()
        assert server.wait() == 1

    assert "n_contexts" in server.log
    assert "Extra inputs are not permitted" in server.log


def test_an_api_key_on_the_command_line_shows_in_the_process_list(model: Path, tmp_path: Path) -> None:
    """One in the environment does not."""
    with StockServer(tmp_path, model, "--api_key", "secret-argument") as server:
        server.start()
        command = ["ps", "-ww", "-o", "args=", "-p", str(server.pid)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "secret-argument" in shown
    assert API_KEY not in shown


# Listening


def test_a_busy_port_is_found_after_the_model_has_been_loaded(model: Path, tmp_path: Path) -> None:
    """With exit status 3."""
    with (
        StockServer(tmp_path, model) as server,
        socket.create_server(("127.0.0.1", server.port)),
    ):
        server.spawn()
        assert server.wait() == 3

    loaded, busy = (
        server.log.index(said) for said in ("Using chat eos_token", "address already in use")
    )
    assert loaded < busy


def test_idle_connections_are_closed_after_uvicorns_5_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting reaches uvicorn but the address and the certificate: a pool in front must let go of its
    connections sooner."""
    passed: dict[str, Any] = {}
    monkeypatch.setattr(sys, "argv", ["llama_cpp.server", "--model", "none.gguf"])
    monkeypatch.setattr(stock_main, "create_app", lambda **_: None)
    monkeypatch.setattr(uvicorn, "run", lambda _, **settings: passed.update(settings))

    stock_main.main()  # type: ignore[no-untyped-call]

    assert set(passed) == {"host", "port", "ssl_keyfile", "ssl_certfile"}
    assert uvicorn.Config("none").timeout_keep_alive == 5


# The wire


async def test_a_chat_stream_begins_with_the_role_and_ends_with_the_reason(server: StockServer) -> None:
    """One event for each chunk, of one line; then [DONE]."""
    stream = await server.stream(max_tokens=3)

    assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    deltas = [chunk["choices"][0]["delta"] for chunk in stream.chunks]
    assert deltas[0] == {"role": "assistant"}
    assert all(set(delta) == {"content"} for delta in deltas[1:-1])
    assert deltas[-1] == {}
    assert [chunk["choices"][0]["finish_reason"] for chunk in stream.chunks] == [None] * 4 + ["length"]
    assert stream.events[-1] == DONE
    assert stream.text == "".join(f"data: {event}\n\n" for event in stream.events)


def test_a_queued_stream_is_pinged_every_15_seconds() -> None:
    """With a comment, `: ping - <time>`; the interval is sse_starlette's own."""
    assert EventSourceResponse.DEFAULT_PING_INTERVAL == 15
