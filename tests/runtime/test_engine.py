"""The engine process: a real model in the real llama_cpp.server, with our settings round it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.engine import API_KEY, Engine
from tests.support.gguf import SLOW, build_model
from tests.support.wait import until, wait_until

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]


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


async def post(
    engine: Engine, path: str, body: dict[str, Any], *, key: str = API_KEY
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(engine.url + path, json=body) as answer,
    ):
        return answer.status, await answer.json()


async def stream(engine: Engine, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks of a stream that ended with [DONE]."""
    async with (
        aiohttp.ClientSession(headers=engine.headers) as session,
        session.post(engine.url + CHAT, json={"stream": True, **body}) as answer,
    ):
        text = (await answer.read()).decode()
    events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


async def test_answers_a_chat_with_plain_text(engine: Engine) -> None:
    """The whole way through the real server, and the test model keeps its promise: words, to the end."""
    status, answer = await post(engine, CHAT, {"messages": HELLO, "max_tokens": 30})

    assert status == 200
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 30
    assert answer["choices"][0]["message"]["content"].strip().isprintable()


@pytest.mark.parametrize("named", [{}, {"model": "slow.gguf"}, {"model": "slow"}, {"model": "x"}])
async def test_the_model_is_called_by_its_file_name_and_any_other_will_do(
    engine: Engine, named: dict[str, str]
) -> None:
    """/v1/models and every answer give the file's name, never its path; requests need not."""
    async with (
        aiohttp.ClientSession(headers=engine.headers) as session,
        session.get(f"{engine.url}/v1/models") as answer,
    ):
        listed = await answer.json()
    status, answered = await post(engine, CHAT, {**named, "messages": HELLO, "max_tokens": 1})

    assert [model["id"] for model in listed["data"]] == ["slow.gguf"]
    assert (status, answered["model"]) == (200, "slow.gguf")


@pytest.mark.parametrize("key", ["wrong", "other"])
async def test_only_the_configured_key_is_let_in(engine: Engine, key: str) -> None:
    """Not the one of a stray API_KEY in the environment."""
    status, _ = await post(engine, CHAT, {"messages": HELLO}, key=key)

    assert status == 401


async def test_two_streams_at_once_both_complete(engine: Engine) -> None:
    """The stock setting cuts the first one short when the second arrives."""
    body = {"messages": HELLO, "max_tokens": 60}

    answers = await asyncio.gather(stream(engine, body), stream(engine, body))

    for chunks in answers:
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"
        assert sum("content" in chunk["choices"][0]["delta"] for chunk in chunks) >= 50


async def test_health_answers_without_a_key_while_the_model_is_busy(engine: Engine) -> None:
    """/v1/models waits for the model's lock; /health does not take it."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            engine.url + CHAT,
            json={"messages": HELLO, "max_tokens": 3000, "stream": True},
            headers=engine.headers,
        ) as running,
    ):
        await running.content.readline()
        async with session.get(f"{engine.url}/health") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        assert not running.content.at_eof()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": HELLO, "logprobs": True, "top_logprobs": 2}),
        (CHAT, {"messages": HELLO, "logprobs": True, "stream": True}),
        ("/v1/completions", {"prompt": "Hello", "logprobs": 0}),
    ],
)
async def test_logprobs_are_refused_with_the_setting_that_allows_them(
    engine: Engine, path: str, body: dict[str, Any]
) -> None:
    """A 400 in OpenAI's envelope, where the stock server answers with a 500."""
    status, answer = await post(engine, path, body)

    assert status == 400
    assert "LLAMA_SERVER_LOGPROBS=1" in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["param"] == "logprobs"


async def test_logprobs_not_asked_for_are_no_matter(engine: Engine) -> None:
    """Clients send `logprobs: false` and null."""
    for value in (False, None):
        body = {"messages": HELLO, "logprobs": value, "max_tokens": 1}
        status, _ = await post(engine, CHAT, body)
        assert status == 200


async def test_logprobs_are_given_when_turned_on(quick: Engine) -> None:
    """LLAMA_SERVER_LOGPROBS=1 keeps the logits."""
    quick.env["LLAMA_SERVER_LOGPROBS"] = "1"
    quick.start()

    status, answer = await post(
        quick, "/v1/completions", {"prompt": "Hello", "logprobs": 2, "max_tokens": 3}
    )

    assert status == 200
    assert len(answer["choices"][0]["logprobs"]["tokens"]) == 3


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


async def test_answers_503_until_the_model_is_loaded(quick: Engine) -> None:
    """Clients are told to come back; /health turns from 503 to 200."""
    quick.spawn()
    seen: list[int] = []

    def is_loading() -> bool:
        seen.append(quick.health())
        return seen[-1] == 503

    wait_until(is_loading, "a 503 from /health")
    async with (
        aiohttp.ClientSession(headers=quick.headers) as session,
        session.get(f"{quick.url}/v1/models") as answer,
    ):
        body = await answer.json()
    wait_until(lambda: quick.health() == 200, "a 200 from /health")

    assert set(seen) <= {0, 503}
    assert (answer.status, body["error"]["code"]) == (503, "starting")
    assert int(answer.headers["Retry-After"]) > 0


def test_the_model_served_last_is_served_again(quick: Engine, models: Path) -> None:
    """`--selected` keeps it, whatever LLAMA_SERVER_MODEL has become since."""
    data = quick.root / "runtime" / "data"
    data.mkdir()
    (data / "model").write_text(f"{models / 'quick.gguf'}\n")
    quick.env["LLAMA_SERVER_MODEL"] = str(models / "slow.gguf")
    quick.command.append("--selected")

    quick.start()

    assert "ready: quick.gguf" in quick.log


async def test_sigterm_ends_it_although_an_answer_is_being_made(quick: Engine, models: Path) -> None:
    """A generation cannot be interrupted, and would hold the stock server up to its end."""
    quick.env["LLAMA_SERVER_MODEL"] = str(models / "slow.gguf")
    process = quick.start().process
    assert process is not None

    async def is_generating() -> bool:
        """/v1/models waits for the model's lock."""
        try:
            async with asyncio.timeout(0.3), session.get(f"{quick.url}/v1/models"):
                return False
        except TimeoutError:
            return True

    async with aiohttp.ClientSession(headers=quick.headers) as session:
        body = {"messages": HELLO, "max_tokens": 3500}
        running = asyncio.create_task(session.post(quick.url + CHAT, json=body))
        await until(is_generating, "the model's lock to be taken")
        process.terminate()
        status = await asyncio.to_thread(process.wait, 15)
        with pytest.raises(aiohttp.ClientError):
            await running

    assert status == 0
